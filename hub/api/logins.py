"""How somebody gets in, whichever way they prove who they are: what is asked, limited, remembered and answered."""

import msgspec

from auth.account import Account, Status
from auth.addresses import read_email
from auth.audit import Level
from auth.challenges import Kind
from auth.sessions import RefreshReused, Tokens
from hub.api.account_views import LoggedIn, SecondFactorWanted, account_view
from hub.api.people import People
from hub.api.trail import event
from hub.http.endpoint import Call, Reply
from notifiers.wording.letters import device_of
from schemas.errors import CommandError, ErrorCode
from schemas.phrases import translatable

CHALLENGE_S = 300
"""For how long a second factor may be given."""

REGISTRATION = "registration"
"""Making accounts stays limited by address, also where it succeeds."""

_WRONG = translatable("The mail address or the password is wrong")


def login_over() -> CommandError:
    """What is said of a challenge that isn't open, or not any more."""
    return CommandError(ErrorCode.UNAUTHORIZED, "Log in again: this took too long, or too many codes were wrong")


class Logins:
    """The ways in, and what they have in common."""

    def __init__(self, people: People) -> None:
        self._people = people

    async def by_password(
        self, call: Call, email: str, password: str, *, cookie: bool
    ) -> Reply[LoggedIn | SecondFactorWanted]:
        """Whoever knows the password. The same answer, after the same work, for a wrong one and an unknown address.

        Raises CommandError UNAUTHORIZED, RATE_LIMITED, or PERMISSION_DENIED for a disabled account.
        """
        people = self._people
        async with people.one_guess(call, _subject(email)):
            account = await people.accounts.authenticate(email, password)
            if account is None:
                await people.record_failure(call, "login.failed", await people.accounts.by_email(email))
                raise CommandError(ErrorCode.UNAUTHORIZED, _WRONG)
        return await self.enter(call, account, by="password", cookie=cookie)

    async def enter(
        self, call: Call, account: Account, *, by: str, cookie: bool = False
    ) -> Reply[LoggedIn | SecondFactorWanted]:
        """Lets in who has proved to be that account, or asks for the second factor first."""
        await self._check_enabled(call, account)
        if not account.two_factor:
            return await self._start(call, account, by=by, cookie=cookie)
        details = {"by": by, "credentials": account.credentials}
        issued = await self._people.challenges.issue(Kind.LOGIN, account.id, lifetime_s=CHALLENGE_S, details=details)
        await self._people.let_in(call)
        methods = ["totp", *(["email"] if account.email_verified else []), *(["sms"] if account.phone_verified else [])]
        wanted = SecondFactorWanted(
            two_factor_required=True, challenge=issued.token, methods=methods, expires_in=CHALLENGE_S
        )
        return Reply(wanted)

    async def by_second_factor(self, call: Call, challenge: str, code: str, *, cookie: bool) -> Reply[LoggedIn]:
        """Whoever has the second factor as well: a TOTP code, a recovery code, or one that was sent."""
        people = self._people
        found = await people.challenges.look(Kind.LOGIN, challenge)
        if found is None or not await people.challenges.spend_attempt(Kind.LOGIN, challenge):
            raise login_over()
        account = await people.accounts.get(found.user_id)
        if account is None:
            raise CommandError(ErrorCode.UNAUTHORIZED, _WRONG)
        async with people.one_guess(call, account.id):
            factor = await self._factor(call, account, challenge, code)
        await self._check_enabled(call, account)
        begun = msgspec.structs.replace(account, credentials=str(found.details.get("credentials")))
        return await self._start(call, begun, by=f"{found.details.get('by', 'password')}+{factor}", cookie=cookie)

    async def refresh(self, call: Call, token: str | None) -> Reply[LoggedIn]:
        """New tokens for a refresh token, which is used up. One that was used before ends its whole login."""
        given = token if token is not None else self._people.cookie.read(call.request)
        if given is None:
            raise CommandError(ErrorCode.UNAUTHORIZED, "Expected a refresh token - at `$.refresh_token`")
        try:
            tokens = await self._people.sessions.refresh(given, user_agent=call.user_agent, address=call.address)
        except RefreshReused as exc:
            await self._people.announce(exc.revocations)
            entry = event(call, "session.reused", level=Level.CRITICAL, actor=exc.user, target=exc.session, risk=90)
            await self._people.audit.record(entry)
            raise
        account = await self._people.accounts.get(tokens.user)
        if account is None:
            raise CommandError(ErrorCode.UNAUTHORIZED, "This account is gone")
        await self._people.let_in(call)
        return await self._answer(tokens, account, cookie=token is None)

    async def _start(self, call: Call, account: Account, *, by: str, cookie: bool) -> Reply[LoggedIn]:
        people = self._people
        if cookie:
            people.cookie.check(call.request)
        strange = by != REGISTRATION and await self._is_strange(call, account)
        tokens = await people.sessions.start(
            account.id, credentials=account.credentials, user_agent=call.user_agent, address=call.address
        )
        await people.announce(tokens.revocations)
        await people.accounts.logged_in(account.id)
        if by != REGISTRATION:
            await people.let_in(call)
        await people.audit.record(event(call, "login.succeeded", actor=account.id, target=tokens.session, by=by))
        if strange:
            spoken = await people.language(account.id, call)
            people.write("new_login", account, spoken, device=device_of(call.user_agent), address=call.address)
        return await self._answer(tokens, account, cookie=cookie)

    async def _is_strange(self, call: Call, account: Account) -> bool:
        """Whether its owner should hear of this login: the account was used before, but neither from here nor so."""
        if account.last_login_at is None or not account.email_verified:
            return False
        facts = await self._people.failures.facts(account, address=call.address, user_agent=call.user_agent)
        return not (facts.known_address or facts.known_agent)

    async def _answer(self, tokens: Tokens, account: Account, *, cookie: bool) -> Reply[LoggedIn]:
        answer = LoggedIn(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            expires_in=tokens.expires_in,
            refresh_expires_in=tokens.refresh_expires_in,
            user=account_view(account, await self._people.preferences.get(account.id)),
        )
        if not cookie:
            return Reply(answer)
        headers = self._people.cookie.header(tokens.refresh_token, tokens.refresh_expires_in)
        return Reply(msgspec.structs.replace(answer, refresh_token=msgspec.UNSET), headers=headers)

    async def _factor(self, call: Call, account: Account, challenge: str, code: str) -> str:
        """Which factor the code proved; the challenge is used up with it. Raises CommandError UNAUTHORIZED."""
        people = self._people
        try:
            await people.challenges.redeem(Kind.LOGIN, challenge, code, counted=True)
        except CommandError:
            try:
                factor = await people.two_factor.check(account.id, code)
            except CommandError:
                await people.record_failure(call, "login.failed", account, second_factor=False)
                raise
            await people.challenges.consume(Kind.LOGIN, challenge)
            return str(factor)
        return "sent_code"

    async def _check_enabled(self, call: Call, account: Account) -> None:
        if account.status is Status.ACTIVE:
            return
        entry = event(call, "login.disabled", level=Level.WARNING, actor=account.id, risk=50)
        await self._people.audit.record(entry)
        raise CommandError(ErrorCode.PERMISSION_DENIED, "This account is disabled")


def _subject(email: str) -> str:
    """Whom a guess is counted against: the address in its one spelling, whether somebody has it or not."""
    try:
        return read_email(email).key
    except CommandError:
        return email.strip().casefold()
