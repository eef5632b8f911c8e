"""What can go wrong on the way to a person. A provider that can't be reached is `schemas.errors.Unavailable`.

The difference matters to whoever decides about another try:

    Unavailable      nothing was taken over: try again later
    Refused          the provider said no, for now or for good
    OutcomeUnknown   it may have been taken over: another try may say it twice
"""

from enum import StrEnum

from schemas.durations import Seconds
from schemas.errors import TickhubError


class Blame(StrEnum):
    """What is wrong where a provider refuses."""

    MESSAGE = "message"
    """This one alone."""
    ADDRESS = "address"
    """Whoever is at that address can't be reached by this channel, or doesn't want to: write there no more."""
    HANDSET = "handset"
    """Switched off or out of reach: one more try, later."""
    PROVIDER = "provider"
    """The account, its settings or its licence: no other message fares better until somebody acts."""


class Refused(TickhubError):
    """The provider refuses this letter or text; `reason` is a code such as `SMTP 550`, without words of the provider's.

    What is not `permanent` may be taken later, unchanged: after `retry_after_s` where it says so.
    """

    def __init__(
        self, reason: str, *, permanent: bool, blame: Blame = Blame.MESSAGE, retry_after_s: Seconds | None = None
    ) -> None:
        super().__init__(reason, permanent, blame)
        self.reason = reason
        self.permanent = permanent
        self.blame = blame
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"refused {'for good' if self.permanent else 'for now'}: {self.reason}"


class OutcomeUnknown(TickhubError):
    """The provider was asked, and it is not known whether it acts on it; the cause is chained."""

    def __init__(self, provider: str, why: str) -> None:
        super().__init__(provider, why)
        self.provider = provider
        self.why = why

    def __str__(self) -> str:
        return f"{self.provider} may have taken it: {self.why}"
