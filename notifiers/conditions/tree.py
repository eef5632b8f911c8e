"""The tree of a condition: what the parser makes of a text, what JSON may say instead, what the engine runs.

    condition   compare  cross  channel  move  extreme  step        what is looked at
                and  or  not  hold  then                            how they are put together
    expression  number  field  indicator  arithmetic

Numbers are decimals as people write them; prices become the house's integers where the engine compiles a tree.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_NODES = 200
"""Conditions and expressions of one tree, all told."""
MAX_DEPTH = 30

Decimal = Annotated[float, Meta(ge=-1e11, le=1e11)]
Amount = Annotated[float, Meta(gt=0, le=1e11)]
WindowSeconds = Annotated[int, Meta(ge=1, le=86_400)]
Timeframe = Literal["1m", "3m", "5m", "15m", "30m", "1h", "1d"]
Exchange = Annotated[str, Meta(min_length=1, max_length=8)]
Symbol = Annotated[str, Meta(min_length=1, max_length=64)]


class _Node(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", forbid_unknown_fields=True, omit_defaults=True):
    """`omit_defaults` keeps what is stored short: there are millions of it."""


class Number(_Node, frozen=True, tag="number"):
    """A constant."""

    value: Decimal


class Field(_Node, frozen=True, tag="field"):
    """A figure of an instrument's ticks, or of its candles where a timeframe is named.

    Without exchange and symbol, of the alert's own instrument.
    """

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    exchange: Exchange | None = None
    symbol: Symbol | None = None
    timeframe: Timeframe | None = None


class Indicator(_Node, frozen=True, tag="indicator"):
    """An indicator over candles, in canonical text: `rsi(7)`, `sma(volume,20)`; `line` where it has several."""

    text: Annotated[str, Meta(min_length=1, max_length=80)]
    timeframe: Timeframe
    line: Annotated[str, Meta(max_length=40)] | None = None
    gives: Literal["price", "quantity", "percent", "number"] = "number"
    """What its values measure, see `dimensions`. Set when a condition is checked, whatever a client says."""
    exchange: Exchange | None = None
    symbol: Symbol | None = None


class Arithmetic(_Node, frozen=True, tag="arithmetic"):
    """Two expressions put together."""

    op: Literal["+", "-", "*", "/"]
    left: "Expression"
    right: "Expression"


Expression = Number | Field | Indicator | Arithmetic


class Compare(_Node, frozen=True, tag="compare"):
    """Level: holds as long as the comparison does."""

    left: Expression
    op: Literal[">", ">=", "<", "<=", "=="]
    right: Expression


class Cross(_Node, frozen=True, tag="cross"):
    """Edge: happens when left gets to the other side of right."""

    left: Expression
    right: Expression
    direction: Literal["above", "below", "any"] = "any"


class Channel(_Node, frozen=True, tag="channel"):
    """Edge: enters or exits the closed range from low to high. Level: inside or outside."""

    value: Expression
    relation: Literal["enters", "exits", "inside", "outside"]
    low: Expression
    high: Expression


class Move(_Node, frozen=True, tag="move"):
    """Edge: happens when the value has moved by the amount within the window, so many seconds or candles."""

    value: Expression
    amount: Amount
    percent: bool = False
    direction: Literal["up", "down", "any"] = "any"
    within_s: WindowSeconds | None = None
    within_bars: Annotated[int, Meta(ge=1, le=500)] | None = None
    timeframe: Timeframe | None = None
    """Of the candles that are counted."""


class Extreme(_Node, frozen=True, tag="extreme"):
    """Edge: happens when the instrument makes a new high or low of the day, or of 52 weeks."""

    which: Literal["high", "low"]
    of: Literal["day", "year"] = "day"
    exchange: Exchange | None = None
    symbol: Symbol | None = None


class Step(_Node, frozen=True, tag="step"):
    """Edge: happens each time that the value is an amount away from where it happened last, first from the start."""

    value: Expression
    amount: Amount
    percent: bool = False


class And(_Node, frozen=True, tag="and"):
    """All at the same sample."""

    terms: Annotated[tuple["Condition", ...], Meta(min_length=2, max_length=MAX_NODES)]


class Or(_Node, frozen=True, tag="or"):
    """Any of them."""

    terms: Annotated[tuple["Condition", ...], Meta(min_length=2, max_length=MAX_NODES)]


class Not(_Node, frozen=True, tag="not"):
    """The opposite of a level."""

    term: "Condition"


class Hold(_Node, frozen=True, tag="hold"):
    """Level: a level has held for so long, or over so many samples in a row."""

    term: "Condition"
    seconds: WindowSeconds | None = None
    samples: Annotated[int, Meta(ge=2, le=10_000)] | None = None


class Then(_Node, frozen=True, tag="then"):
    """Edge: the second happens after the first did, at most so many seconds later."""

    first: "Condition"
    second: "Condition"
    within_s: WindowSeconds


Condition = Compare | Cross | Channel | Move | Extreme | Step | And | Or | Not | Hold | Then
Node = Condition | Expression

_encoder = msgspec.json.Encoder()
_decoder: "msgspec.json.Decoder[Condition]" = msgspec.json.Decoder(Condition)


def encode(condition: Condition) -> str:
    """The tree as compact JSON, as it is stored."""
    return _encoder.encode(condition).decode()


def decode(text: str) -> Condition:
    """A stored tree. Raises msgspec.ValidationError."""
    return _decoder.decode(text)


def children(node: Node) -> tuple[Node, ...]:
    """What stands right below a node, in the order of the text."""
    below: tuple[Node, ...] = ()
    match node:
        case Arithmetic() | Compare() | Cross():
            below = (node.left, node.right)
        case Channel():
            below = (node.value, node.low, node.high)
        case Move() | Step():
            below = (node.value,)
        case And() | Or():
            below = node.terms
        case Not() | Hold():
            below = (node.term,)
        case Then():
            below = (node.first, node.second)
        case Number() | Field() | Indicator() | Extreme():
            pass
    return below


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, each before what stands below it."""
    waiting: list[Node] = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(reversed(children(one)))
