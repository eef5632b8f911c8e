"""What users are told, in their language: gettext catalogues, one `.po` file a language in `hub/translations`.

English is what stands in the code. A text that a catalogue lacks is said in English.
"""

import io
import logging
import re
from collections.abc import Mapping
from importlib.resources import files

from babel import negotiate_locale
from babel.messages.pofile import read_po

from auth.identity import LANGUAGES, Identity
from schemas.errors import CommandError

log = logging.getLogger("tickhub.hub.languages")

DEFAULT = "en"
MAX_HEADER = 256
"""Characters of an Accept-Language header that are looked at."""

_WISH = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,35})?\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?")


class Languages:
    """The catalogues, read once."""

    def __init__(self) -> None:
        self._catalogues: dict[str, Mapping[str, str]] = {
            language: _read(language) for language in LANGUAGES if language != DEFAULT
        }

    def say(self, text: str, language: str, values: Mapping[str, object] | None = None) -> str:
        """A text of the code in that language, with its values."""
        found = self._catalogues.get(language, {}).get(text) or text
        return found.format(**values) if values else found

    def tell(self, error: CommandError, language: str) -> str:
        """What an error says."""
        return self.say(error.text, language, error.values)


def language_of(header: str | None, identity: Identity | None = None) -> str:
    """Whose wish counts: the user's own, else the browser's (RFC 9110, 12.5.4), else English."""
    if identity is not None and identity.language is not None:
        return identity.language
    if not header:
        return DEFAULT
    wishes: list[tuple[float, int, str]] = []
    for place, part in enumerate(header[:MAX_HEADER].split(",")):
        if (wish := _WISH.fullmatch(part)) and (weight := float(wish[2] or 1)) > 0:
            wishes.append((-weight, place, wish[1].lower()))
    return negotiate_locale([code for _, _, code in sorted(wishes)], LANGUAGES) or DEFAULT


def _read(language: str) -> dict[str, str]:
    source = files("hub").joinpath("translations", f"{language}.po")
    catalogue = read_po(io.BytesIO(source.read_bytes()), locale=language)
    return {str(entry.id): str(entry.string) for entry in catalogue if entry.id and entry.string and not entry.fuzzy}
