"""`/api/v1/auth`: accounts made, logins, passwords, tickets."""

from typing import Annotated

import msgspec
from msgspec import Meta

from auth.account import Account
from auth.audit import Level
from auth.challenges import Kind
from auth.identity import LANGUAGES
from auth.tickets import Tickets
from hub.api.account_views import LoggedIn, SecondFactorWanted, UserView
from hub.api.logins import REGISTRATION, Logins
from hub.api.people import People
from hub.api.trail import event
from hub.http.endpoint import Access, Call, Endpoint, Nothing, Reply
from schemas.errors import CommandError, ErrorCode
from schemas.market import moment_text

RESET_PASSWORD_S = 1800

Email = Annotated[str, Meta(min_length=3, max_length=254)]
Password = Annotated[str, Meta(min_length=1, max_length=256)]
"""Longer than any that is taken, so that the answer can say what is."""
Token = Annotated[str, Meta(min_length=1, max_length=8192)]
Language = Annotated[str, Meta(pattern=f"^({'|'.join(LANGUAGES)})$")]


class RegisterBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST auth/register`."""

    email: Email
    password: Password
    name: Annotated[str, Meta(max_length=100)] = ""
    phone: Annotated[str, Meta(max_length=32)] | None = None
    language: Language | None = None
    cookie: bool = False


class LoginBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST auth/login`. With `cookie` the refresh token comes as a cookie that no script can read."""

    email: Email
    password: Password
    cookie: bool = False


class RefreshBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST auth/refresh`; without a token the cookie is read."""

    refresh_token: Token | None = None


class LogoutBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST auth/logout`: this login, or all of them."""

    everywhere: bool = False
    refresh_token: Token | None = None
    """Says which login, where the access token has ended."""


class ChangePasswordBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST auth/change-password`."""

    current_password: Password
    new_password: Password


class ForgotPasswordBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST auth/forgot-password`."""

    email: Email


class ResetPasswordBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST auth/reset-password`."""

    token: Token
    password: Password


class VerifyEmailBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST auth/verify-email`."""

    token: Token


class TicketView(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into a WebSocket's URL, once, within so many seconds."""

    ticket: str
    expires_in: int


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """One login: a browser, a telephone."""

    id: str
    current: bool
    created_at: str
    last_used_at: str
    expires_at: str
    user_agent: str
    address: str


class SessionsView(msgspec.Struct, frozen=True, kw_only=True):
    """All logins of a user, the newest first."""

    items: list[SessionView]
    total: int


class EndedView(msgspec.Struct, frozen=True, kw_only=True):
    """How many other logins were ended."""

    sessions_ended: int


class AuthApi:
    """The routes of accounts and logins."""

    def __init__(self, people: People, logins: Logins, tickets: Tickets) -> None:
        self._people = people
        self._logins = logins
        self._tickets = tickets

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        public, refused = Access.PUBLIC, (ErrorCode.UNAUTHORIZED, ErrorCode.PERMISSION_DENIED)
        unknown = (ErrorCode.NOT_FOUND,)
        return [
            Endpoint(
                "POST",
                "/auth/register",
                self.register,
                access=public,
                limit="login",
                status=201,
                errors=(ErrorCode.CONFLICT,),
            ),
            Endpoint("POST", "/auth/login", self.login, access=public, limit="login", errors=refused),
            Endpoint("POST", "/auth/refresh", self.refresh, access=public, limit="login", errors=refused),
            Endpoint("POST", "/auth/logout", self.logout, access=public, errors=refused),
            Endpoint("POST", "/auth/change-password", self.change_password, limit="login", errors=unknown),
            Endpoint("POST", "/auth/forgot-password", self.forgot_password, access=public, limit="login", status=202),
            Endpoint(
                "POST",
                "/auth/reset-password",
                self.reset_password,
                access=public,
                limit="login",
                errors=(ErrorCode.UNAUTHORIZED,),
            ),
            Endpoint(
                "POST",
                "/auth/verify-email",
                self.verify_email,
                access=public,
                limit="login",
                errors=(ErrorCode.UNAUTHORIZED,),
            ),
            Endpoint(
                "POST",
                "/auth/verify-email/send",
                self.send_verification,
                limit="login",
                status=202,
                errors=(ErrorCode.CONFLICT, *unknown),
            ),
            Endpoint("POST", "/auth/ticket", self.ticket, scope="socket", status=201),
            Endpoint("GET", "/auth/profile", self.profile),
            Endpoint("GET", "/auth/sessions", self.sessions),
            Endpoint("DELETE", "/auth/sessions/{id}", self.end_session, errors=unknown),
        ]

    # -- getting in ---------------------------------------------------------------------------------------------------

    async def register(self, call: Call, body: RegisterBody) -> Reply[LoggedIn]:
        """Make an account and log in.

        A link to verify the address goes out by mail; until it is used only what is asked for is sent there.
        """
        people = self._people
        people.post.admit()
        try:
            account = await people.accounts.create(body.email, body.password, body.name, phone=body.phone)
        except CommandError as exc:
            if exc.code is ErrorCode.CONFLICT:
                people.errands.send("address.taken", lambda: self._tell_owner(body.email, call.language))
            raise
        if body.language is not None:
            await people.preferences.put(account.id, language=body.language)
        await people.audit.record(event(call, "account.created", actor=account.id))
        await people.send_verification(account, body.language or call.language)
        answer = await self._logins.enter(call, account, by=REGISTRATION, cookie=body.cookie)
        assert isinstance(answer.data, LoggedIn)  # noqa: S101 - a new account has no second factor
        return Reply(answer.data, 201, answer.headers)

    async def _tell_owner(self, address: str, language: str) -> None:
        """Write to whom an address belongs that somebody has tried to register."""
        people = self._people
        account = await people.accounts.by_email(address)
        if account is not None and account.email_verified:
            await people.one_message(account, "taken")
            spoken = (await people.preferences.get(account.id)).language or language
            people.write("address_taken", account, spoken)

    async def login(self, call: Call, body: LoginBody) -> Reply[LoggedIn | SecondFactorWanted]:
        """Log in with mail address and password.

        Where a second factor is on, the answer is a challenge for `POST auth/2fa/verify` instead of tokens.
        """
        return await self._logins.by_password(call, body.email, body.password, cookie=body.cookie)

    async def refresh(self, call: Call, body: RefreshBody) -> Reply[LoggedIn]:
        """Get new tokens for a refresh token, which is used up.

        One that is used a second time has been stolen, or its thief was first: the whole login ends.
        """
        return await self._logins.refresh(call, body.refresh_token)

    async def logout(self, call: Call, body: LogoutBody) -> Reply[Nothing]:
        """End this login, or all logins, on every instance, with the sockets they opened.

        Whose access token has ended says which login by its refresh token, or by the cookie.
        """
        people = self._people
        if call.identity is None:
            return await self._logout_by_refresh_token(call, body)
        caller = call.caller
        if body.everywhere:
            await people.announce(await people.sessions.end_all(caller.user, "logout"))
            if caller.session is None:
                await people.revoke_user(caller.user)
        elif caller.session is not None:
            await people.announce(await people.sessions.end(caller.session, caller.user, "logout"))
        else:
            await people.revoke(caller)
        people.audit.note(event(call, "logout", target=caller.session, everywhere=body.everywhere))
        return Reply(Nothing(), headers=people.cookie.cleared())

    async def _logout_by_refresh_token(self, call: Call, body: LogoutBody) -> Reply[Nothing]:
        people = self._people
        token = body.refresh_token or people.cookie.read(call.request)
        if token is None:
            raise CommandError(ErrorCode.UNAUTHORIZED, "Expected `Authorization: Bearer` with a token")
        user, session = people.sessions.whose(token)
        if body.everywhere:
            await people.announce(await people.sessions.end_all(user, "logout"))
        else:
            await people.announce(await people.sessions.end(session, user, "logout"))
        people.audit.note(event(call, "logout", actor=user, target=session, everywhere=body.everywhere))
        return Reply(Nothing(), headers=people.cookie.cleared())

    # -- passwords ----------------------------------------------------------------------------------------------------

    async def change_password(self, call: Call, body: ChangePasswordBody) -> EndedView:
        """Change the password; all other logins end."""
        people = self._people
        account = await people.account(call)
        people.accounts.check_password(body.new_password, account, place="$.new_password")
        await people.check_password(call, account, body.current_password, place="$.current_password")
        await people.accounts.set_password(account.id, body.new_password, place="$.new_password")
        return await self._password_changed(call, account, keep=call.caller.session)

    async def forgot_password(self, call: Call, body: ForgotPasswordBody) -> Nothing:
        """Have a link mailed with which a new password can be set.

        The answer is the same whether there is such an account or not.
        """
        people, language = self._people, call.language

        async def send() -> None:
            account = await people.accounts.by_email(body.email)
            if account is None:
                return
            await people.one_message(account, "reset")
            issued = await people.challenges.issue(
                Kind.RESET_PASSWORD, account.id, lifetime_s=RESET_PASSWORD_S, details=_state(account)
            )
            spoken = (await people.preferences.get(account.id)).language or language  # the request is long answered
            people.post.mail("reset_password", account.email, spoken, name=account.name, token=issued.token)

        people.errands.send("password.reset", send)
        await people.audit.record(event(call, "password.reset_asked"))
        return Nothing()

    async def reset_password(self, call: Call, body: ResetPasswordBody) -> EndedView:
        """Set a new password with the token out of the mail; all logins end."""
        people = self._people
        found = await people.challenges.look(Kind.RESET_PASSWORD, body.token)
        account = await people.accounts.get(found.user_id) if found is not None else None
        if account is None or found is None or found.details != _state(account):
            raise CommandError(ErrorCode.UNAUTHORIZED, "The link is wrong, has been used, or is too old")
        people.accounts.check_password(body.password, account)
        await people.challenges.redeem(Kind.RESET_PASSWORD, body.token)
        await people.accounts.set_password(account.id, body.password)
        if not account.email_verified:
            await self._take_over(account)
        return await self._password_changed(call, account, keep=None)

    async def _take_over(self, account: Account) -> None:
        """Whoever registered with this address had not proved it, and now its owner has: nothing of theirs remains."""
        people = self._people
        await people.two_factor.disable(account.id)
        await people.announce(await people.keys.revoke_all(account.id))
        await people.accounts.verify_email(account.id, account.email.casefold())

    async def _password_changed(self, call: Call, account: Account, *, keep: str | None) -> EndedView:
        people = self._people
        ended = await people.sessions.end_all(account.id, "password", except_session=keep)
        await people.announce(ended)
        await people.audit.record(event(call, "password.changed", level=Level.WARNING, actor=account.id))
        people.write("password_changed", account, await people.language(account.id, call))
        return EndedView(sessions_ended=len(ended))

    # -- the address --------------------------------------------------------------------------------------------------

    async def verify_email(self, call: Call, body: VerifyEmailBody) -> Nothing:
        """Verify a mail address with the token out of the mail."""
        people = self._people
        found = await people.challenges.redeem(Kind.VERIFY_EMAIL, body.token)
        if not await people.accounts.verify_email(found.user_id, str(found.details.get("email_key"))):
            raise CommandError(ErrorCode.UNAUTHORIZED, "The link is for an address that is no longer yours")
        await people.audit.record(event(call, "email.verified", actor=found.user_id))
        return Nothing()

    async def send_verification(self, call: Call) -> Nothing:
        """Have the mail with the link to verify the address sent again."""
        account = await self._people.account(call)
        if account.email_verified:
            raise CommandError(ErrorCode.CONFLICT, "The address is verified already")
        await self._people.send_verification(account, await self._people.language(account.id, call))
        return Nothing()

    # -- what one is and has ------------------------------------------------------------------------------------------

    async def ticket(self, call: Call) -> TicketView:
        """Get a single-use ticket for a WebSocket's URL."""
        ticket, expires_in = self._tickets.issue(call.caller)
        return TicketView(ticket=ticket, expires_in=expires_in)

    async def profile(self, call: Call) -> UserView:
        """Say who the bearer is."""
        return await self._people.view(call)

    async def sessions(self, call: Call) -> SessionsView:
        """List the bearer's logins."""
        listed = await self._people.sessions.listed(call.caller.user)
        items = [
            SessionView(
                id=one.id,
                current=one.id == call.caller.session,
                created_at=moment_text(one.created_at),
                last_used_at=moment_text(one.last_used_at),
                expires_at=moment_text(one.expires_at),
                user_agent=one.user_agent,
                address=one.address,
            )
            for one in listed
        ]
        return SessionsView(items=items, total=len(items))

    async def end_session(self, call: Call) -> Nothing:
        """End one of the bearer's logins, with the sockets it opened."""
        people = self._people
        ended = await people.sessions.end(call.path("id"), call.caller.user, "logout")
        if not ended:
            raise CommandError(ErrorCode.NOT_FOUND, "There is no such login")
        await people.announce(ended)
        await people.audit.record(event(call, "session.ended", target=call.path("id")))
        return Nothing()


def _state(account: Account) -> dict[str, str]:
    """What a link to set a new password is good for: it ends with another address, and with another password."""
    return {"email": account.email, "credentials": account.credentials}
