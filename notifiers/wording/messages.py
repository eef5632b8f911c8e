"""What an alert says: title, line and text, in a person's language, out of a delivery's facts."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from auth.identity import LANGUAGES
from notifiers.alerts.facts import Facts, of_content
from notifiers.conditions.dimensions import Dimension
from notifiers.conditions.tree import Condition
from notifiers.outbox.delivery import Kind
from notifiers.outbox.provider import Job
from notifiers.wording import numbers
from notifiers.wording.conditions import Conditions
from notifiers.wording.placeholders import check_message, fill
from notifiers.wording.texts import DEFAULT, Texts, one_line, texts_of

__all__ = ["Messages", "Said", "change_of", "check_message"]

MAX_TITLE = 80
MAX_LINE = 300
MAX_SMS_CONDITION = 100
"""Characters of a condition that an SMS repeats."""

_GSM = str.maketrans(
    {"\u20b9": "Rs ", "\u2026": "...", "\u2265": ">=", "\u2264": "<=", "\u00d7": "*", "\u2212": "-", "\u00f7": "/"}
)
"""What stands in texts of ours and has no letter in the GSM alphabet."""

Row = tuple[str, str]


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery in words. Everything but `text` and `message` is one line without control characters.

    The user's own message, where the alert has one, stands in `line`, `sms` and `text` instead of what we would say.
    """

    language: str
    """What it is in: one of `auth.identity.LANGUAGES`."""
    wished: str
    """What was asked for: another one where there are no texts in it."""
    title: str
    """What it is about, in 80 characters: a mail's subject, a notification's title."""
    line: str
    """What has happened, in 300 characters: a notification's body."""
    sms: str
    """The same for an SMS: in English it keeps to the GSM alphabet (`Rs`, not the sign)."""
    text: str
    """All of it, in several lines."""
    condition: str
    """What the alert waits for, in words."""
    message: str | None = None
    """The user's own words, filled in; maybe of several lines."""
    exchange: str = ""
    symbol: str = ""
    price: str = ""
    """The instrument's, with its currency: empty where none is known."""
    time: str = ""
    """By the user's clock."""
    rows: tuple[Row, ...] = ()
    """What is known of it: labels and values."""
    why: tuple[str, ...] = ()
    """What there is to explain, in sentences."""

    @property
    def detail(self) -> str | None:
        """For the delivery's report: `language ta: en`; None where it is the wished one."""
        return None if self.language == self.wished else f"language {self.wished}: {self.language}"


class Messages:
    """Puts deliveries into words: `Messages("Acme", read).of(job)`."""

    def __init__(
        self, product: str, read: Callable[[str], Condition], *, wall: Callable[[], float] = time.time
    ) -> None:
        """`product` is whose service it is; `read` makes a tree of a condition's canonical text.

        Reads the texts of all languages and all time zones: blocks for a tenth of a second.
        """
        numbers.load()
        self.product = one_line(product)
        self._wall = wall
        self._texts: dict[str, dict[str, Any]] = {language: texts_of(language)["alert"] for language in LANGUAGES}
        self._renderer = Texts(html=False)
        self._conditions = Conditions(read)

    def of(self, job: Job) -> Said:
        """What an attempt says: in the alert's language, else the user's. Raises msgspec.ValidationError."""
        facts = of_content(job.delivery.content)
        return self.say(facts, facts.language or job.language, job.addressee.timezone)

    def say(self, facts: Facts, wished: str, zone: str) -> Said:
        """What there is to say of something, to somebody who lives in that zone. Pure."""
        language = wished if wished in self._texts else DEFAULT
        values = self._values(facts, language, zone)
        dimension = self._conditions.dimension(facts.condition)
        message = self._message(facts, language, _filled(facts, values, dimension))
        line = one_line(self._line(facts, language, values, message))
        rows = self._rows(facts, language, values, dimension)
        why = self._why(facts, language)
        return Said(
            language=language,
            wished=wished,
            title=_cut(self._title(facts, language, values), MAX_TITLE),
            line=_cut(line, MAX_LINE),
            sms=_gsm(one_line(self._line(facts, language, _shortened(values), message))),
            text="\n".join([message or line, "", *(f"{label}: {value}" for label, value in rows), *why]) + "\n",
            condition=values["condition"],
            message=message,
            exchange=values["exchange"],
            symbol=values["symbol"],
            price=values["price"],
            time=values["time"],
            rows=rows,
            why=why,
        )

    def buttons(self, language: str) -> dict[str, str]:
        """What a letter's links say in a language of `LANGUAGES`: open, acknowledge, unsubscribe, and the footer."""
        texts = self._texts[language]
        given = {"product": self.product}
        return {key: self._renderer.text(texts[key], given) for key in ("open", "acknowledge", "unsubscribe", "footer")}

    def _values(self, facts: Facts, language: str, zone: str) -> dict[str, str]:
        now_ms = int(self._wall() * 1000)
        return {
            "product": self.product,
            "symbol": one_line(facts.symbol),
            "exchange": one_line(facts.exchange),
            "name": one_line(facts.name or ""),
            "condition": one_line(self._conditions.in_words(facts.condition, language, facts.exchange, facts.symbol)),
            "price": "" if facts.price is None else numbers.money(facts.price, facts.exchange, facts.symbol),
            "time": numbers.moment(facts.at_ms, zone, now_ms),
            "since": "" if facts.since_ms is None else numbers.moment(facts.since_ms, zone, now_ms),
            "count": str(facts.count),
        }

    def _message(self, facts: Facts, language: str, values: Mapping[str, str]) -> str | None:
        """The user's own, for what it is about: that an alert fired. A test says that it is one."""
        if facts.message is None or facts.kind not in {Kind.ALERT, Kind.TEST}:
            return None
        filled = fill(facts.message, values)
        if facts.kind is Kind.ALERT:
            return filled
        return self._renderer.text(self._texts[language]["test_line"], {"line": filled})

    def _title(self, facts: Facts, language: str, values: Mapping[str, str]) -> str:
        texts = self._texts[language]
        match facts.kind:
            case Kind.ALERT:
                return _headline(values)
            case Kind.DIGEST:
                return self._renderer.text(texts["digest_title"], values)
            case Kind.TEST:
                return self._renderer.text(texts["test_title"], values)
            case Kind.NOTICE:
                return self._renderer.text(texts["notice_title"], values).rstrip(": ")

    def _line(self, facts: Facts, language: str, values: Mapping[str, str], message: str | None) -> str:
        texts = self._texts[language]
        match facts.kind:
            case Kind.DIGEST:
                return self._renderer.text(texts["digest_line"], values)
            case Kind.NOTICE:
                notices = texts["notice"]
                return self._renderer.text(notices.get(facts.reason or "", notices["other"]), values)
            case Kind.ALERT | Kind.TEST:
                if message is not None:
                    return message
                said = self._renderer.text(texts["line" if values["price"] else "line_without_price"], values)
                return said if facts.kind is Kind.ALERT else self._renderer.text(texts["test_line"], {"line": said})

    def _rows(self, facts: Facts, language: str, values: Mapping[str, str], dimension: Dimension) -> tuple[Row, ...]:
        """What is known, in the order in which it is read; what nobody knows is left out."""
        labels = self._texts[language]["labels"]
        rows = {"name": values["name"], "condition": values["condition"]}
        match facts.kind:
            case Kind.ALERT | Kind.TEST:
                rows |= {"price": values["price"]} | _measured(facts, dimension) | {"time": values["time"]}
            case Kind.DIGEST:
                rows |= {"count": values["count"], "since": values["since"], "price": values["price"]}
            case Kind.NOTICE:
                pass
        return tuple((labels[key], value) for key, value in rows.items() if value)

    def _why(self, facts: Facts, language: str) -> tuple[str, ...]:
        if facts.kind is not Kind.ALERT:
            return ()
        reasons: Mapping[str, str] = self._texts[language]["why"]
        keys = (facts.via, "gap" if facts.gap else "")
        return tuple(reasons[key] for key in keys if key in reasons)


def _headline(values: Mapping[str, str]) -> str:
    """`TCS crosses above 2,500 (2,510.50)`, or by the alert's name `Breakout (TCS 2,510.50)`."""
    told = values["name"] or values["condition"]
    place = "" if values["symbol"] in told else values["symbol"]
    known = f"{place} {values['price']}".strip()
    return f"{_cut(told, max(20, MAX_TITLE - len(known) - 3))} ({known})" if known else told


def _measured(facts: Facts, dimension: Dimension) -> dict[str, str]:
    """What the alert looks at, in its unit."""
    at_price = dimension is Dimension.PRICE and facts.current == facts.price
    values = {
        "current": None if at_price else facts.current,
        "previous": facts.previous,
        "level": facts.level,
    }
    said = {key: _in_unit(value, dimension, facts) for key, value in values.items() if value is not None}
    change = change_of(facts)
    return said if change is None else said | {"change": numbers.change(change)}


def _in_unit(value: float, dimension: Dimension, facts: Facts) -> str:
    match dimension:
        case Dimension.PRICE:
            return numbers.money(value, facts.exchange, facts.symbol)
        case Dimension.PERCENT:
            return numbers.change(value)
        case Dimension.QUANTITY | Dimension.NUMBER:
            return numbers.number(value)


def change_of(facts: Facts) -> float | None:
    """The day's change in percent, where it is known."""
    return facts.inputs.get("change_percent") if facts.change_percent is None else facts.change_percent


def _filled(facts: Facts, values: Mapping[str, str], dimension: Dimension) -> dict[str, str]:
    """What the placeholders of a user's message stand for."""
    plain = numbers.price if dimension is Dimension.PRICE else numbers.number
    price, change = numbers.price(facts.price), numbers.percent(change_of(facts))
    return {
        "symbol": values["symbol"],
        "exchange": values["exchange"],
        "price": price,
        "ltp": price,
        "prev": plain(facts.previous),
        "level": plain(facts.level),
        "change_percent": change,
        "change_pct": change,
        "time": values["time"],
        "rule": values["name"] or values["condition"],
        "condition": values["condition"],
        "name": values["name"] or values["symbol"],
    }


def _shortened(values: Mapping[str, str]) -> dict[str, str]:
    return {**values, "condition": _cut(values["condition"], MAX_SMS_CONDITION)}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}\u2026"


def _gsm(text: str) -> str:
    """The text without the rupee's sign, where that makes it one that the GSM alphabet can write."""
    plain = text.translate(_GSM)
    return plain if plain.isascii() else text
