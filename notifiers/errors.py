"""What can go wrong on the way to a person. A provider that can't be reached is `schemas.errors.Unavailable`.

The difference matters to whoever decides about another try:

    Unavailable      nothing was taken over: try again later
    Refused          the provider said no, for now or for good
    OutcomeUnknown   it may have been taken over: another try may say it twice
"""

from schemas.errors import TickhubError


class Refused(TickhubError):
    """The provider refuses this letter or text; `reason` is a code such as `SMTP 550`, without words of the provider's.

    What is not `permanent` may be taken later, unchanged.
    """

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason, permanent)
        self.reason = reason
        self.permanent = permanent

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
