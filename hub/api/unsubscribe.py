"""`/api/v1/unsubscribe` and `/acknowledge`: links out of messages, for whoever has the message. No script, no login.

A GET changes nothing: mail scanners and previews follow every link. What changes is a POST, from the page's button or
from a mail program that unsubscribes by itself (RFC 8058): without a cookie, with `List-Unsubscribe=One-Click` in
either form of a form, which is taken whatever it says, for the address says all.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse

from auth.audit import Event
from auth.preferences import Edit, Preference
from hub.api.form_pages import MAX_FORM_BYTES, Form, FormPages
from hub.api.trail import event
from hub.http.endpoint import Access, Call, Endpoint
from hub.http.requests import raw_body
from notifiers.people.links import Acknowledging, Links, Unsubscribing
from notifiers.people.preferences import with_again, without
from notifiers.way import Way
from schemas.errors import HTTP_STATUS, CommandError, ErrorCode, Unavailable

PreferenceOf = Callable[[str], Awaitable[Preference]]
EditNotifications = Callable[[str, Edit], Awaitable[Preference]]
Acknowledge = Callable[[Acknowledging], Awaitable[object]]
"""Raises CommandError NOT_FOUND for a firing that is gone; may be asked twice."""
Tell = Callable[[CommandError, str], str]
"""What an error says in a language."""


class LinksApi:
    """The routes of both pages and their forms."""

    def __init__(
        self,
        *,
        links: Links,
        preference_of: PreferenceOf,
        edit: EditNotifications,
        acknowledge: Acknowledge,
        note: Callable[[Event], None],
        tell: Tell,
    ) -> None:
        """Reads its files: blocks for some milliseconds. `edit` changes what a user is notified of."""
        self._links = links
        self._preference_of = preference_of
        self._edit = edit
        self._acknowledge = acknowledge
        self._note = note
        self._tell = tell
        self._pages = FormPages("links.toml")

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        unsubscribe, acknowledge, missing = "/unsubscribe/{token}", "/acknowledge/{token}", (ErrorCode.NOT_FOUND,)
        public = Access.PUBLIC
        return [
            Endpoint("GET", unsubscribe, self.unsubscribe_page, access=public, errors=missing),
            Endpoint("POST", unsubscribe, self.unsubscribe, access=public, errors=missing, form=("List-Unsubscribe",)),
            Endpoint("GET", acknowledge, self.acknowledge_page, access=public, errors=missing),
            Endpoint("POST", acknowledge, self.acknowledge, access=public, errors=missing),
        ]

    # -- unsubscribing ------------------------------------------------------------------------------------------------

    async def unsubscribe_page(self, call: Call) -> HTMLResponse:
        """Show the page on which somebody unsubscribes.

        The link in a message leads here; only the button on the page does it.
        """
        try:
            link = self._links.read_unsubscribe(call.path("token"))
            language = await self._language(call, link.user)
        except (CommandError, Unavailable) as exc:
            return self._problem(call, "unsubscribe", exc)
        form = self._form(call, language, "unsubscribe_button", {"List-Unsubscribe": "One-Click"})
        return self._said(language, "unsubscribe", link.channel, form)

    async def unsubscribe(self, call: Call) -> HTMLResponse:
        """Unsubscribe, as mail programs do by one click (RFC 8058), or undo it.

        A body with `undo` takes it back; any other, or none, unsubscribes.
        """
        undo = "undo" in await _fields(call)
        try:
            link = self._links.read_unsubscribe(call.path("token"))
            change = with_again if undo else without
            after = await self._edit(link.user, lambda kept: change(kept, link.wish))
        except (CommandError, Unavailable) as exc:
            return self._problem(call, "unsubscribe", exc)
        language = after.language or call.language
        self._record(call, "notifications.subscribed" if undo else "notifications.unsubscribed", link)
        if undo:
            return self._said(language, "subscribed", link.channel)
        form = self._form(call, language, "undo_button", {"undo": "1"})
        return self._said(language, "unsubscribed", link.channel, form)

    def _record(self, call: Call, action: str, link: Unsubscribing) -> None:
        self._note(event(call, action, actor=link.user, channel=link.channel, kind=link.kind))

    # -- acknowledging ------------------------------------------------------------------------------------------------

    async def acknowledge_page(self, call: Call) -> HTMLResponse:
        """Show the page on which somebody says that they have seen an alert.

        The link in a message leads here; only the button on the page does it.
        """
        try:
            link = self._links.read_acknowledge(call.path("token"))
            language = await self._language(call, link.user)
        except (CommandError, Unavailable) as exc:
            return self._problem(call, "acknowledge", exc)
        return self._said(
            language, "acknowledge", link.channel, self._form(call, language, "acknowledge_button", {"seen": "1"})
        )

    async def acknowledge(self, call: Call) -> HTMLResponse:
        """Acknowledge that an alert fired: what would have followed by other channels is cancelled."""
        await _fields(call)
        try:
            link = self._links.read_acknowledge(call.path("token"))
            language = await self._language(call, link.user)
            await self._acknowledge(link)
        except (CommandError, Unavailable) as exc:
            return self._problem(call, "acknowledge", exc)
        return self._said(language, "acknowledged", link.channel)

    # -- pages --------------------------------------------------------------------------------------------------------

    async def _language(self, call: Call, user: str) -> str:
        """The user's own, else the browser's."""
        return (await self._preference_of(user)).language or call.language

    def _form(self, call: Call, language: str, button: str, hidden: dict[str, str]) -> Form:
        return Form(action=call.path("token"), button=self._pages.text(language, button), hidden=hidden)

    def _said(self, language: str, page: str, channel: Way, form: Form | None = None) -> HTMLResponse:
        name = self._pages.text(language, channel.value)
        title, text = (
            self._pages.text(language, f"{page}_title"),
            self._pages.text(language, f"{page}_text", channel=name),
        )
        return self._pages.page(language, title, text=text, form=form)

    def _problem(self, call: Call, page: str, error: CommandError | Unavailable) -> HTMLResponse:
        """What is wrong; mail programs look at the status alone."""
        language = call.language
        if isinstance(error, CommandError):
            problem, status = self._tell(error, language), HTTP_STATUS[error.code]
        else:
            problem, status = self._pages.text(language, "unavailable"), 503
        return self._pages.page(language, self._pages.text(language, f"{page}_title"), problem=problem, status=status)


async def _fields(call: Call) -> dict[str, list[str]]:
    """The fields of an urlencoded body; none of any other. Raises CommandError as `raw_body` does."""
    raw = await raw_body(call.request, max_bytes=MAX_FORM_BYTES)
    try:
        return parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=8)
    except ValueError:
        return {}
