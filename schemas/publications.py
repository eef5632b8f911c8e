"""What may be published: each schema checks a JSON object from a feed, from Redis or over HTTP, and writes it anew.

A publication travels as the bytes of one compact JSON object without line breaks, checked once where it enters.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Meta

from schemas.errors import CommandError, ErrorCode
from schemas.market import CandlePayload, Decimal, DepthPayload, MarketPayload
from schemas.phrases import Phrase
from schemas.validation import bad_request

MAX_BYTES = 64 * 1024
MAX_NESTING = 32
"""How deep objects and arrays may stand in one another: every encoder has a limit, and this is below all of them."""

LATEST_S = 32_503_680_000
"""The last moment that a time may be: the year 3000."""

Normalise = Callable[[bytes], bytes]
"""Takes the JSON as it came, answers with the JSON as it is published; raises CommandError BAD_REQUEST."""


class SignalPayload(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What a publication on `signals:` holds."""

    symbol: Annotated[str, Meta(min_length=1, max_length=64)]
    signal_type: Annotated[str, Meta(pattern="^(BUY|SELL|HOLD)$")]
    confidence: Annotated[float, Meta(ge=0, le=100)]
    exchange: Annotated[str, Meta(min_length=1, max_length=16)] | None = None
    entry_price: Decimal | None = None
    target_price: Decimal | None = None
    stop_loss: Decimal | None = None
    ml_score: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None
    reason: Annotated[str, Meta(max_length=4000)] | dict[str, Any] | None = None
    id: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    timeframe: Annotated[str, Meta(max_length=8)] | None = None
    status: Annotated[str, Meta(pattern="^(ACTIVE|CLOSED|EXPIRED)$")] | None = None
    time: Annotated[str, Meta(max_length=40)] | None = None


def _bounded(raw: bytes) -> None:
    if len(raw) > MAX_BYTES:
        raise CommandError(
            ErrorCode.BAD_REQUEST, "A publication holds at most {most} bytes, got {got}", most=MAX_BYTES, got=len(raw)
        )


def schema_of(model: type[msgspec.Struct]) -> Normalise:
    """The schema of a struct: wrong or missing fields are refused with their place, unknown ones are left out."""
    decode = msgspec.json.Decoder(model).decode
    encode = msgspec.json.Encoder().encode
    dated = "time" in model.__struct_fields__

    def normalise(raw: bytes) -> bytes:
        _bounded(raw)
        try:
            value = decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise bad_request(str(exc)) from exc
        if dated:
            _check_time(getattr(value, "time", None))
        for name in model.__struct_fields__:
            _check_nesting(getattr(value, name))
        return encode(value)

    return normalise


def _check_nesting(value: object, left: int = MAX_NESTING) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        if not left:
            raise CommandError(ErrorCode.BAD_REQUEST, "Objects and arrays go at most {most} deep", most=MAX_NESTING)
        for item in value:
            _check_nesting(item, left - 1)


def _check_time(text: str | None) -> None:
    if text is None:
        return
    try:
        moment = datetime.fromisoformat(text)
        usable = moment.tzinfo is not None and 0 <= moment.timestamp() <= LATEST_S
    except (ValueError, OverflowError):
        usable = False
    if not usable:
        raise CommandError(
            ErrorCode.BAD_REQUEST,
            "Expected an ISO 8601 time with a zone, since 1970, got {text!r} - at `$.time`",
            text=text,
        )


def any_object(raw: bytes) -> bytes:
    """The schema of namespaces without one of their own: any JSON object."""
    _bounded(raw)
    try:
        value = orjson.loads(raw)
        if not isinstance(value, dict):
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected an object, got {kind}", kind=_json_kind(value))
        return orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as exc:
        raise CommandError(ErrorCode.BAD_REQUEST, "Invalid JSON: {why}", why=str(exc)) from exc


def _json_kind(value: object) -> Phrase:
    match value:
        case None:
            return Phrase("null")
        case bool():
            return Phrase("a boolean")
        case int() | float():
            return Phrase("a number")
        case str():
            return Phrase("a string")
        case _:
            return Phrase("an array")


_KINDS: dict[str, type] = {
    "string": str,
    "number": float,
    "integer": int,
    "boolean": bool,
    "object": dict,
    "array": list,
}
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def schema_of_fields(name: str, fields: dict[str, str]) -> Normalise:
    """The schema that a namespaces file spells out: field name → kind, `?` behind the kind for an optional field.

    Kinds are string, number, integer, boolean, object, array. Raises ValueError for any other, or a bad field name.
    """
    required: list[Any] = []
    optional: list[Any] = []
    for field, kind in fields.items():
        base = kind.removesuffix("?")
        if base not in _KINDS:
            raise ValueError(f"field {field}: kind {kind!r} is none of {', '.join(_KINDS)}")
        if not _FIELD_NAME.fullmatch(field):
            raise ValueError(f"field {field!r}: a name is letters, digits and underscores")
        if kind.endswith("?"):
            optional.append((field, _KINDS[base] | None, None))
        else:
            required.append((field, _KINDS[base]))
    return schema_of(msgspec.defstruct(name, required + optional, kw_only=True, omit_defaults=True))


MARKET = schema_of(MarketPayload)
DEPTH = schema_of(DepthPayload)
CANDLE = schema_of(CandlePayload)
SIGNAL = schema_of(SignalPayload)
