"""The dashboard's texts in each language, out of the same catalogues as everything else that is said."""

import io
from functools import cache
from importlib.resources import files

from babel.messages.pofile import read_po

from hub.languages import CATALOGUES


def words_of(language: str) -> dict[str, str]:
    """What to say for each English text of the dashboard; empty for English, which stands in the code."""
    said = CATALOGUES.get(language, {})
    return {text: said[text] for text in _texts() if text in said}


@cache
def _texts() -> frozenset[str]:
    """The texts that some file of the dashboard has."""
    template = files("hub").joinpath("translations", "messages.pot").read_bytes()
    entries = read_po(io.BytesIO(template))
    return frozenset(
        str(entry.id) for entry in entries if any(place.startswith("hub/dashboard/") for place, _ in entry.locations)
    )
