"""How many parts an SMS has, which is what it costs: 3GPP TS 23.038 (alphabet) and 23.040 (concatenation).

A text of the GSM alphabet has 160 places, 153 in each part of several; any other goes out as UTF-16 with 70, or 67 in
each part. What takes two places (a character behind an escape, a surrogate pair) is never torn apart by the end of a
part: it begins the next one. Twilio may keep a letter and its signs together as well, and then count one part more if
the end of one falls between them; what it charges, it says itself.
"""

import unicodedata
from enum import StrEnum

import msgspec

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPED = frozenset("\f^{}\\[~]|€")
"""The extension table: an escape and a character."""

_PLAIN = str.maketrans({
    "\u20b9": "Rs ", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-",
    "\u2212": "-", "\u2026": "...", "\u00d7": "x", "\u2264": "<=", "\u2265": ">=", "\u2192": "->",
    "\u00a0": " ", "\u2009": " ", "\u200b": "", "\t": " ",
})  # fmt: skip
"""The rupee, quotation marks, dashes, minus, dots, times, less, greater, an arrow, and kinds of spaces."""


class Encoding(StrEnum):
    """What an SMS is written in."""

    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"


_PLACES = {Encoding.GSM_7: (160, 153), Encoding.UCS_2: (70, 67)}


class Segments(msgspec.Struct, frozen=True):
    """An SMS as it is charged: `units` are the places that it takes up, `count` the parts."""

    encoding: Encoding
    units: int
    count: int


def segments(text: str) -> Segments:
    """What a text comes to. Every text has one part at least, the empty one too."""
    encoding = Encoding.GSM_7 if all(char in _BASIC or char in _ESCAPED for char in text) else Encoding.UCS_2
    sizes = [_size(char, encoding) for char in text]
    alone, each = _PLACES[encoding]
    units = sum(sizes)
    return Segments(encoding, units, 1 if units <= alone else _parts(sizes, each))


def _size(char: str, encoding: Encoding) -> int:
    return 2 if (char in _ESCAPED if encoding is Encoding.GSM_7 else char > "\uffff") else 1


def _parts(sizes: list[int], places: int) -> int:
    count, left = 1, places
    for size in sizes:
        if size > left:
            count, left = count + 1, places
        left -= size
    return count


def plain(text: str) -> str:
    """The text with the GSM alphabet's characters for those that only look better, if it then keeps to that alphabet.

    Otherwise it stays as it is: nothing would be gained. We do this ourselves, not Twilio's SmartEncoded, so that what
    is counted, shown and looked for later is what was sent.
    """
    plainer = unicodedata.normalize("NFC", text).translate(_PLAIN).replace("Rs  ", "Rs ")
    return plainer if segments(plainer).encoding is Encoding.GSM_7 else text
