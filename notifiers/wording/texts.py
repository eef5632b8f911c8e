"""The texts of each language, one TOML file each in `templates`, and what fills them in.

The texts are ours, and still run in a sandbox: a value that gets where a template belongs must not become one.
"""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import PackageLoader, StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

DEFAULT = "en"


def texts_of(language: str) -> dict[str, Any]:
    """All texts of a language. Blocks."""
    return tomllib.loads(files("notifiers").joinpath("templates", f"{language}.toml").read_text(encoding="utf-8"))


def one_line(text: str) -> str:
    """The text without line breaks and other control characters, so that it can break out of no header."""
    return " ".join("".join(char if char.isprintable() or char in "\u200c\u200d" else " " for char in text).split())


class Texts:
    """Fills texts in with values; for HTML it escapes every value. A value that is missing is an error."""

    def __init__(self, *, html: bool) -> None:
        self._html = html
        self._environment = ImmutableSandboxedEnvironment(
            loader=PackageLoader("notifiers", "templates"),
            undefined=StrictUndefined,
            autoescape=html,
            auto_reload=False,
            keep_trailing_newline=True,
        )
        self._compiled: dict[str, Template] = {}

    def text(self, text: str, given: Mapping[str, str]) -> str:
        """One of the texts of a language; there are only so many."""
        if text not in self._compiled:
            self._compiled[text] = self._environment.from_string(text)
        rendered = self._compiled[text].render(given)
        return Markup(rendered) if self._html else rendered  # noqa: S704 - it was escaped just now

    def layout(self, name: str) -> Template:
        """The layout of a whole letter. Blocks."""
        return self._environment.get_template(name)
