"""The words for what goes wrong, in one place: error codes, close codes, and the errors that carry them.

Three levels of failure have three shapes. One command fails: an `error` reply with an `ErrorCode`. One channel
ends: an `unsubscribed` message with an `UnsubscribeCode`. The connection ends: a WebSocket close with a `CloseCode`.

    TickhubError
    ├── CommandError        one command was refused; the connection lives
    ├── Disconnect          the connection ends with a close code
    ├── Unavailable         a server we depend on did not answer; trying again later is right
    └── SettingsError       the process cannot start as configured
"""

from enum import IntEnum, StrEnum

from schemas.phrases import Phrase


class ErrorCode(StrEnum):
    """What a refused command or request says; the same words on the socket and over HTTP."""

    BAD_REQUEST = "BAD_REQUEST"
    UNAUTHORIZED = "UNAUTHORIZED"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105 - a word, not a password
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNKNOWN_CHANNEL = "UNKNOWN_CHANNEL"
    INVALID_SYMBOL = "INVALID_SYMBOL"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    ALREADY_SUBSCRIBED = "ALREADY_SUBSCRIBED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    UNRECOVERABLE_POSITION = "UNRECOVERABLE_POSITION"
    NOT_AVAILABLE = "NOT_AVAILABLE"
    INTERNAL = "INTERNAL"


HTTP_STATUS: dict[ErrorCode, int] = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.TOKEN_EXPIRED: 401,
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.UNKNOWN_CHANNEL: 404,
    ErrorCode.INVALID_SYMBOL: 404,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.ALREADY_SUBSCRIBED: 409,
    ErrorCode.LIMIT_EXCEEDED: 422,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNRECOVERABLE_POSITION: 409,
    ErrorCode.NOT_AVAILABLE: 503,
    ErrorCode.INTERNAL: 500,
}
"""The HTTP status that each error code travels with."""

TEMPORARY = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.NOT_AVAILABLE, ErrorCode.INTERNAL})
"""The codes after which the same command may succeed later, unchanged."""


ERROR_MEANING: dict[ErrorCode, str] = {
    ErrorCode.BAD_REQUEST: "not understood: wrong JSON, field, type or shape; the text says where",
    ErrorCode.UNAUTHORIZED: "no token, or one that is not taken",
    ErrorCode.TOKEN_EXPIRED: "the token has ended",
    ErrorCode.PERMISSION_DENIED: "not with this plan or role, or someone else's",
    ErrorCode.UNKNOWN_CHANNEL: "no such namespace, or a malformed name",
    ErrorCode.INVALID_SYMBOL: "no such symbol or exchange",
    ErrorCode.NOT_FOUND: "nothing there",
    ErrorCode.CONFLICT: "against the present state",
    ErrorCode.ALREADY_SUBSCRIBED: "reserved for dialects that ask for it; `subscribe` itself is idempotent",
    ErrorCode.LIMIT_EXCEEDED: "too long, too many",
    ErrorCode.RATE_LIMITED: "too fast",
    ErrorCode.UNRECOVERABLE_POSITION: "`history` after a position whose successors are gone",
    ErrorCode.NOT_AVAILABLE: "a server behind the hub is away, or the channel can't do this",
    ErrorCode.INTERNAL: "our fault",
}
"""When each error code is said, as the reference tells it."""


class CloseCode(IntEnum):
    """Why a connection ended. 3000-3499: connect again; 3500-3999: do not, something must change first."""

    SHUTDOWN = 3001
    TOKEN_EXPIRED = 3005
    SLOW = 3008
    NO_PONG = 3012
    UNAVAILABLE = 3013
    INVALID_TOKEN = 3500
    NO_AUTH = 3502
    FORCED = 3503
    CONNECTION_LIMIT = 3504
    PERMISSION_DENIED = 3507
    TOO_MANY_ERRORS = 3509


CLOSE_REASON: dict[CloseCode, str] = {
    CloseCode.SHUTDOWN: "shutdown",
    CloseCode.TOKEN_EXPIRED: "token expired",
    CloseCode.SLOW: "slow",
    CloseCode.NO_PONG: "no pong",
    CloseCode.UNAVAILABLE: "try again later",
    CloseCode.INVALID_TOKEN: "invalid token",
    CloseCode.NO_AUTH: "no auth in time",
    CloseCode.FORCED: "forced",
    CloseCode.CONNECTION_LIMIT: "connection limit",
    CloseCode.PERMISSION_DENIED: "permission denied",
    CloseCode.TOO_MANY_ERRORS: "too many errors",
}
"""The reason text in the close frame; stable, short and without details."""


CLOSE_MEANING: dict[CloseCode, str] = {
    CloseCode.SHUTDOWN: "the instance shuts down; `shutdown` has said when to come back",
    CloseCode.TOKEN_EXPIRED: "the token expired; connect again with a new one",
    CloseCode.SLOW: "too slow: nothing was taken for the set time, or log messages piled up",
    CloseCode.NO_PONG: "no pong",
    CloseCode.UNAVAILABLE: "the token, or what it may hear, could not be checked just now; try again later",
    CloseCode.INVALID_TOKEN: "the token is invalid or revoked",
    CloseCode.NO_AUTH: "no token within 10 seconds",
    CloseCode.FORCED: "ended by an administrator",
    CloseCode.CONNECTION_LIMIT: "too many connections",
    CloseCode.PERMISSION_DENIED: "the page's origin is not allowed, or an API key has not the scope `socket`",
    CloseCode.TOO_MANY_ERRORS: "ten errors in a row",
}
"""When each close code is sent, as the reference tells it."""


class UnsubscribeCode(IntEnum):
    """Why the server ended one subscription. 2500 and above: subscribe again, without or with `recover`."""

    FORCED = 2000
    PERMISSION_DENIED = 2003
    NOT_CARRIED = 2004
    """The feeds' accounts carry no more instruments, or not this one."""
    INSUFFICIENT_STATE = 2500
    """The messages between two positions are gone; the client must start from the present."""


UNSUBSCRIBE_MEANING: dict[UnsubscribeCode, str] = {
    UnsubscribeCode.FORCED: "the server ended it, such as when its namespace is taken out",
    UnsubscribeCode.PERMISSION_DENIED: "the token no longer allows it",
    UnsubscribeCode.NOT_CARRIED: "the feeds' accounts carry no more instruments, or not this one; `reason` says which",
    UnsubscribeCode.INSUFFICIENT_STATE: "messages between two positions are lost",
}
"""When each of these codes is said, as the reference tells it."""


class TickhubError(Exception):
    """The root of all errors that the project raises on purpose."""


class CommandError(TickhubError):
    """One command or request is refused; whoever sent it is told, and nothing else happens.

    `text` is English and a constant, so that it can be translated; what varies in it stands as `{name}` and comes as
    keyword: `CommandError(code, "At most {count} channels", count=3000)`. Without keywords it is taken as it is.
    """

    def __init__(self, code: ErrorCode, text: str, /, **values: object) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.values = values

    @property
    def message(self) -> str:
        """The text with its values, in English."""
        return self.text.format(**self.values) if self.values else self.text

    @property
    def temporary(self) -> bool:
        """Whether the same command may succeed later, unchanged."""
        return self.code in TEMPORARY

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Disconnect(TickhubError):
    """The connection ends with `code`; the reason is the code's own."""

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code)
        self.code = code

    @property
    def reason(self) -> str:
        """The text for the close frame."""
        return CLOSE_REASON[self.code]

    def __str__(self) -> str:
        return f"{int(self.code)} {self.reason}"


class Unavailable(TickhubError):
    """A server we depend on (`what`) failed or did not answer in time; the cause is chained."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    @property
    def refusal(self) -> CommandError:
        """What is told to whoever asked for something that needs it."""
        return CommandError(
            ErrorCode.NOT_AVAILABLE, "{what} is not available: {why}", what=Phrase(self.what), why=self.why
        )

    def __str__(self) -> str:
        return f"{self.what} is not available: {self.why}"


class SettingsError(TickhubError):
    """The settings are wrong; `faults` holds one line for each, every line opening with the variable's name."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)
