"""Why a token, ticket or refresh token is not taken: a word for each reason, and the error that carries it."""

from enum import StrEnum

from schemas.errors import CommandError, ErrorCode
from schemas.phrases import translatable

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
    Reason.TOO_LONG: translatable("A token has at most {most} bytes"),
    Reason.MALFORMED: translatable("This is no token"),
    Reason.ALGORITHM: translatable("The token is signed with an algorithm that is not taken here"),
    Reason.SIGNATURE: translatable("The token's signature is wrong"),
    Reason.UNKNOWN_KEY: translatable("The token is signed with an unknown key"),
    Reason.CLAIMS: translatable("The token's claims are incomplete or of the wrong type"),
    Reason.KIND: translatable("This kind of token is not taken here"),
    Reason.SUBJECT: translatable("The token names no user that can be one here"),
    Reason.EXPIRED: translatable("The token has expired"),
    Reason.NOT_YET_VALID: translatable("The token is not valid yet"),
    Reason.ISSUER: translatable("The token comes from another issuer"),
    Reason.AUDIENCE: translatable("The token is meant for another audience"),
    Reason.REUSED: translatable("The ticket or token has been used before"),
    Reason.REVOKED: translatable("The token has been revoked"),
    Reason.ENDED: translatable("This login has ended"),
    Reason.DISABLED: translatable("This account is disabled"),
}


class TokenRefused(CommandError):
    """A token or ticket is not taken. The text repeats nothing of it; `reason` is the word for metrics."""

    def __init__(self, reason: Reason) -> None:
        code = ErrorCode.TOKEN_EXPIRED if reason is Reason.EXPIRED else ErrorCode.UNAUTHORIZED
        super().__init__(code, _TEXTS[reason], most=MAX_TOKEN_BYTES)
        self.reason = reason
