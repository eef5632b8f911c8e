"""What goes wrong between us and a vendor."""

from schemas.errors import TickhubError


class VendorRefused(TickhubError):
    """A vendor answered and refused. `status` is HTTP's, or 0; `expired`: the credentials are the reason."""

    def __init__(self, reason: str, *, status: int = 0, expired: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.expired = expired
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return self.reason


class CredentialsMissing(TickhubError):
    """Credentials are not set; `names` are the settings' names."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names

    def __str__(self) -> str:
        return f"{', '.join(self.names)} must be set"


class CredentialsUnreadable(CredentialsMissing):
    """Credentials are set to come from a file that can't be read; `why` says which and why not."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__([name])
        self.why = why

    def __str__(self) -> str:
        return f"{self.names[0]}: {self.why}"


class ConnectionLost(TickhubError):
    """A vendor can't be reached, or a connection has ended or gone dead; trying again is right.

    `reason` is one sentence for people, without credentials.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class BadFile(TickhubError):
    """A file (an instrument master, a recording, a price file) is not what it should be."""
