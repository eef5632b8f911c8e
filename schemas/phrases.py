"""Texts for people, as they stand in the code: English, with what varies apart, so that they can be translated.

The catalogues are made from the calls that hold such a text (`make messages`): a text that stands elsewhere, in a table
or a constant, is marked with `translatable`.
"""

from __future__ import annotations

import msgspec


class Phrase(msgspec.Struct, frozen=True):
    """An English text; what varies stands as `{name}`, and its value may be a phrase again.

    Without values the text is taken as it is, braces and all.
    """

    text: str
    values: dict[str, Phrase | str | int | float | None] = {}

    def __str__(self) -> str:
        return self.text.format(**self.values) if self.values else self.text


def translatable(text: str) -> str:
    """The text itself: a mark for those who translate."""
    return text
