"""The two pages that links in mail lead to: confirm an address, set a new password. No script.

A GET changes nothing: mail scanners and previews follow every link in a letter. The page has a form, whose POST does
what was asked, by the same functions as the JSON endpoints beside it.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import HTMLResponse

from hub.api.form_pages import Form, FormPages, Link, form_of
from hub.http.endpoint import Access, Call, Endpoint
from schemas.errors import HTTP_STATUS, CommandError, ErrorCode, Unavailable

MAX_TOKEN = 4096

_PLACE = re.compile(r" - [^`]*`[^`]*`[^`]*$")
"""Where something is wrong, as all errors end that say it, in every language."""

VerifyEmail = Callable[[str, Call], Awaitable[object]]
"""`(token, call)`; raises CommandError for a token that is not good."""
ResetPassword = Callable[[str, str, Call], Awaitable[object]]
"""`(token, new password, call)`; raises CommandError, and BAD_REQUEST for a password that is not taken."""
Tell = Callable[[CommandError, str], str]
"""What an error says in a language."""


class LinkQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a link. More may stand there: mail programs add words of their own."""

    token: Annotated[str, Meta(max_length=MAX_TOKEN)] = ""


class MailPages:
    """The routes of both pages and their forms."""

    def __init__(self, *, verify_email: VerifyEmail, reset_password: ResetPassword, tell: Tell) -> None:
        """Reads its files: blocks for some milliseconds."""
        self._verify_email = verify_email
        self._reset_password = reset_password
        self._tell = tell
        self._pages = FormPages("mail.toml")

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        public = Access.PUBLIC
        return [
            Endpoint("GET", "/auth/verify-email", self.verify_page, access=public),
            Endpoint(
                "POST",
                "/auth/verify-email/form",
                self.verify,
                access=public,
                limit="login",
                errors=(ErrorCode.UNAUTHORIZED,),
                form=("token",),
            ),
            Endpoint("GET", "/auth/reset-password", self.reset_page, access=public),
            Endpoint(
                "POST",
                "/auth/reset-password/form",
                self.reset,
                access=public,
                limit="login",
                errors=(ErrorCode.UNAUTHORIZED,),
                form=("token", "password"),
            ),
        ]

    async def verify_page(self, call: Call, query: LinkQuery) -> HTMLResponse:
        """Show the page that confirms a mail address.

        The link in the mail leads here; only the button on the page confirms.
        """
        return self._verify_form(call, query.token) if query.token else self._problem(call, "verify", "incomplete")

    async def verify(self, call: Call) -> HTMLResponse:
        """Confirm a mail address from that page's form."""
        token = (await form_of(call)).get("token", "")
        if not token:
            return self._problem(call, "verify", "incomplete")
        try:
            await self._verify_email(token, call)
        except CommandError as exc:
            return self._page(call, "verify", status=HTTP_STATUS[exc.code], problem=self._told(exc, call))
        except Unavailable:
            return self._verify_form(call, token, problem=self._text(call, "unavailable"), status=503)
        return self._page(call, "verified", text=True, link=self._dashboard(call))

    async def reset_page(self, call: Call, query: LinkQuery) -> HTMLResponse:
        """Show the page that sets a new password.

        The link in the mail leads here.
        """
        return self._reset_form(call, query.token) if query.token else self._problem(call, "reset", "incomplete")

    async def reset(self, call: Call) -> HTMLResponse:
        """Set a new password from that page's form."""
        form = await form_of(call)
        token, password = form.get("token", ""), form.get("password", "")
        if not token:
            return self._problem(call, "reset", "incomplete")
        try:
            await self._reset_password(token, password, call)
        except CommandError as exc:
            problem, status = self._told(exc, call), HTTP_STATUS[exc.code]
            if exc.code is ErrorCode.BAD_REQUEST:  # the password; the link is still good
                return self._reset_form(call, token, problem=problem, status=status)
            return self._page(call, "reset", status=status, problem=problem)
        except Unavailable:
            return self._reset_form(call, token, problem=self._text(call, "unavailable"), status=503)
        return self._page(call, "changed", text=True, link=self._dashboard(call))

    def _verify_form(self, call: Call, token: str, *, problem: str = "", status: int = 200) -> HTMLResponse:
        form = Form(
            action=_action(call, "verify-email/form"), hidden={"token": token}, button=self._text(call, "verify_button")
        )
        return self._page(call, "verify", text=True, problem=problem, status=status, form=form)

    def _reset_form(self, call: Call, token: str, *, problem: str = "", status: int = 200) -> HTMLResponse:
        form = Form(
            action=_action(call, "reset-password/form"),
            hidden={"token": token},
            password=self._text(call, "reset_password"),
            button=self._text(call, "reset_button"),
        )
        return self._page(call, "reset", text=True, problem=problem, status=status, form=form)

    def _problem(self, call: Call, page: str, text: str) -> HTMLResponse:
        return self._page(call, page, status=400, problem=self._text(call, text))

    def _told(self, error: CommandError, call: Call) -> str:
        """What an error says, without the place in a JSON body: the page has but one field."""
        return _PLACE.sub("", self._tell(error, call.language))

    def _dashboard(self, call: Call) -> Link:
        """From an answer to a form, four steps beneath the root."""
        return Link(address="../../../../", text=self._text(call, "dashboard"))

    def _text(self, call: Call, name: str) -> str:
        return self._pages.text(call.language, name)

    def _page(
        self,
        call: Call,
        page: str,
        *,
        text: bool = False,
        problem: str = "",
        status: int = 200,
        form: Form | None = None,
        link: Link | None = None,
    ) -> HTMLResponse:
        title, said = self._text(call, f"{page}_title"), self._text(call, f"{page}_text") if text else ""
        return self._pages.page(call.language, title, text=said, problem=problem, status=status, form=form, link=link)


def _action(call: Call, path: str) -> str:
    """Where a form goes, relative to where its page stands."""
    return "form" if call.request.url.path.endswith("/form") else path
