"""The port that every way to a person implements, and what it is handed."""

from typing import Literal, Protocol

import msgspec

from notifiers.outbox.delivery import Delivery
from notifiers.way import Way
from schemas.durations import Seconds


class Addressee(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a delivery is for, as far as it may be known to a provider. Only verified addresses are here."""

    user: str
    name: str = ""
    email: str | None = None
    phone: str | None = None
    language: str = "en"
    timezone: str = "Asia/Kolkata"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `attempt` counts from 1; `token` is what callbacks and links prove themselves with."""

    delivery: Delivery
    attempt: int
    addressee: Addressee
    language: str
    token: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How far a provider says that a delivery has come. `id` is what it calls it; `detail` its own word."""

    status: Literal["accepted", "sent", "delivered", "read"]
    id: str | None = None
    detail: str | None = None
    cost: int = 0


class Provider(Protocol):
    """One way of one channel.

    `send` asks once and never repeats. It raises `Refused` or `Unavailable` where nothing was taken over, and
    `OutcomeUnknown` where it may have been; anything else is a bug. It may be cancelled at its time limit, which leaves
    the outcome open.
    """

    name: str
    """No other provider of the process has it; 16 characters at most."""
    way: Way
    time_limit_s: Seconds
    resend_unknown: bool
    """Whether sending again after an unknown outcome is harmless: the receiver can tell that it is the same."""

    async def send(self, job: Job) -> Outcome:
        """Asks the provider once."""

    async def find(self, job: Job, since_ms: int) -> Outcome | None:
        """Looks whether the provider has what may have been sent since then; None if it surely has not.

        Raises Unavailable, also where it can't be told.
        """

    async def look(self, delivery: Delivery) -> Outcome | None:
        """Asks how far an accepted delivery has come; None where nothing is known. Raises Unavailable or Refused."""

    async def close(self) -> None:
        """Lets go of all connections. Safe to call twice."""
