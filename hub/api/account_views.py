"""Accounts and logins as the HTTP API shows them."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from auth.account import Account
from auth.identity import Identity, Plan, Role
from auth.preferences import Preference
from schemas.market import moment_text


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """One user. Without an account here (a token from elsewhere) only what the token says is known."""

    id: str
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    phone: str | None = None
    phone_verified: bool = False
    plan: Plan
    role: Role
    two_factor: bool = False
    language: str | None = None
    theme: str | None = None
    timezone: str | None = None
    created_at: str | None = None
    last_login_at: str | None = None


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens. `refresh_token` is missing where it went into a cookie; times are seconds."""

    access_token: str
    refresh_token: str | UnsetType = UNSET
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a scheme, no password
    expires_in: int
    refresh_expires_in: int
    user: UserView


class SecondFactorWanted(msgspec.Struct, frozen=True, kw_only=True):
    """The password was right, and a code is wanted: `POST auth/2fa/verify` with the challenge."""

    two_factor_required: Literal[True]
    challenge: str
    methods: list[str]
    """`totp` always; `email` and `sms` where a code can be sent there."""
    expires_in: int


def user_view(identity: Identity, account: Account | None, preference: Preference) -> UserView:
    """The user behind an identity."""
    if account is not None:
        return account_view(account, preference)
    return UserView(
        id=identity.user,
        plan=identity.plan,
        role=identity.role,
        language=preference.language,
        theme=preference.theme,
        timezone=preference.timezone,
    )


def account_view(account: Account, preference: Preference) -> UserView:
    """The user of an account."""
    return UserView(
        id=account.id,
        email=account.email,
        email_verified=account.email_verified,
        name=account.name,
        phone=account.phone,
        phone_verified=account.phone_verified,
        plan=account.plan,
        role=account.role,
        two_factor=account.two_factor,
        language=preference.language,
        theme=preference.theme,
        timezone=preference.timezone,
        created_at=moment_text(account.created_at),
        last_login_at=moment_text(account.last_login_at),
    )
