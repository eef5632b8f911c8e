"""`/api/v1/auth/oidc`: sign-in with someone else's login, for browsers.

    GET  login     remembers the sign-in in a sealed cookie and sends the browser to the issuer
    GET  callback  where the issuer sends it back: finds, links or makes the account, and sends it on to a page of this
                   host with `#login=<code>`, which no server and no log along the way sees
    POST exchange  the page gives the code and gets what a login gives, or the error that ended the sign-in

The code is good once, for a minute, and only in the browser that began: it is bound to a second cookie, so that nobody
can be logged in to somebody else's account by a link.
"""

import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from starlette.responses import RedirectResponse, Response

from auth.account import Account
from auth.accounts import Accounts
from auth.addresses import read_name
from auth.oidc import Issuer, Pending, Person
from auth.sealing import Sealer, Unsealable
from hub.api.account_views import LoggedIn, SecondFactorWanted
from hub.http.endpoint import Access, Call, Endpoint, Reply
from schemas.durations import Seconds
from schemas.errors import CommandError, ErrorCode, SettingsError, Unavailable
from schemas.phrases import Phrase
from schemas.settings import Settings

PATH = "/api/v1/auth/oidc"
SIGN_IN_COOKIE = "tickhub_sign_in"
LOGIN_COOKIE = "tickhub_login"
SIGN_IN_S = 600
"""How long one may take at the issuer."""
LOGIN_S = 60
"""How long the page has to exchange its code."""

_LOCAL_PATH = re.compile(r"/(?![/\\])[!-\"$-\[\]-~]*")
"""Printable ASCII without `\\` and `#`; a browser takes `//host` and `/\\host` for another host."""

Enter = Callable[[Call, Account, bool], Awaitable[Reply[LoggedIn | SecondFactorWanted]]]
"""Lets an account in, with the refresh token in a cookie or not, or asks for its second factor first.

Raises CommandError for a disabled one.
"""
Record = Callable[[Call, str, Account], Awaitable[None]]
"""Writes down that an account was made or linked: `account.created`, `account.linked`."""


class LoginQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET auth/oidc/login`: to which page of this host to return."""

    return_to: Annotated[str, Meta(max_length=512)] = "/"


class CallbackQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What the issuer says; it may say more."""

    code: Annotated[str, Meta(max_length=4096)] = ""
    state: Annotated[str, Meta(max_length=256)] = ""
    error: Annotated[str, Meta(max_length=256)] = ""
    iss: Annotated[str, Meta(max_length=512)] = ""


class ExchangeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST auth/oidc/exchange`: the code out of the page's address; `cookie` as in `POST auth/login`."""

    code: Annotated[str, Meta(min_length=1, max_length=1024)]
    cookie: bool = False


class OidcView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one can sign in with another account here, and whose."""

    available: bool
    name: str | None = None
    login_url: str | None = None


class _Started(msgspec.Struct, frozen=True, kw_only=True):
    """What the first cookie holds."""

    pending: Pending
    return_to: str
    expires_at: int


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why nobody came in, as a CommandError says it: an answer to a navigation would be read by nobody's script."""

    code: ErrorCode
    said: Phrase


class _Code(msgspec.Struct, frozen=True, kw_only=True):
    """What a login code holds: an account's id, or why there is none. `browser` is what the second cookie says."""

    id: str
    came: str | _Refusal
    browser: str
    expires_at: int


class OidcApi:
    """The routes. Without an `issuer` they say that sign-in elsewhere is not set up."""

    def __init__(
        self,
        issuer: Issuer | None,
        *,
        name: str,
        base_url: str,
        accounts: Accounts,
        enter: Enter,
        record: Record,
        sealer: Sealer,
        claim: Callable[[str, Seconds], Awaitable[bool]],
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`base_url` is where the world reaches this server; `claim` is `Broker.claim`."""
        self._issuer = issuer
        self._name = name
        self._callback = f"{base_url}{PATH}/callback"
        self._cookie_path = urlsplit(base_url).path.rstrip("/") + PATH
        self._secure = base_url.startswith("https://")
        self._accounts = accounts
        self._enter = enter
        self._record = record
        self._sealer = sealer
        self._claim = claim
        self._wall = wall

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        public = Access.PUBLIC
        missing = (ErrorCode.NOT_FOUND,)
        refused = (*missing, ErrorCode.UNAUTHORIZED, ErrorCode.PERMISSION_DENIED, ErrorCode.CONFLICT)
        return [
            Endpoint("GET", "/auth/oidc", self.describe, access=public),
            Endpoint("GET", "/auth/oidc/login", self.login, access=public, limit="login", errors=missing),
            Endpoint("GET", "/auth/oidc/callback", self.callback, access=public, limit="login", errors=missing),
            Endpoint("POST", "/auth/oidc/exchange", self.exchange, access=public, limit="login", errors=refused),
        ]

    async def describe(self, _call: Call) -> OidcView:
        """Say whether one can sign in with another account, and whose."""
        if self._issuer is None:
            return OidcView(available=False)
        return OidcView(available=True, name=self._name, login_url=f"{PATH}/login")

    async def login(self, _call: Call, query: LoginQuery) -> RedirectResponse:
        """Send the browser to sign in elsewhere.

        It comes back to the page `return_to` of this host, with `#login=` and a code for `POST auth/oidc/exchange`.
        """
        issuer, return_to = self._configured(), local_path(query.return_to)
        url, pending = await issuer.begin(self._callback)
        started = _Started(pending=pending, return_to=return_to, expires_at=int(self._wall()) + SIGN_IN_S)
        response = RedirectResponse(url, 303)
        self._remember(response, SIGN_IN_COOKIE, self._seal(started, SIGN_IN_COOKIE), SIGN_IN_S)
        return response

    async def callback(self, call: Call, query: CallbackQuery) -> RedirectResponse:
        """Take a browser back from where it signed in, to its page here.

        An account of the same mail address is linked where both sides have verified that address. What went wrong is
        said by `POST auth/oidc/exchange`.
        """
        issuer = self._configured()
        started: _Started | None = None
        came: str | _Refusal
        try:
            started = self._started(call, query.state)
            came = (await self._signed_in(call, query, issuer, started)).id
        except (CommandError, Unavailable) as exc:
            came = _refusal(exc)
        browser = secrets.token_urlsafe(24)
        return_to = "/" if started is None else started.return_to
        response = RedirectResponse(f"{return_to}#login={self._code(came, browser)}", 303)
        if started is not None:  # else one that is under way goes on, whatever link was followed meanwhile
            self._forget(response, SIGN_IN_COOKIE)
        self._remember(response, LOGIN_COOKIE, browser, LOGIN_S)
        return response

    async def _signed_in(self, call: Call, query: CallbackQuery, issuer: Issuer, started: _Started) -> Account:
        """The account of whoever the issuer says it is."""
        if not await self._claim(f"oidc-state:{started.pending.state}", SIGN_IN_S):
            raise CommandError(ErrorCode.UNAUTHORIZED, "This sign-in has been used: please begin again")
        if query.error or not query.code:
            raise CommandError(ErrorCode.UNAUTHORIZED, "The sign-in was not completed there")
        if query.iss and not await issuer.is_issuer(query.iss):
            raise CommandError(ErrorCode.UNAUTHORIZED, "The answer comes from another issuer")
        person = await issuer.finish(query.code, started.pending, self._callback)
        return await self._accounts.by_foreign(person.issuer, person.subject) or await self._welcome(call, person)

    async def exchange(self, call: Call, body: ExchangeBody) -> Reply[LoggedIn | SecondFactorWanted]:
        """Log in with the code that the sign-in elsewhere gave.

        It works once, within a minute, in the browser that signed in. The answer is that of `POST auth/login`.
        """
        self._configured()
        try:
            code = msgspec.json.decode(self._sealer.open(body.code, LOGIN_COOKIE), type=_Code)
        except (Unsealable, msgspec.MsgspecError):
            raise _code_refused() from None
        browser = call.request.cookies.get(LOGIN_COOKIE, "")
        if code.expires_at <= self._wall() or not _same(code.browser, browser):
            raise _code_refused()
        if not await self._claim(f"oidc-code:{code.id}", LOGIN_S):
            raise _code_refused()
        if isinstance(code.came, _Refusal):
            raise CommandError(code.came.code, code.came.said.text, **code.came.said.values)
        account = await self._accounts.get(code.came)
        if account is None:
            raise _code_refused()
        return await self._enter(call, account, body.cookie)

    async def _welcome(self, call: Call, person: Person) -> Account:
        """The account of somebody who comes for the first time.

        An address that the issuer hasn't verified could be anybody's, and so could an account's that nobody has
        verified: whoever made it would share it from then on.
        """
        if person.email is None or not person.email_verified:
            raise CommandError(
                ErrorCode.PERMISSION_DENIED, "{name} has not verified your mail address", name=self._name
            )
        account, action = await self._accounts.by_email(person.email), "account.linked"
        if account is not None and not account.email_verified:
            raise CommandError(
                ErrorCode.CONFLICT,
                "There is an account with your address, which is not verified yet: log in with its password, verify it,"
                " and try again",
            )
        if account is None:
            action = "account.created"
            account = await self._accounts.create(person.email, None, _name_of(person), email_verified=True)
        await self._accounts.link(person.issuer, person.subject, account.id)
        await self._record(call, action, account)
        return account

    def _configured(self) -> Issuer:
        if self._issuer is None:
            raise CommandError(ErrorCode.NOT_FOUND, "Sign-in with another account is not set up here")
        return self._issuer

    def _started(self, call: Call, state: str) -> _Started:
        """What this browser began."""
        cookie = call.request.cookies.get(SIGN_IN_COOKIE, "")
        try:
            started = msgspec.json.decode(self._sealer.open(cookie, SIGN_IN_COOKIE), type=_Started)
        except (Unsealable, msgspec.MsgspecError):
            raise _not_begun() from None
        if started.expires_at <= self._wall() or not _same(started.pending.state, state):
            raise _not_begun()
        return started

    def _code(self, came: str | _Refusal, browser: str) -> str:
        code = _Code(
            id=secrets.token_hex(16),
            came=came,
            browser=browser,
            expires_at=int(self._wall()) + LOGIN_S,
        )
        return self._seal(code, LOGIN_COOKIE)

    def _seal(self, value: msgspec.Struct, context: str) -> str:
        return self._sealer.seal(msgspec.json.encode(value).decode(), context)

    def _remember(self, response: Response, name: str, value: str, lives_s: int) -> None:
        response.set_cookie(
            name,
            value,
            max_age=lives_s,
            path=self._cookie_path,
            secure=self._secure,
            httponly=True,
            samesite="lax",  # the way back from the issuer is another site's navigation
        )

    def _forget(self, response: Response, name: str) -> None:
        self._remember(response, name, "", 0)


def issuer_of(settings: Settings) -> Issuer | None:
    """The issuer that the settings name, if any. Raises SettingsError."""
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    try:
        return Issuer(settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret)
    except ValueError as exc:
        raise SettingsError([f"OIDC_ISSUER: {exc}"]) from None


def local_path(text: str) -> str:
    """A path of this host. Raises CommandError BAD_REQUEST for whatever could lead a browser to another one."""
    if not _LOCAL_PATH.fullmatch(text):
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected a path of this host - at `?return_to`")
    return text


def _name_of(person: Person) -> str:
    """The name, where it can be one here."""
    try:
        return read_name(person.name)
    except CommandError:
        return ""


def _refusal(exc: CommandError | Unavailable) -> _Refusal:
    error = exc if isinstance(exc, CommandError) else exc.refusal
    return _Refusal(code=error.code, said=msgspec.convert({"text": error.text, "values": error.values}, Phrase))


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())


def _not_begun() -> CommandError:
    return CommandError(ErrorCode.UNAUTHORIZED, "This sign-in was not begun in this browser, or took too long")


def _code_refused() -> CommandError:
    return CommandError(ErrorCode.UNAUTHORIZED, "The login code is wrong, used, or too old: please sign in again")
