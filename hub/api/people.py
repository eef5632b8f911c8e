"""What everything about accounts works with, and what it does in many places."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import msgspec

from auth.account import Account, Status
from auth.accounts import Accounts
from auth.api_keys import ApiKeys
from auth.audit import Audit, Level
from auth.challenges import Challenges, Kind
from auth.failures import Failures
from auth.identity import Identity, is_account_id
from auth.limits import RateLimited, RateLimits, Rule, address_subject
from auth.preferences import Preferences
from auth.push_subscriptions import PushSubscriptions
from auth.revocations import Revocation
from auth.risk import risk_of_failure
from auth.sessions import Sessions
from auth.two_factor import TwoFactor
from hub.api.account_views import UserView, user_view
from hub.api.errands import Errands
from hub.api.trail import event
from hub.http.endpoint import Call
from hub.http.refresh_cookie import RefreshCookie
from hub.post import Post
from schemas.errors import CommandError, ErrorCode, Unavailable

log = logging.getLogger("tickhub.hub.api.people")

VERIFY_EMAIL_S = 3 * 86_400
EVERYWHERE_TIMES = 5
"""How many times as many guesses all addresses together have as one."""
MESSAGES = 5
"""Codes that are sent to one telephone or address in a window."""

_WRONG = frozenset({ErrorCode.UNAUTHORIZED, ErrorCode.PERMISSION_DENIED})
"""How a secret that is not right is refused; every other error says nothing of it."""


class People(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts and what belongs to them. `announce` puts committed revocations in force; `revoke` ends one token."""

    accounts: Accounts
    sessions: Sessions
    two_factor: TwoFactor
    challenges: Challenges
    preferences: Preferences
    push_subscriptions: PushSubscriptions
    keys: ApiKeys
    audit: Audit
    failures: Failures
    limits: RateLimits
    post: Post
    errands: Errands
    cookie: RefreshCookie
    announce: Callable[[Iterable[Revocation]], Awaitable[None]]
    revoke: Callable[[Identity], Awaitable[Revocation]]
    revoke_user: Callable[[str], Awaitable[None]]
    delete_alerts: Callable[[str], Awaitable[object]]

    async def account(self, call: Call) -> Account:
        """The caller's account. Raises CommandError NOT_FOUND where the token belongs to none here."""
        account = await self.accounts.get(call.caller.user)
        if account is None:
            raise CommandError(ErrorCode.NOT_FOUND, "This token belongs to no account here")
        return account

    async def view(self, call: Call) -> UserView:
        """The caller, as far as known."""
        caller = call.caller
        return user_view(caller, await self.accounts.get(caller.user), await self.preferences.get(caller.user))

    async def language(self, user: str, call: Call) -> str:
        """What letters to a user are written in."""
        return (await self.preferences.get(user)).language or call.language

    @asynccontextmanager
    async def one_guess(self, call: Call, subject: str) -> AsyncIterator[None]:
        """Around the check of a secret, which raises where it is wrong: counted before, given back where it was not.

        Raises RateLimited where too many were wrong, so that a thousand guesses at once don't slip through: of one
        address first, so that no stranger can lock an account's owner out, and of all addresses together.
        """
        near = f"{subject} {address_subject(call.address)}"
        everywhere = EVERYWHERE_TIMES * self.limits.limits[Rule.FAILURES].quota
        try:
            await self.limits.take(Rule.FAILURES, near)
            await self.limits.take(Rule.FAILURES, subject, quota=everywhere)
        except RateLimited:
            await self._record_limited(call, subject)
            raise
        wrong = False
        try:
            yield
        except CommandError as exc:
            wrong = exc.code in _WRONG
            raise
        finally:
            if not wrong:
                await self.limits.give_back(Rule.FAILURES, near)
                await self.limits.give_back(Rule.FAILURES, subject)

    async def _record_limited(self, call: Call, subject: str) -> None:
        """Write down that guesses are refused unseen, once a window."""
        try:
            await self.limits.take(Rule.FAILURES, f"told {subject}", quota=1)
        except RateLimited:
            return
        actor = subject if is_account_id(subject) else None
        self.audit.note(event(call, "login.limited", level=Level.WARNING, actor=actor, risk=80))

    async def one_message(self, account: Account, channel: str) -> None:
        """Count a code that is sent to an account's telephone or address. Raises RateLimited after a few."""
        await self.limits.take(Rule.FAILURES, f"{channel} {account.id}", quota=MESSAGES)

    def write(self, kind: str, account: Account, language: str, **values: str) -> None:
        """Have a letter sent that tells what has happened; what has happened stands, even if the post is full."""
        try:
            self.post.mail(kind, account.email, language, name=account.name, **values)
        except Unavailable as exc:
            log.warning("letter.unsent", extra={"kind": kind, "user": account.id, "why": exc.why})

    async def let_in(self, call: Call) -> None:
        """Take back what the attempt cost its address: only who fails is to meet the limit on logins.

        A whole office may have one address.
        """
        await self.limits.give_back(Rule.LOGIN, address_subject(call.address))

    async def check_password(self, call: Call, account: Account, password: str, *, place: str) -> None:
        """Let who knows the account's password pass. Raises CommandError PERMISSION_DENIED, RATE_LIMITED."""
        async with self.one_guess(call, account.id):
            if not await self.accounts.verify_password(account.id, password):
                await self.record_failure(call, "password.refused", account)
                raise CommandError(ErrorCode.PERMISSION_DENIED, "The password is wrong - at `{place}`", place=place)

    async def record_failure(
        self, call: Call, action: str, account: Account | None, *, second_factor: bool | None = None
    ) -> None:
        """Write down a proof that was not good, and how alarming that is."""
        facts = await self.failures.facts(
            account, address=call.address, user_agent=call.user_agent, second_factor=second_factor
        )
        actor = account.id if account is not None else None
        risk = risk_of_failure(facts)
        await self.audit.record(event(call, action, level=Level.WARNING, actor=actor, risk=risk))

    async def send_verification(self, account: Account, language: str) -> None:
        """Have a link mailed that proves the account's address."""
        issued = await self.challenges.issue(
            Kind.VERIFY_EMAIL, account.id, lifetime_s=VERIFY_EMAIL_S, details={"email_key": account.email.casefold()}
        )
        self.post.mail("verify_email", account.email, language, name=account.name, token=issued.token)

    async def forget(self, account: Account) -> None:
        """Delete an account, and end its logins, tokens and keys; from the first step on nobody gets in any more."""
        await self.accounts.administer(account.id, status=Status.DISABLED)
        await self.announce(await self.sessions.end_all(account.id, "deleted"))
        await self.announce(await self.keys.revoke_all(account.id))
        await self.revoke_user(account.id)
        await self.delete_alerts(account.id)
        await self.accounts.delete(account.id)
