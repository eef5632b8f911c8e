"""The SMS templates that India wants registered (DLT), and proof that a text is one of them with its blanks filled in.

An operator drops a text that matches no template of its sender's. `DLT_FILE` is TOML:

    entity_id = "1101234567890123456"
    variable_length = 30                     # characters that a blank may hold; 30 unless it says otherwise
    promotional_hours = ["10:00", "21:00"]   # IST; when texts of category P may go out

    [templates.alert.mr]                     # the occasion and the language
    template_id = "1107161234567890123"
    header = "TCKHUB"
    category = "T"                           # transactional, S service, P promotional
    body = "{#var#} चा अलर्ट: {#alphanumeric#}. किंमत {#var#}. - Tickhub"
    variables = ["symbol", "condition", "price"]

Twilio takes none of these ids with a message: the sender tells it the registration, so each template names its header.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from auth.identity import LANGUAGES
from notifiers.errors import Refused
from notifiers.outbox.delivery import Kind
from notifiers.providers.segments import plain
from notifiers.wording.letters import SmsKind
from notifiers.wording.texts import one_line
from schemas.durations import Seconds
from schemas.market import IST

CODE_VALUES = frozenset({"code", "product"})
TOLD_VALUES = frozenset({
    "symbol", "exchange", "name", "condition", "message", "price", "time", "title", "line", "product",
})  # fmt: skip
"""What a template of an alert may ask for."""
VALUES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(map(str, SmsKind), CODE_VALUES),
    **dict.fromkeys(map(str, Kind), TOLD_VALUES),
}
"""The occasions, and what a template of each may ask for."""

SHORTENED = frozenset({"name", "condition", "message", "title", "line"})
"""What may be cut to fit into its blank. Anything else is a price, a code or an instrument: all of it or nothing."""
FALLBACK = "en"

_BLANK = re.compile(r"\{#([a-z]+)#\}")
_ALLOWED: Mapping[str, re.Pattern[str]] = {
    "var": re.compile(r"[^\r\n]"),
    "alphanumeric": re.compile(r"[^\r\n]"),
    "numeric": re.compile(r"[0-9.,+-]"),
    "url": re.compile(r"[!-~]"),
    "urlott": re.compile(r"[!-~]"),
    "cbn": re.compile(r"[0-9+]"),
    "email": re.compile(r"[!-~]"),
}
"""The blanks that can be registered, and what may stand in each."""
_JOINERS = "\u200c\u200d"
_VIRAMA = 9
"""The combining class of what joins two consonants."""


class Category(StrEnum):
    """How a template is registered."""

    TRANSACTIONAL = "T"
    SERVICE = "S"
    PROMOTIONAL = "P"


class DltText(msgspec.Struct, frozen=True, kw_only=True):
    """A text that matches its template."""

    text: str
    language: str
    template_id: str
    header: str
    entity_id: str
    category: Category


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A template as it stands in the file."""

    template_id: Annotated[str, Meta(pattern=r"^[0-9]{1,32}$")]
    header: Annotated[str, Meta(pattern=r"^(?:[A-Za-z0-9]{3,11}|\+[0-9]{8,15})$")]
    category: Category
    body: Annotated[str, Meta(min_length=1, max_length=2000)]
    variables: tuple[str, ...] = ()

    @property
    def blanks(self) -> list[str]:
        """What each blank is registered as, in their order."""
        return _BLANK.findall(self.body)

    def matches(self, text: str, longest: int) -> bool:
        """Whether a text is this template with something of at most `longest` characters in each blank."""
        ends = {0}
        for number, piece in enumerate(_BLANK.split(self.body)):  # words and blanks by turns
            if number % 2:
                ends = {end for start in ends for end in _filled(text, start, _ALLOWED[piece], longest)}
            else:
                ends = {start + len(piece) for start in ends if text.startswith(piece, start)}
        return len(text) in ends


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    entity_id: Annotated[str, Meta(pattern=r"^[0-9]{1,32}$")]
    variable_length: Annotated[int, Meta(ge=1, le=200)] = 30
    promotional_hours: tuple[str, str] = ("10:00", "21:00")
    templates: dict[str, dict[str, Any]]


class Dlt:
    """The templates of one sender."""

    def __init__(
        self,
        entity_id: str,
        templates: Mapping[tuple[str, str], Template],
        *,
        variable_length: int = 30,
        promotional_hours: tuple[time, time] = (time(10), time(21)),
    ) -> None:
        """`templates` are by occasion and language; `promotional_hours` are India's."""
        self.entity_id = entity_id
        self.templates = dict(templates)
        self._longest = variable_length
        self._hours = promotional_hours

    @classmethod
    def load(cls, path: Path) -> "Dlt":
        """Read such a file; blocks. Raises ValueError with a line for every fault, and OSError."""
        try:
            read = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
        except (ValueError, msgspec.ValidationError) as exc:
            raise ValueError(str(exc)) from exc
        faults: list[str] = []
        templates = {
            (kind, language): template
            for kind, by_language in read.templates.items()
            for language, given in by_language.items()
            if (template := _template(kind, language, given, faults)) is not None
        }
        hours = _hours(read.promotional_hours, faults)
        if faults:
            raise ValueError("\n".join(faults))
        return cls(read.entity_id, templates, variable_length=read.variable_length, promotional_hours=hours)

    def text_for(self, kind: str, language: str, values: Mapping[str, str]) -> DltText:
        """The text for an occasion, in English where there is no template in that language.

        Raises Refused: for the lack of a template, or for a value that doesn't fit and must not be cut.
        """
        spoken = language if (kind, language) in self.templates else FALLBACK
        template = self.templates.get((kind, spoken))
        if template is None:
            raise Refused(f"DLT {kind} {language}", permanent=True)
        pairs = zip(template.blanks, template.variables, strict=True)
        fillings = iter([self._filling(name, values, spoken, _ALLOWED[blank]) for blank, name in pairs])
        text = _BLANK.sub(lambda _: next(fillings), template.body)
        if not template.matches(text, self._longest):
            raise Refused(f"DLT {template.template_id}", permanent=True)
        return self._text(text, spoken, template)

    def category(self, kind: str, language: str) -> Category | None:
        """How the template is registered that `text_for` would take; None where there is none."""
        template = self.templates.get((kind, language)) or self.templates.get((kind, FALLBACK))
        return None if template is None else template.category

    def matching(self, kind: str, language: str, text: str) -> DltText | None:
        """The template that a text which is written already turns out to be; None where it is none."""
        template = self.templates.get((kind, language))
        if template is None or not template.matches(text, self._longest):
            return None
        return self._text(text, language, template)

    def held_s(self, category: Category, now: datetime) -> Seconds:
        """For how long a text of that category must wait until it may go out; 0: not at all."""
        if category is not Category.PROMOTIONAL:
            return 0.0
        local, (begin, end) = now.astimezone(IST), self._hours
        if begin <= local.time() < end:
            return 0.0
        opening = datetime.combine(local.date(), begin, IST)
        return (opening + timedelta(days=local.time() >= end) - local).total_seconds()

    def _filling(self, name: str, values: Mapping[str, str], language: str, allowed: re.Pattern[str]) -> str:
        value = one_line(values.get(name, "")) or "-"
        if language == FALLBACK:
            value = plain(value)
        if len(value) > self._longest and name in SHORTENED:
            value = shortened(value, self._longest)
        if len(value) > self._longest or not all(map(allowed.match, value)):
            raise Refused(f"DLT value {name}", permanent=True)
        return value

    def _text(self, text: str, language: str, template: Template) -> DltText:
        return DltText(
            text=text,
            language=language,
            template_id=template.template_id,
            header=template.header,
            entity_id=self.entity_id,
            category=template.category,
        )


def shortened(text: str, longest: int) -> str:
    """At most so many characters from its beginning: whole words if that leaves half of it, and no torn letter."""
    if len(text) <= longest:
        return text
    space = text.rfind(" ", 0, longest + 1)
    end = space if space > longest // 2 else longest
    while end > 1 and _is_torn(text, end):
        end -= 1
    return text[:end].rstrip()


def _is_torn(text: str, end: int) -> bool:
    """Whether a letter goes on there: its signs follow, or what it is joined to."""
    follows, last = text[end], text[end - 1]
    return (
        unicodedata.category(follows).startswith("M") or "\u200c" in (follows, last) or _joins(follows) or _joins(last)
    )


def _joins(char: str) -> bool:
    return char == "\u200d" or unicodedata.combining(char) == _VIRAMA


def _filled(text: str, start: int, allowed: re.Pattern[str], longest: int) -> Iterator[int]:
    """Where a blank that begins there may end."""
    for end in range(start + 1, min(start + longest, len(text)) + 1):
        if not allowed.match(text[end - 1]):
            return
        yield end


def _template(kind: str, language: str, given: Any, faults: list[str]) -> Template | None:
    place = f"templates.{kind}.{language}"
    try:
        template = msgspec.convert(given, Template)
    except msgspec.ValidationError as exc:
        faults.append(f"{place}: {exc}")
        return None
    faults.extend(f"{place}: {fault}" for fault in _faults(kind, language, template))
    return template


def _faults(kind: str, language: str, template: Template) -> Iterator[str]:
    if kind not in VALUES:
        yield f"there is no occasion {kind!r}; expected one of {', '.join(sorted(VALUES))}"
        return
    if language not in LANGUAGES:
        yield f"there is no language {language!r}; expected one of {', '.join(sorted(LANGUAGES))}"
    if unknown := sorted(set(template.variables) - VALUES[kind]):
        yield f"nothing is known of {', '.join(unknown)}; expected some of {', '.join(sorted(VALUES[kind]))}"
    if len(template.blanks) != len(template.variables):
        yield f"the body has {len(template.blanks)} blanks, and there are {len(template.variables)} variables"
    if unknown := sorted(set(template.blanks) - _ALLOWED.keys()):
        yield f"there is no blank {{#{unknown[0]}#}}; expected one of {', '.join(_ALLOWED)}"
    elif "{#" in _BLANK.sub("", template.body):
        yield "a blank is not complete; expected {#var#}"


def _hours(given: tuple[str, str], faults: list[str]) -> tuple[time, time]:
    try:
        begin, end = (time.fromisoformat(text) for text in given)
    except ValueError:
        begin = end = time()
    if begin >= end:
        faults.append('promotional_hours: expected two times of a day, such as ["10:00", "21:00"]')
    return begin, end
