"""msgspec is made to say all that it can say; each of its texts is known, and reads as before."""

import datetime as dt
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from schemas.errors import ErrorCode
from schemas.validation import bad_request, phrase_of


class Letter(enum.Enum):
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    x: int


class First(msgspec.Struct, tag="a"):
    pass


class Second(msgspec.Struct, tag="b"):
    pass


class One(msgspec.Struct, tag=1):
    pass


class Two(msgspec.Struct, tag=2):
    pass


class Row(msgspec.Struct, array_like=True):
    x: int
    y: int


JSON: list[tuple[Any, str]] = [
    (int, '"a"'),
    (Strict, "{}"),
    (Strict, '{"x":1,"y":2}'),
    (Strict, '{"x":"a"}'),
    (Letter, '"b"'),
    (Number, "3"),
    (Literal["a"], '"b"'),
    (Literal[1], "2"),
    (Annotated[str, Meta(min_length=3)], '"a"'),
    (Annotated[str, Meta(max_length=1)], '"aa"'),
    (Annotated[str, Meta(pattern="^a$")], '"b"'),
    (Annotated[list[int], Meta(min_length=1)], "[]"),
    (Annotated[list[int], Meta(max_length=1)], "[1,2]"),
    (Annotated[dict[str, int], Meta(min_length=1)], "{}"),
    (Annotated[dict[str, int], Meta(max_length=0)], '{"a":1}'),
    (Annotated[int, Meta(ge=1)], "0"),
    (Annotated[int, Meta(gt=1)], "0"),
    (Annotated[int, Meta(le=-1)], "3"),
    (Annotated[int, Meta(lt=1)], "3"),
    (Annotated[int, Meta(multiple_of=2)], "3"),
    (Annotated[float, Meta(ge=1)], "0"),
    (Annotated[float, Meta(gt=1.5)], "0"),
    (Annotated[float, Meta(le=1e300)], "1e301"),
    (Annotated[float, Meta(lt=-0.5)], "1"),
    (Annotated[float, Meta(multiple_of=0.5)], "0.3"),
    (Annotated[dt.datetime, Meta(tz=True)], '"2020-01-01T00:00:00"'),
    (Annotated[dt.datetime, Meta(tz=False)], '"2020-01-01T00:00:00Z"'),
    (dt.datetime, '"x"'),
    (dt.date, '"x"'),
    (dt.time, '"x"'),
    (dt.timedelta, '"x"'),
    (dt.timedelta, '"P1Y"'),
    (dt.timedelta, '"P99999999999D"'),
    (uuid.UUID, '"x"'),
    (decimal.Decimal, '"x"'),
    (bytes, '"x"'),
    (Annotated[bytes, Meta(min_length=3)], '"AA=="'),
    (First | Second, '{"type":"c"}'),
    (First | Second, "{}"),
    (First | Second, '{"type":1}'),
    (One | Two, '{"type":7}'),
    (Row, "[1]"),
    (tuple[int, int], "[1]"),
    (int, "1" + "0" * 5000),
    (dict[int, int], '{"a":1}'),
    (dict[str, int], '{"a":"b"}'),
    (dict[Annotated[str, Meta(min_length=2)], int], '{"a":1}'),
    (list[dict[str, list[int]]], '[{"a":["x"]}]'),
    (int | None, '"x"'),
    (int | str | None, "[]"),
    (Any, "1e999"),
    *[(Any, text) for text in ("", "{", "[1,]", "nan", '"\\x"', '"\\ud800"', '{"a":1,}', "[1 2]", "1 2", '"\\u12g4"')],
    *[(Any, text) for text in ("{1:2}", "01", '"a', '{"a" 1}', "[" * 100_000)],
]

MSGPACK: list[tuple[Any, bytes]] = [
    (Any, b"\xc1"),
    (int, b"\x81"),
    (int, b""),
    (int, b"\x01\x01"),
    (Strict, b"\x81\x01\x01"),
    (str, b"\xa1\xff"),
    (uuid.UUID, b"\xc4\x011"),
    (dt.datetime, b"\xc7\x03\xff\x00\x00\x00"),
    (dt.datetime, b"\xd7\xff" + b"\xff" * 8),
    (dt.datetime, b"\xc7\x0c\xff" + b"\x00" * 4 + b"\x7f" * 8),
    (Annotated[bytes, Meta(max_length=1)], b"\xc4\x02ab"),
]

CONVERTED: list[tuple[Any, object]] = [
    (dt.datetime, 1e30),
    (dt.datetime, float("nan")),
    (dt.timedelta, 1e30),
    (bytes, 5),
    (uuid.UUID, b"1"),
    (bool, "x"),
    (float, "x"),
    (None, "x"),
    (Annotated[int, Meta(ge=1)], "0"),
    (dict[str, Annotated[int, Meta(ge=3)]], {"k": 1}),
    (Strict, {1: 2}),
]

BAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def known(message: str) -> bool:
    phrase = phrase_of(message)
    assert str(phrase) == message
    return bool(phrase.values) or phrase_of(f"{message} - at `$.x`").values.get("place") == "`$.x`"


@pytest.mark.parametrize(("kind", "text"), JSON)
def test_what_is_said_of_json_is_known(kind: Any, text: str) -> None:
    with pytest.raises(BAD) as raised:
        msgspec.json.decode(text, type=kind)
    assert known(str(raised.value)), str(raised.value)


@pytest.mark.parametrize(("kind", "data"), MSGPACK)
def test_what_is_said_of_messagepack_is_known(kind: Any, data: bytes) -> None:
    with pytest.raises(BAD) as raised:
        msgspec.msgpack.decode(data, type=kind)
    assert known(str(raised.value)), str(raised.value)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("kind", "value"), CONVERTED)
def test_what_is_said_of_a_query_is_known(kind: Any, value: object, strict: bool) -> None:
    with pytest.raises(BAD) as raised:
        msgspec.convert(value, kind, strict=strict)
    assert known(str(raised.value)), str(raised.value)


def test_what_is_no_utf_8_is_known() -> None:
    with pytest.raises(UnicodeDecodeError) as raised:
        msgspec.json.decode(b'"\xff"')
    assert known(str(raised.value))


def test_a_place_is_kept_apart_from_the_fault() -> None:
    phrase = phrase_of("Expected `int`, got `str` - at `key` in `$.recover`")
    assert phrase.text == "{fault} - at {place}"
    assert phrase.values["place"] == "`key` in `$.recover`"
    assert str(phrase.values["fault"]) == "Expected `int`, got `str`"


def test_a_field_that_reads_like_a_place_is_still_a_field() -> None:
    message = "Object contains unknown field `a - at `b``"
    assert phrase_of(message).values == {"field": "a - at `b`"}


def test_an_unknown_text_is_left_as_it_is() -> None:
    error = bad_request("Something {new} - at `$.x`")
    assert (error.code, error.message) == (ErrorCode.BAD_REQUEST, "Something {new} - at `$.x`")


@given(st.dictionaries(st.text(), st.text() | st.integers()))
def test_whatever_msgspec_says_of_an_object_is_known(fields: dict[str, object]) -> None:
    fields["x"] = "never a number"
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode(msgspec.json.encode(fields), type=Strict)
    assert known(str(raised.value))


@given(st.text())
def test_any_text_at_all_reads_as_before(text: str) -> None:
    assert bad_request(text).message == text
