"""`/api/v1/auth/2fa`: the second factor, switched on, given at login, and switched off."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from auth.account import Account
from auth.audit import Level
from auth.challenges import Kind
from hub.api.account_views import LoggedIn
from hub.api.auth import Password, Token
from hub.api.logins import Logins, login_over
from hub.api.people import People
from hub.api.trail import event
from hub.http.endpoint import Access, Call, Endpoint, Nothing, Reply
from schemas.errors import CommandError, ErrorCode

Code = Annotated[str, Meta(min_length=6, max_length=20)]
"""Six digits, or a recovery code."""


class SetupView(msgspec.Struct, frozen=True, kw_only=True):
    """What an authenticator app needs: the secret, as a URI, and as a picture of that (SVG)."""

    secret: str
    uri: str
    qr_svg: str


class VerifyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST auth/2fa/verify`: with a challenge to log in, without one to switch it on."""

    code: Code
    challenge: Token | None = None
    cookie: bool = False


class EnabledView(msgspec.Struct, frozen=True, kw_only=True):
    """The second factor is on. The codes stand in for it once each, and are never shown again."""

    enabled: Literal[True]
    recovery_codes: list[str]


class DisableBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST auth/2fa/disable`: a code of the second factor, or the password."""

    code: Code | None = None
    password: Password | None = None


class CodeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code of the second factor."""

    code: Code


class SendBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST auth/2fa/send`."""

    challenge: Token
    channel: Literal["email", "sms"]


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the second factor is on, and how many recovery codes are left."""

    enabled: bool
    recovery_codes_left: int


class TwoFactorApi:
    """The routes of the second factor."""

    def __init__(self, people: People, logins: Logins) -> None:
        self._people = people
        self._logins = logins

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        public, refused = Access.PUBLIC, ErrorCode.UNAUTHORIZED
        missing, conflict = ErrorCode.NOT_FOUND, ErrorCode.CONFLICT
        both = (missing, conflict, ErrorCode.PERMISSION_DENIED)
        return [
            Endpoint("GET", "/auth/2fa", self.status, errors=(missing,)),
            Endpoint("POST", "/auth/2fa/setup", self.setup, limit="login", errors=(missing, conflict)),
            Endpoint("POST", "/auth/2fa/verify", self.verify, access=public, limit="login", errors=(refused, *both)),
            Endpoint("POST", "/auth/2fa/send", self.send, access=public, limit="login", status=202, errors=(refused,)),
            Endpoint("POST", "/auth/2fa/recovery-codes", self.renew, limit="login", errors=both),
            Endpoint("POST", "/auth/2fa/disable", self.disable, limit="login", errors=both),
        ]

    async def status(self, call: Call) -> StatusView:
        """Say whether the second factor is on."""
        enabled, left = await self._people.two_factor.status((await self._people.account(call)).id)
        return StatusView(enabled=enabled, recovery_codes_left=left)

    async def setup(self, call: Call) -> SetupView:
        """Get a secret for an authenticator app; it counts once `POST auth/2fa/verify` has seen a code of it."""
        account = await self._people.account(call)
        made = await self._people.two_factor.setup(account.id, account.email)
        return SetupView(secret=made.secret, uri=made.uri, qr_svg=made.qr_svg)

    async def verify(self, call: Call, body: VerifyBody) -> Reply[LoggedIn | EnabledView]:
        """Give the code that a login asks for, or the first one of a new authenticator.

        With `challenge` the answer is tokens, as of a login. Without one it needs a token, whose bearer's second factor
        is switched on, and the answer holds the recovery codes.
        """
        if body.challenge is not None:
            return await self._logins.by_second_factor(call, body.challenge, body.code, cookie=body.cookie)
        account = await self._people.account(call)
        async with self._people.one_guess(call, account.id):
            codes = await self._people.two_factor.confirm(account.id, body.code)
        await self._tell(call, account, "second_factor_on", "two_factor.enabled")
        return Reply(EnabledView(enabled=True, recovery_codes=codes))

    async def send(self, call: Call, body: SendBody) -> Nothing:
        """Have a code for a login's challenge sent to the verified address or telephone."""
        people = self._people
        found = await people.challenges.look(Kind.LOGIN, body.challenge)
        account = await people.accounts.get(found.user_id) if found is not None else None
        if account is None:
            raise login_over()
        if not (account.email_verified if body.channel == "email" else account.phone_verified):
            raise CommandError(ErrorCode.BAD_REQUEST, "Nothing verified to send a code to - at `$.channel`")
        await people.one_message(account, body.channel)
        code = await people.challenges.set_code(Kind.LOGIN, body.challenge)
        language = await people.language(account.id, call)
        if body.channel == "email":
            people.post.mail("login_code", account.email, language, name=account.name, code=code)
        else:
            people.post.text("login_code", account.phone or "", language, code=code)
        await people.audit.record(event(call, "login.code_sent", actor=account.id, channel=body.channel))
        return Nothing()

    async def renew(self, call: Call, body: CodeBody) -> EnabledView:
        """Get new recovery codes for a code of the second factor; the old ones are void."""
        account = await self._proved(call, code=body.code, password=None)
        codes = await self._people.two_factor.renew_recovery_codes(account.id)
        await self._people.audit.record(event(call, "two_factor.codes_renewed", level=Level.WARNING))
        return EnabledView(enabled=True, recovery_codes=codes)

    async def disable(self, call: Call, body: DisableBody) -> Nothing:
        """Switch the second factor off, with a code of it or the password."""
        account = await self._proved(call, code=body.code, password=body.password)
        await self._people.two_factor.disable(account.id)
        await self._tell(call, account, "second_factor_off", "two_factor.disabled")
        return Nothing()

    async def _proved(self, call: Call, *, code: str | None, password: str | None) -> Account:
        """The account, after one proof of it. Raises CommandError PERMISSION_DENIED where the proof is not good."""
        people = self._people
        account = await people.account(call)
        if not account.two_factor:
            raise CommandError(ErrorCode.CONFLICT, "The second factor is not on")
        if (code is None) == (password is None):
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected either `code` or `password`")
        if password is not None:
            await people.check_password(call, account, password, place="$.password")
        if code is not None:
            async with people.one_guess(call, account.id):
                await self._check_code(call, account, code)
        return account

    async def _check_code(self, call: Call, account: Account, code: str) -> None:
        try:
            await self._people.two_factor.check(account.id, code)
        except CommandError as exc:
            if exc.code is not ErrorCode.UNAUTHORIZED:
                raise
            await self._people.record_failure(call, "two_factor.refused", account, second_factor=False)
            raise CommandError(ErrorCode.PERMISSION_DENIED, "The code is wrong or was used before") from exc

    async def _tell(self, call: Call, account: Account, letter: str, action: str) -> None:
        people = self._people
        await people.audit.record(event(call, action, level=Level.WARNING, actor=account.id))
        people.write(letter, account, await people.language(account.id, call))
