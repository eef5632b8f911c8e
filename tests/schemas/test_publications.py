import json
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import publications
from schemas.errors import CommandError, ErrorCode
from schemas.publications import CANDLE, DEPTH, MARKET, MAX_BYTES, SIGNAL, Normalise, any_object, schema_of_fields

NEWS = schema_of_fields(
    "news",
    {
        "title": "string",
        "score": "number?",
        "count": "integer?",
        "hot": "boolean?",
        "about": "object?",
        "tags": "array?",
    },
)
SCHEMAS: dict[str, Normalise] = {
    "market": MARKET,
    "depth": DEPTH,
    "candle": CANDLE,
    "signal": SIGNAL,
    "any": any_object,
    "news": NEWS,
}
EVERY_SCHEMA = pytest.mark.parametrize("normalise", SCHEMAS.values(), ids=SCHEMAS.keys())

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
FIELD_NAMES = """
price open high low close volume bid ask state time symbol exchange signal_type confidence entry_price reason ml_score
title score count hot about tags bids asks closed timeframe start quantity
"""
FIELDS = st.sampled_from(FIELD_NAMES.split())
VALUES = (
    JSON
    | st.floats(0, 1e6)
    | st.sampled_from(
        ["BUY", "NSE", "RELIANCE", "2026-11-23T09:15:01+05:30", "2026-11-23", "a\nb\u2028c", 10**30, 1e400]
    )
)
OBJECTS = st.fixed_dictionaries(
    {}, optional={"price": VALUES, "symbol": VALUES, "signal_type": VALUES, "confidence": VALUES, "title": VALUES}
)
RAW = (
    st.binary(max_size=200)
    | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(FIELDS, VALUES, max_size=8).map(lambda value: json.dumps(value, indent=1).encode())
    | OBJECTS.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
)


def _published(normalise: Normalise, raw: bytes) -> bytes | None:
    """What comes out, None for a refusal; any other error fails the test."""
    try:
        return normalise(raw)
    except CommandError as exc:
        assert exc.code is ErrorCode.BAD_REQUEST  # noqa: PT017 - a refusal is one of the two right outcomes
        assert str(exc).isprintable()  # noqa: PT017
        return None


@EVERY_SCHEMA
@given(raw=RAW)
@example(raw=b"")
@example(raw=b"{}")
@example(raw=b"[" * 50_000)
@example(raw=b'{"a":' * 9_000)
@example(raw=b'{"a":' * 900 + b"1" + b"}" * 900)
@example(raw=b'{"price":NaN}')
@example(raw=b'{"price":1e999}')
@example(raw=b'{"price":1,"price":2}')
@example(raw=b'{"price":1,"time":"0000-00-00T00:00:00Z"}')
@example(raw=b'{"title":"\\ud800"}')
@example(raw=b'{"title":"\xff"}')
@example(raw=b'{"title":"a","count":99999999999999999999999999}')
@example(raw=b'{"title":"a\\nb\\u2028","about":{"x":[1,2.5,null]}}')
def test_any_bytes_become_one_compact_object_or_are_refused(normalise: Normalise, raw: bytes) -> None:
    """Nothing else happens, and what has been published once is published again unchanged."""
    published = _published(normalise, raw)
    if published is None:
        return
    assert isinstance(orjson.loads(published), dict)
    assert b"\n" not in published
    assert b"\r" not in published
    assert _published(normalise, published) == published


@given(st.dictionaries(st.text(), JSON.filter(lambda value: value == value), max_size=4))  # noqa: PLR0124 - no NaN
def test_any_object_keeps_what_it_was_given(value: dict[str, object]) -> None:
    raw = json.dumps(value).encode()
    published = _published(any_object, raw)
    if published is not None:
        assert json.loads(published) == orjson.loads(raw)


@pytest.mark.parametrize(
    ("normalise", "raw", "published"),
    [
        (MARKET, b'{ "price" : 2500.5 }', {"price": 2500.5}),
        (MARKET, b'{"price":1,"colour":"red"}', {"price": 1}),
        (SIGNAL, b'{"symbol":"A","signal_type":"BUY","confidence":80}', None),
        (NEWS, b'{"title":"x","other":1}', {"title": "x"}),
        (any_object, b'{"a":[1,{"b":null}]}', {"a": [1, {"b": None}]}),
    ],
)
def test_what_fits_is_published(normalise: Normalise, raw: bytes, published: dict[str, object] | None) -> None:
    assert orjson.loads(normalise(raw)) == (published or orjson.loads(raw))


@pytest.mark.parametrize(
    ("normalise", "raw", "why"),
    [
        (MARKET, b"{}", "price"),
        (MARKET, b'{"price":0}', r"\$\.price"),
        (MARKET, b'{"price":-1}', r"\$\.price"),
        (MARKET, b'{"price":"2500"}', r"\$\.price"),
        (MARKET, b'{"price":1,"time":"2026-11-23T09:15:01"}', r"zone.*\$\.time"),
        (MARKET, b'{"price":1,"time":"soon"}', r"zone.*\$\.time"),
        (SIGNAL, b'{"symbol":"A","signal_type":"SHORT","confidence":80}', r"\$\.signal_type"),
        (SIGNAL, b'{"symbol":"A","signal_type":"BUY","confidence":101}', r"\$\.confidence"),
        (SIGNAL, b'{"symbol":"A","signal_type":"BUY"}', "confidence"),
        (NEWS, b'{"score":1}', "title"),
        (NEWS, b'{"title":1}', r"\$\.title"),
        (any_object, b"[]", "Expected an object, got an array"),
        (any_object, b"null", "Expected an object, got null"),
        (any_object, b"true", "Expected an object, got a boolean"),
        (any_object, b"1", "Expected an object, got a number"),
        (any_object, b'"x"', "Expected an object, got a string"),
        (any_object, b'{"a":}', "Invalid JSON"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(normalise: Normalise, raw: bytes, why: str) -> None:
    with pytest.raises(CommandError, match=why) as caught:
        normalise(raw)
    assert caught.value.code is ErrorCode.BAD_REQUEST


@EVERY_SCHEMA
def test_a_publication_over_64_kib_is_refused(normalise: Normalise) -> None:
    with pytest.raises(CommandError, match=str(MAX_BYTES)):
        normalise(b'{"price":1,"title":"x","a":"' + b"x" * MAX_BYTES + b'"}')


def test_the_largest_publication_is_taken() -> None:
    raw = b'{"a":"' + b"x" * (MAX_BYTES - 8) + b'"}'
    assert len(raw) == MAX_BYTES
    assert any_object(raw) == raw


def test_a_time_with_any_zone_is_taken() -> None:
    for time in ("2026-11-23T09:15:01.250+05:30", "2026-11-23T03:45:01Z", datetime.now(UTC).isoformat()):
        assert orjson.loads(MARKET(orjson.dumps({"price": 1, "time": time})))["time"] == time


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"a": "text"}, "kind 'text'"),
        ({"a-b": "string"}, "a name is"),
        ({"": "string"}, "a name is"),
        ({"a": ""}, "kind"),
    ],
)
def test_a_faulty_schema_is_told(fields: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        schema_of_fields("news", fields)


def test_every_kind_of_field_takes_its_own_kind_alone() -> None:
    values = {"string": "x", "number": 1.5, "integer": 1, "boolean": True, "object": {"a": 1}, "array": [1]}
    for kind in values:
        schema = publications.schema_of_fields("probe", {"field": kind})
        taken = {other for other, value in values.items() if _published(schema, orjson.dumps({"field": value}))}
        assert taken == ({"number", "integer"} if kind == "number" else {kind})


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59+00:00", "9999-12-31T23:59:59-23:59"]
)
def test_a_time_that_no_price_can_have_is_refused(time: str) -> None:
    with pytest.raises(CommandError, match="ISO 8601"):
        publications.MARKET(orjson.dumps({"price": 1, "time": time}))
