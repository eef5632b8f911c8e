"""Whether an alert's channels can reach its owner, so that nobody relies on one that can't."""

from collections.abc import Iterable

from auth.identity import Identity
from auth.permissions import Permissions
from notifiers.alerts.alert import Options, Way
from notifiers.people.addressees import Addressees
from notifiers.people.suppressions import Suppressions
from notifiers.providers.telephone import check_number
from schemas.errors import CommandError, ErrorCode

_PLACE = "$.channels"


class AlertChannels:
    """Asked when an alert is made or gets other channels; what becomes of an address later, its deliveries tell."""

    def __init__(self, addressees: Addressees, suppressions: Suppressions, permissions: Permissions) -> None:
        self._addressees = addressees
        self._suppressions = suppressions
        self._permissions = permissions

    async def check(self, caller: Identity, ways: Iterable[Way], options: Options) -> None:
        """Refuse channels that can't work, the escalation's among them.

        Raises CommandError CONFLICT where there is no verified address, or one that took no more messages; BAD_REQUEST
        for a telephone that takes no SMS; PERMISSION_DENIED for a plan without SMS.
        """
        self._addressees.forget(caller.user)  # the address may have been verified a moment ago
        for way in dict.fromkeys((*ways, *(step.channel for step in options.escalation))):
            await self._check(caller, way)

    async def _check(self, caller: Identity, way: Way) -> None:
        match way:
            case Way.EMAIL:
                await self._check_address(caller, way, await self._email(caller))
            case Way.SMS | Way.VOICE:
                if way is Way.SMS and not self._permissions.plans.of(caller.plan).sms_per_month:
                    raise CommandError(ErrorCode.PERMISSION_DENIED, "the plan {plan} has no SMS", plan=caller.plan)
                phone = await self._phone(caller)
                check_number(phone, way, _PLACE)
                await self._check_address(caller, way, phone)
            case Way.WEBSOCKET | Way.PUSH | Way.WEBHOOK:
                return

    async def _email(self, caller: Identity) -> str:
        found = (await self._addressees.of([caller.user])).get(caller.user)
        if found is None or found.addressee.email is None:
            raise CommandError(
                ErrorCode.CONFLICT, "Your mail address is not verified: verify it first - at `{place}`", place=_PLACE
            )
        return found.addressee.email

    async def _phone(self, caller: Identity) -> str:
        found = (await self._addressees.of([caller.user])).get(caller.user)
        if found is None or found.addressee.phone is None:
            raise CommandError(
                ErrorCode.CONFLICT, "You have no verified telephone: verify one first - at `{place}`", place=_PLACE
            )
        return found.addressee.phone

    async def _check_address(self, caller: Identity, way: Way, address: str) -> None:
        if await self._suppressions.reason(way, address) is not None:
            raise CommandError(
                ErrorCode.CONFLICT,
                "Your address takes no messages by {channel} - at `{place}`",
                channel=way,
                place=_PLACE,
            )
