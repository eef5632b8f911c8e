"""Why a token, ticket or refresh token is not taken: a word for each reason, and the error that carries it."""

from enum import StrEnum

from schemas.errors import CommandError, ErrorCode

MAX_TOKEN_BYTES = 8192


class Reason(StrEnum):
    """Why a token was refused, as a word for metrics and logs."""

    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    SIGNATURE = "signature"
    UNKNOWN_KEY = "unknown_key"
    CLAIMS = "claims"
    KIND = "kind"
    SUBJECT = "subject"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    REUSED = "reused"
    REVOKED = "revoked"
    ENDED = "ended"
    DISABLED = "disabled"


_TEXTS: dict[Reason, str] = {
    Reason.TOO_LONG: f"A token has at most {MAX_TOKEN_BYTES} bytes",
    Reason.MALFORMED: "This is no token",
    Reason.ALGORITHM: "The token is signed with an algorithm that is not taken here",
    Reason.SIGNATURE: "The token's signature is wrong",
    Reason.UNKNOWN_KEY: "The token is signed with an unknown key",
    Reason.CLAIMS: "The token's claims are incomplete or of the wrong type",
    Reason.KIND: "This kind of token is not taken here",
    Reason.SUBJECT: "The token names no user that can be one here",
    Reason.EXPIRED: "The token has expired",
    Reason.NOT_YET_VALID: "The token is not valid yet",
    Reason.ISSUER: "The token comes from another issuer",
    Reason.AUDIENCE: "The token is meant for another audience",
    Reason.REUSED: "The ticket or token has been used before",
    Reason.REVOKED: "The token has been revoked",
    Reason.ENDED: "This login has ended",
    Reason.DISABLED: "This account is disabled",
}


class TokenRefused(CommandError):
    """A token or ticket is not taken. The text repeats nothing of it; `reason` is the word for metrics."""

    def __init__(self, reason: Reason) -> None:
        code = ErrorCode.TOKEN_EXPIRED if reason is Reason.EXPIRED else ErrorCode.UNAUTHORIZED
        super().__init__(code, _TEXTS[reason])
        self.reason = reason
