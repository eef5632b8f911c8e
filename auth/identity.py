"""Who is asking: what a verified token says of its bearer."""

import re
from enum import StrEnum

import msgspec


class Plan(StrEnum):
    """What the bearer has paid for, from the least to the most."""

    FREE = "free"
    BASIC = "basic"
    PRO = "pro"
    ENTERPRISE = "enterprise"


class Role(StrEnum):
    """What the bearer is: a person, a server that publishes, or an administrator."""

    USER = "user"
    PUBLISHER = "publisher"
    ADMIN = "admin"


LANGUAGES = ("en", "hi", "mr", "gu", "kn")
"""What users are spoken to in: English, Hindi, Marathi, Gujarati, Kannada."""


_ACCOUNT_ID = re.compile(r"u_[a-z2-7]{16}")


def is_account_id(user: str) -> bool:
    """Whether a user's id is one of an account here; no foreign token may bear such a one."""
    return _ACCOUNT_ID.fullmatch(user) is not None


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The bearer of one token. Times are Unix seconds.

    `token_id` is the token's `jti`, or a digest of what was signed where it has none; revocations name it.
    `issued_at` is 0 where the token doesn't say, so that every revocation of its user reaches it. `session` is the
    login that the token comes from, where it comes from one. `scopes` is None for a token, which may do all that its
    bearer may, and for an API key what the key is for. `language` is the bearer's wish, as a code of `LANGUAGES`.
    `foreign` is whether the token is somebody else's login's, which knows nothing of what was granted here.
    """

    user: str
    plan: Plan = Plan.FREE
    role: Role = Role.USER
    token_id: str
    issued_at: int
    expires_at: int
    session: str | None = None
    scopes: frozenset[str] | None = None
    language: str | None = None
    foreign: bool = False
