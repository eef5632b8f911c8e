"""Pages that links in messages lead to, as they are made: one heading, a text, at most one form, no script."""

import base64
import hashlib
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from urllib.parse import parse_qs

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from hub.http.endpoint import Call
from hub.http.requests import raw_body
from schemas.errors import CommandError, ErrorCode

MAX_FORM_BYTES = 16 * 1024


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A form of one button. `action` is relative to where the page stands, `password` the label of a field for one."""

    action: str
    button: str
    hidden: Mapping[str, str] = {}
    password: str = ""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Where one may go from a page. `address` is relative to where the page stands."""

    address: str
    text: str


class FormPages:
    """Texts in every language out of a file of `hub/page`, and the pages made of them."""

    def __init__(self, texts: str) -> None:
        """Reads its files: blocks for some milliseconds."""
        folder = files("hub").joinpath("page")
        self._texts = tomllib.loads(folder.joinpath(texts).read_text(encoding="utf-8"))
        self._style = folder.joinpath("mail.css").read_text(encoding="utf-8")
        loader = PackageLoader("hub", "page")
        environment = Environment(loader=loader, undefined=StrictUndefined, autoescape=True, auto_reload=False)
        self._template = environment.get_template("mail.html.j2")
        self._headers = _headers(self._style)

    def text(self, language: str, name: str, **values: str) -> str:
        """One of the texts; in English where the language has none."""
        return str(self._texts.get(language, self._texts["en"])[name]).format(**values)

    def page(
        self,
        language: str,
        title: str,
        *,
        text: str = "",
        problem: str = "",
        status: int = 200,
        form: Form | None = None,
        link: Link | None = None,
    ) -> HTMLResponse:
        """A page of texts as they are to be read; what they say is escaped."""
        html = self._template.render(
            language=language if language in self._texts else "en",
            title=title,
            text=text,
            problem=problem,
            style=Markup(self._style),  # noqa: S704 - our own file
            form=form,
            link=link,
        )
        return HTMLResponse(html, status, self._headers)


def _headers(style: str) -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none';"
            " frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


async def form_of(call: Call) -> dict[str, str]:
    """The fields of an urlencoded body, each once. Raises CommandError BAD_REQUEST or LIMIT_EXCEEDED."""
    raw = await raw_body(call.request, max_bytes=MAX_FORM_BYTES)
    try:
        fields = parse_qs(raw.decode(), keep_blank_values=True, strict_parsing=bool(raw), max_num_fields=8)
    except ValueError as exc:
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected a form") from exc
    if any(len(values) > 1 for values in fields.values()):
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected each field at most once")
    return {name: values[0] for name, values in fields.items()}
