"""What users are told, in their language: gettext catalogues, one `.po` file a language in `hub/translations`.

English is what stands in the code. A text that a catalogue lacks is said in English.
"""

import io
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from babel.messages.pofile import read_po
from starlette.requests import Request

from auth.identity import LANGUAGES, Identity
from schemas.errors import CommandError
from schemas.phrases import Phrase

DEFAULT = "en"
SCOPE = "language"
"""Under this name a request's scope holds the language, once it is known who asks."""

MAX_HEADER = 256
"""Characters of an Accept-Language header that are looked at."""

_WISH = re.compile(
    r"[ \t]*(?P<code>\*|[A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,35})?[ \t]*"
    r"(?:;[ \t]*[Qq]=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?"
)


def _read(language: str) -> dict[str, str]:
    source = files("hub").joinpath("translations", f"{language}.po")
    entries = read_po(io.BytesIO(source.read_bytes()), locale=language)
    return {str(entry.id): str(entry.string) for entry in entries if entry.id and entry.string and not entry.fuzzy}


CATALOGUES: dict[str, dict[str, str]] = {language: _read(language) for language in LANGUAGES if language != DEFAULT}
"""The translations of each language by English text, read when this module is: no error has to wait for its words."""


def tell(error: CommandError, language: str) -> str:
    """What an error says in that language."""
    return _said(error.text, error.values, language)


def say(phrase: Phrase, language: str) -> str:
    """A phrase in that language."""
    return _said(phrase.text, phrase.values, language)


def _said(text: str, values: Mapping[str, object], language: str) -> str:
    found = CATALOGUES.get(language, {}).get(text, text)
    if not values:
        return found
    return found.format(**{name: _worded(value, language) for name, value in values.items()})


def _worded(value: object, language: str) -> object:
    return say(value, language) if isinstance(value, Phrase) else value


def language_at(request: Request) -> str:
    """In what to answer a request: what its scope says already, else the browser's wish."""
    known = request.scope.get(SCOPE)
    return known if isinstance(known, str) else language_of(request.headers.get("accept-language"))


def language_of(header: str | None, identity: Identity | None = None) -> str:
    """Whose wish counts: the user's own, else the browser's (RFC 9110, 12.5.4), else English.

    Regions and scripts are not told apart: `mr-IN` is Marathi. What makes no sense in a header is passed over.
    """
    if identity is not None and identity.language in LANGUAGES:
        return identity.language
    return _wished(header[:MAX_HEADER]) if header else DEFAULT


@lru_cache(maxsize=256)  # browsers send few different ones, each with every request
def _wished(header: str) -> str:
    weights: dict[str, float] = {}
    for part in header.split(","):
        if wish := _WISH.fullmatch(part):
            weights.setdefault(wish["code"].lower(), float(wish["weight"] or 1))
    others = weights.get("*", 0.0)
    wished = {code: weights.get(code, others if code == DEFAULT else 0.0) for code in (*weights, DEFAULT)}
    known = [code for code in wished if code in LANGUAGES and wished[code] > 0]
    return max(known, key=wished.__getitem__, default=DEFAULT)
