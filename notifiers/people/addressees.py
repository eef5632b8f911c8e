"""Whom deliveries are for: how they may be reached, what they want to be told about, and how many SMS they have.

Everything is read from the database and known for a few seconds, so that a thousand deliveries to one user, or one to
each of a thousand, ask for it once.
"""

import time
from collections.abc import Callable, Collection, Mapping

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.account import Account, Status
from auth.contacts import Contact, contacts_of
from auth.plans import Plans
from notifiers.outbox.provider import Addressee
from notifiers.people.preferences import Notifications, read
from schemas.durations import Seconds

KNOWN_S: Seconds = 3.0
MAX_KNOWN = 50_000
LANGUAGE = "en"
TIMEZONE = "Asia/Kolkata"


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """One user. `sms_per_month` is what is left of the plan's by their own cap, in parts of SMS."""

    addressee: Addressee
    notifications: Notifications
    sms_per_month: int


class Addressees:
    """Users by id. Every call raises Unavailable where the database fails; cancelling is safe."""

    def __init__(self, engine: AsyncEngine, plans: Plans, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._plans = plans
        self._clock = clock
        self._known: dict[str, tuple[float, Recipient | None]] = {}

    async def __call__(self, users: Collection[str]) -> dict[str, Addressee]:
        """Whom deliveries are for, as the worker asks: `notifiers.outbox.gates.AddresseesOf`."""
        return {user: recipient.addressee for user, recipient in (await self.of(users)).items()}

    async def of(self, users: Collection[str]) -> Mapping[str, Recipient]:
        """Those users. Who has left, or was shut out, is left out."""
        now = self._clock()
        known = {user: entry[1] for user in users if (entry := self._known.get(user)) is not None and entry[0] > now}
        missing = [user for user in dict.fromkeys(users) if user not in known]
        if missing:
            known |= await self._read(missing, now)
        return {user: one for user, one in known.items() if one is not None}

    async def _read(self, users: Collection[str], now: float) -> dict[str, Recipient | None]:
        contacts = await contacts_of(self._engine, users)
        found = {user: self._recipient(contacts[user]) if user in contacts else None for user in users}
        if len(self._known) + len(found) > MAX_KNOWN:
            self._known.clear()
        self._known |= {user: (now + KNOWN_S, one) for user, one in found.items()}
        return found

    def forget(self, user: str) -> None:
        """Ask anew for a user whose wishes have just changed in this process."""
        self._known.pop(user, None)

    def _recipient(self, contact: Contact) -> Recipient | None:
        account, preference = contact.account, contact.preference
        if account is not None and account.status is not Status.ACTIVE:
            return None
        notifications = read(preference.notifications)
        return Recipient(
            addressee=Addressee(
                user=contact.user,
                name=account.name if account is not None else "",
                email=_email(account),
                phone=_phone(account),
                language=preference.language or LANGUAGE,
                timezone=preference.timezone or TIMEZONE,
            ),
            notifications=notifications,
            sms_per_month=self._sms(account, notifications),
        )

    def _sms(self, account: Account | None, notifications: Notifications) -> int:
        own = notifications.sms_per_month
        plan = 0 if account is None else self._plans.of(account.plan).sms_per_month
        return plan if own is None else min(plan, own)


def _email(account: Account | None) -> str | None:
    return account.email if account is not None and account.email_verified else None


def _phone(account: Account | None) -> str | None:
    return account.phone if account is not None and account.phone_verified else None
