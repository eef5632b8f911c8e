"""What msgspec says of data that is not as it should be, taken apart so that it can be said in other languages.

The words are msgspec's own (the texts of its ValidationError and DecodeError, in `_core.c`), and Python's for what is
no UTF-8 or goes too deep. A text that doesn't stand here is left as it is.
"""

import re

from schemas.errors import CommandError, ErrorCode
from schemas.phrases import Phrase, translatable

_PLACED = translatable("{fault} - at {place}")

_TEXTS = (
    translatable("Expected `{expected}`, got `{got}`"),
    translatable("Expected `{expected}`"),
    translatable("Object missing required field `{field}`"),
    translatable("Object contains unknown field `{field}`"),
    translatable("Expected `{kind}` of length {bound}"),
    translatable("Expected `{kind}` of at least length {count}, got {got}"),
    translatable("Expected `{kind}` matching regex {pattern}"),
    translatable("Expected `{kind}` that's a multiple of {number}"),
    translatable("Expected `{kind}` with a timezone component"),
    translatable("Expected `{kind}` with no timezone component"),
    translatable("Expected `{kind}` {bound}"),
    translatable("Invalid enum value {value}"),
    translatable("Invalid value {value}"),
    translatable("Invalid UUID"),
    translatable("Invalid UUID bytes"),
    translatable("Invalid decimal string"),
    translatable("Invalid base64 encoded string"),
    translatable("Invalid epoch timestamp"),
    translatable("Invalid ISO8601 duration"),
    translatable("Invalid RFC3339 encoded {kind}"),
    translatable("Only units 'D', 'H', 'M', and 'S' are supported when parsing ISO8601 durations"),
    translatable("Invalid MessagePack timestamp"),
    translatable("Invalid MessagePack timestamp: nanoseconds out of range"),
    translatable("Integer value out of range"),
    translatable("Number out of range"),
    translatable("Timestamp is out of range "),  # with this space
    translatable("Duration is out of range"),
    translatable("JSON is malformed: {why}"),
    translatable("MessagePack data is malformed: {why}"),
    translatable("Input data was truncated"),
    translatable("maximum recursion depth exceeded while deserializing an object"),
    translatable("'utf-8' codec can't decode {bytes}: {why}"),
)

_PLACE = re.compile(r"(?P<fault>.+) - at (?P<place>`.+`)", re.DOTALL)
_VALUE = {
    "bound": r"(?:[<>]=? )?[0-9a-z.+-]+",
    "bytes": r"bytes? .+?",
    "count": r"\d+",
    "expected": r"[^`]+",
    "field": r".*",
    "got": r"[^`]+",
    "kind": r"[a-z]+",
    "number": r"-?[0-9.e+-]+",
    "pattern": r".+",
    "value": r".+",
    "why": r".+",
}


def _pattern(text: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", text)
    words = [f"(?P<{part}>{_VALUE[part]})" if odd % 2 else re.escape(part) for odd, part in enumerate(parts)]
    return re.compile("".join(words), re.DOTALL)


_KNOWN = [(text, _pattern(text)) for text in _TEXTS]


def phrase_of(message: str) -> Phrase:
    """A text of msgspec as a phrase that says the same; an unknown one as it is."""
    placed = _PLACE.fullmatch(message)
    if placed is not None and (fault := _known(placed["fault"])) is not None:
        return Phrase(_PLACED, {"fault": fault, "place": placed["place"]})
    return _known(message) or Phrase(message)


def _known(message: str) -> Phrase | None:
    for text, pattern in _KNOWN:
        if found := pattern.fullmatch(message):
            return Phrase(text, found.groupdict())
    return None


def bad_request(message: str) -> CommandError:
    """The refusal of data of which msgspec says that."""
    phrase = phrase_of(message)
    return CommandError(ErrorCode.BAD_REQUEST, phrase.text, **phrase.values)
