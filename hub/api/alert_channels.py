"""Whether an alert's channels can reach its owner, so that nobody relies on one that can't.

An alert may be made before an address is verified: it fires all the same, and is told by its other channels.
"""

from collections.abc import Iterable

from auth.identity import Identity
from auth.permissions import Permissions
from notifiers.conditions.options import Options
from notifiers.outbox.provider import Addressee
from notifiers.people.addressees import Addressees
from notifiers.people.suppressions import Suppressions
from notifiers.providers.telephone import check_number
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode
from schemas.phrases import Phrase, translatable

_PLACE = "$.channels"

NO_EMAIL = translatable("You have no verified mail address: nothing is mailed until you have")
NO_PHONE = translatable("You have no verified telephone: nobody is called or sent an SMS until you have")
SUPPRESSED = translatable("Your address takes no messages by {channel}")


class AlertChannels:
    """Asked when an alert is made or gets other channels; what becomes of an address later, its deliveries tell."""

    def __init__(self, addressees: Addressees, suppressions: Suppressions, permissions: Permissions) -> None:
        self._addressees = addressees
        self._suppressions = suppressions
        self._permissions = permissions

    async def check(self, caller: Identity, ways: Iterable[Way], options: Options) -> tuple[Phrase, ...]:
        """What its owner ought to know of the channels, the escalation's among them: which of them reach nobody yet.

        Raises CommandError BAD_REQUEST for a telephone that takes no SMS; PERMISSION_DENIED for a plan without SMS,
        which has no calls either.
        """
        self._addressees.forget(caller.user)  # the address may have been verified a moment ago
        found = (await self._addressees.of([caller.user])).get(caller.user)
        known = None if found is None else found.addressee
        warnings = [
            await self._warning(caller, way, known)
            for way in dict.fromkeys((*ways, *(step.channel for step in options.escalation)))
        ]
        return tuple(one for one in warnings if one is not None)

    def _check_plan(self, caller: Identity, way: Way) -> None:
        """SMS and calls come out of one budget."""
        if not self._permissions.plans.of(caller.plan).sms_per_month:
            raise CommandError(
                ErrorCode.PERMISSION_DENIED, "the plan {plan} has no {channel}", plan=caller.plan, channel=way.value
            )

    async def _warning(self, caller: Identity, way: Way, known: Addressee | None) -> Phrase | None:
        match way:
            case Way.EMAIL:
                address, missing = known and known.email, NO_EMAIL
            case Way.SMS | Way.VOICE:
                self._check_plan(caller, way)
                address, missing = known and known.phone, NO_PHONE
                if address:
                    check_number(address, way, _PLACE)
            case Way.WEBSOCKET | Way.PUSH | Way.WEBHOOK:
                return None
        if not address:
            return Phrase(missing)
        if await self._suppressions.reason(way, address) is not None:
            return Phrase(SUPPRESSED, {"channel": way.value})
        return None
