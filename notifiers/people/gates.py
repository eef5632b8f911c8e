"""The gates between a delivery and its provider that are its owner's: what they want, when, and how much of it.

Asked late, right before the attempt, so that what somebody has just said counts. Each reason is a constant that
history shows. A test passes all that is about when: who asks for one wants it now.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from zoneinfo import ZoneInfo

from notifiers.outbox.delivery import Delivery, Kind
from notifiers.outbox.gates import Gate, Hold, Instead, Skip, Verdict
from notifiers.outbox.provider import Addressee
from notifiers.people.addressees import Addressees, Recipient
from notifiers.people.digests import IN_DIGEST, Digests
from notifiers.people.preferences import Quiet
from notifiers.people.quiet_hours import inside, until
from notifiers.people.sms_budget import COUNTED, SmsBudget
from notifiers.people.suppressions import Suppressions
from notifiers.way import Way

OFF = "switched off"
UNSUBSCRIBED = "unsubscribed"
NO_ADDRESS = "no verified address"
SUPPRESSED = "suppressed"
QUIET_HOURS = "quiet hours"
BUDGET = "sms budget"

_ADDRESSED = frozenset({Way.EMAIL, Way.SMS, Way.VOICE})
"""The channels that need an address of the account's."""

Verdicts = Mapping[int, Verdict]


class PersonalGates:
    """All of them, in the order in which they are asked."""

    def __init__(
        self,
        addressees: Addressees,
        *,
        suppressions: Suppressions,
        budget: SmsBudget,
        digests: Digests,
        hours: Gate | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`hours` holds what may not be sent at any time of the day."""
        self._hours = () if hours is None else (hours,)
        self._addressees = addressees
        self._suppressions = suppressions
        self._budget = budget
        self._digests = digests
        self._wall = wall
        self._zones: dict[str, ZoneInfo] = {}

    @property
    def gates(self) -> Sequence[Gate]:
        """For the worker: what costs nothing first, what counts what is sent last."""
        return (self.wishes, *self._hours, self.addresses, self.quiet_hours, self.digest, self.sms_budget)

    async def wishes(self, deliveries: Sequence[Delivery], _: Mapping[str, Addressee]) -> Verdicts:
        """Skips what its owner has switched off, or unsubscribed from."""
        recipients = await self._recipients(deliveries)
        return _those(deliveries, lambda one: _unwished(one, recipients.get(one.user)))

    async def addresses(self, deliveries: Sequence[Delivery], addressees: Mapping[str, Addressee]) -> Verdicts:
        """Skips what has no verified address to go to, or one that must not be written to."""
        verdicts: dict[int, Verdict] = {}
        asked = [one for one in deliveries if one.channel in _ADDRESSED]
        places = {(one.channel, address) for one in asked if (address := _address(one, addressees)) is not None}
        suppressed = await self._suppressions.among(places)
        for one in asked:
            address = _address(one, addressees)
            if address is None:
                verdicts[one.id] = Skip(NO_ADDRESS)
            elif (one.channel, address) in suppressed:
                verdicts[one.id] = Skip(SUPPRESSED)
        return verdicts

    async def quiet_hours(self, deliveries: Sequence[Delivery], _: Mapping[str, Addressee]) -> Verdicts:
        """Holds or drops what would disturb, or sends it by another channel."""
        recipients = await self._recipients(deliveries)
        quiet = [
            one
            for one in deliveries
            if (recipient := recipients.get(one.user)) is not None and _is_to_be_quiet(one, recipient)
        ]
        await self._load_zones({recipients[one.user].addressee.timezone for one in quiet})
        return _those(quiet, lambda one: self._quiet(one, recipients[one.user]))

    async def digest(self, deliveries: Sequence[Delivery], _: Mapping[str, Addressee]) -> Verdicts:
        """Skips what an alert fires again soon after it was told of, for it stands in the digest that follows."""
        recipients = await self._recipients(deliveries)
        minutes: dict[int, int] = {}
        for one in deliveries:
            wish = recipient.notifications.digest if (recipient := recipients.get(one.user)) is not None else None
            plain = one.kind is Kind.ALERT and not _is_critical(one) and not one.unless_acknowledged
            if plain and wish is not None and wish.concerns(one.channel):
                minutes[one.id] = wish.minutes
        wanted = [one for one in deliveries if one.id in minutes]
        taken = await self._digests.take(wanted, minutes) if wanted else frozenset()
        return {number: Skip(IN_DIGEST) for number in taken}

    async def sms_budget(self, deliveries: Sequence[Delivery], _: Mapping[str, Addressee]) -> Verdicts:
        """Skips SMS and calls beyond those of the month, and has their owner told once."""
        texts = [one for one in deliveries if one.channel in COUNTED]
        if not texts:
            return {}
        recipients = await self._recipients(texts)
        budgets = {user: recipient.sms_per_month for user, recipient in recipients.items()}
        return {one.id: Skip(BUDGET) for one in await self._budget.beyond(texts, budgets)}

    async def _recipients(self, deliveries: Sequence[Delivery]) -> Mapping[str, Recipient]:
        return await self._addressees.of({one.user for one in deliveries})

    async def _load_zones(self, names: set[str]) -> None:
        """Zones are read from the disk, each once."""
        for name in names - self._zones.keys():
            self._zones[name] = await asyncio.to_thread(ZoneInfo, name)

    def _quiet(self, delivery: Delivery, recipient: Recipient) -> Verdict | None:
        zone, now_ms = self._zones[recipient.addressee.timezone], int(self._wall() * 1000)
        windows = [one for one in recipient.notifications.quiet_hours if one.concerns(delivery.channel)]
        window = inside(now_ms, windows, zone)
        if window is None:
            return None
        match window.action:
            case Quiet.DROP:
                return Skip(QUIET_HOURS)
            case Quiet.DOWNGRADE if window.to is not None:
                return Instead(window.to, QUIET_HOURS)
            case Quiet.HOLD | Quiet.DOWNGRADE:
                alike = [one for one in windows if one.action is window.action]
                return Hold(until(now_ms, alike, zone) or now_ms, QUIET_HOURS, keeps=True)


def _those(deliveries: Sequence[Delivery], judge: Callable[[Delivery], Verdict | None]) -> Verdicts:
    return {one.id: verdict for one in deliveries if (verdict := judge(one)) is not None}


def _unwished(delivery: Delivery, recipient: Recipient | None) -> Verdict | None:
    if recipient is None:
        return None
    wished, way, kind = recipient.notifications, delivery.channel, delivery.kind
    if not (wished.channels.on(way) and wished.kinds.of(kind).on(way)):
        return Skip(OFF)
    return Skip(UNSUBSCRIBED) if wished.said_no(way, kind) else None


def _is_to_be_quiet(delivery: Delivery, recipient: Recipient) -> bool:
    """Whether quiet hours count for it."""
    if delivery.kind is Kind.TEST or not recipient.notifications.quiet_hours:
        return False
    return not (_is_critical(delivery) and recipient.notifications.critical_override)


def _is_critical(delivery: Delivery) -> bool:
    return delivery.content.get("critical") is True


def _address(delivery: Delivery, addressees: Mapping[str, Addressee]) -> str | None:
    addressee = addressees.get(delivery.user)
    if addressee is None:
        return None
    return addressee.email if delivery.channel is Way.EMAIL else addressee.phone
