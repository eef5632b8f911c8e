"""What a hostile client sends, made from the structs that endpoints read: every field, every way of being wrong."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import inspect

from hub.http.endpoint import Endpoint

MARK = "Sesame-8-marker"
"""Stands in every text that goes into a field of `SECRET_FIELDS`."""

SECRET_FIELDS = frozenset(
    {"password", "current_password", "new_password", "token", "refresh_token", "code", "challenge"}
)

TEXTS = (
    "'; DROP TABLE accounts; --",
    '" OR 1=1 /*',
    "<script>alert(1)</script>",
    "%s%n%x {0} {user} ${7*7} {{7*7}}",
    "a\x00b",
    "\r\nSet-Cookie: a=b",
    "\u202e\u0430dmin\ufeff",
    "../../etc/passwd",
)
"""What is harmless as a text, and nowhere else."""

VALUES = (
    "null", "true", "7", "-1", "0", "1.5", "1e400", "-1e308", "9223372036854775808", "1" + "0" * 400,
    '""', '"x"', "[]", "[null]", "{}", '{"a":1}', "[" * 300 + "]" * 300, '{"a":' * 300 + "1" + "}" * 300,
    r'"\ud800"', r'"\udc00\ud800"', '"\\u0000"', "NaN", "Infinity", "'x'", "undefined", '"\t"',
)  # fmt: skip
"""Values in JSON, and what looks like such, of every type and beyond the bounds of every type."""

BODIES = (
    b"null", b"true", b"7", b"[]", b'"x"', b"{", b"}", b"{}{}", b"{}x", b'{"a"}', b"{'a':1}", b"{,}", b"\x00",
    b"\xff\xfe", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'{"\xff":1}', b'{"a":"\xc3("}',
    b"[" * 20_000, b'{"a":' * 20_000, b"a=b&c=d", b"<a/>", b"x" * 20_000,
)  # fmt: skip
"""Whole bodies that are no object in JSON."""

MAX_HEAD_BYTES = 30_000
"""More than this the server doesn't read of a request's head, whatever the route."""

GOOD: dict[str, Any] = {
    "address": "127.0.0.1",
    "auth": "A" * 22,
    "channel": "market:TCS",
    "data": {"price": 1},
    "email": "crowd@example.com",
    "endpoint": "https://push.example/x",
    "exchange": "NSE",
    "expires_at": 4_000_000_000,
    "from": "2026-01-01",
    "name": "Asha",
    "p256dh": "BA" + "A" * 85,
    "password": "monsoon-Tram-81",
    "current_password": "monsoon-Tram-00",
    "new_password": "monsoon-Tram-82",
    "phone": "+919876543210",
    "symbol": "TCS",
    "timezone": "Asia/Kolkata",
    "to": "2026-12-01",
    "user": "nobody",
}
"""What gets past the checks of a field, by its name, so that the next ones are reached."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One request that may be wrong."""

    name: str
    query: str = ""
    body: bytes | None = None


def bodies(endpoint: Endpoint) -> Iterator[Case]:
    """Bodies for what an endpoint reads."""
    kind = inspect.type_info(endpoint.body_type)
    assert isinstance(kind, inspect.StructType), endpoint.path
    for number, raw in enumerate(BODIES):
        yield Case(name=f"body {number}", body=raw)
    needed = {field.encode_name: _raw(_good(field)) for field in kind.fields if field.required}
    yield Case(name="what is needed", body=_object(needed))
    yield Case(name="an unknown field", body=_object({**needed, "unheard of": "1"}))
    for name in needed:
        yield Case(name=f"no {name}", body=_object({key: value for key, value in needed.items() if key != name}))
        twice = b"{%s,%s}" % (_object(needed)[1:-1], _object({name: needed[name]})[1:-1])
        yield Case(name=f"{name} twice", body=twice)
    for field in kind.fields:
        name = field.encode_name
        for value in (*VALUES, *_texts(field)):
            yield Case(name=f"{name} = {value[:40]}", body=_object({**needed, name: value}))
        yield Case(
            name=f"{name} in bytes that are no text", body=_object(needed | {name: '"MARK"'}).replace(b"MARK", b"\xff")
        )


def queries(endpoint: Endpoint) -> Iterator[Case]:
    """Queries for what an endpoint reads; without a struct for what none may have."""
    yield Case(name="an unknown parameter", query="?unheard=of")
    if endpoint.query_type is None:
        return
    kind = inspect.type_info(endpoint.query_type)
    assert isinstance(kind, inspect.StructType)
    needed = {field.encode_name: quote(str(_good(field))) for field in kind.fields if field.required}
    for field in kind.fields:
        name = field.encode_name
        texts = [json.loads(text) for text in _texts(field)]
        encoded = [quote(text, safe="", errors="surrogatepass") for text in (*texts, *VALUES[:11])]
        for value in (*encoded, "", "%ff", "%ed%a0%80", "%", "%zz", "+"):
            if len(value) > MAX_HEAD_BYTES:
                continue
            yield Case(name=f"?{name}={value[:40]}", query=_query(needed | {name: value}))
        good = needed | {name: quote(str(_good(field)))}
        yield Case(name=f"?{name} twice", query=f"{_query(good)}&{name}={good[name]}")


def ids() -> Iterator[str]:
    """What may stand in a path where an id is expected."""
    yield from (quote(text, safe="") for text in TEXTS)
    yield from ("%ff", "%ed%a0%80", "%00", "0", "-1", "9" * 18, "9" * 400, "x" * 4000, "%20", "1%2F2", "u_", "null")


def _texts(field: inspect.Field) -> Iterator[str]:
    """Hostile texts, alone and after what is good, and such as are too long, in JSON."""
    good = _good(field)
    before = good if isinstance(good, str) else ""
    mark = MARK if field.encode_name in SECRET_FIELDS else ""
    for text in TEXTS:
        yield json.dumps(mark + text)
        yield json.dumps(before + mark + text)
    for length in {one for one in _lengths(field.type) if one is not None}:
        yield json.dumps((mark + "\u0915" * length)[:length])
        yield json.dumps((mark + "x" * length)[: length + 1])
    yield json.dumps(mark + "x" * 10_000)


def _lengths(kind: inspect.Type) -> Iterator[int | None]:
    match kind:
        case inspect.StrType():
            yield kind.max_length
        case inspect.UnionType():
            for one in kind.types:
                yield from _lengths(one)
        case inspect.Metadata():
            yield from _lengths(kind.type)


def _good(field: inspect.Field) -> Any:
    """A value that the field takes."""
    chosen = isinstance(field.type, inspect.LiteralType) or field.encode_name not in GOOD
    return _value(field.type) if chosen else GOOD[field.encode_name]


def _value(kind: inspect.Type) -> Any:  # noqa: PLR0911 - one for each kind
    match kind:
        case inspect.UnionType() | inspect.Metadata():
            return _value(kind.types[0] if isinstance(kind, inspect.UnionType) else kind.type)
        case inspect.StrType():
            choices = re.fullmatch(r"\^\(([^|]+)\|.*\)\$", kind.pattern or "")
            return choices[1] if choices else "x" * max(1, kind.min_length or 0)
        case inspect.EnumType() | inspect.LiteralType():
            return next(iter(kind.cls)).value if isinstance(kind, inspect.EnumType) else kind.values[0]
        case inspect.BoolType() | inspect.IntType() | inspect.FloatType():
            return True if isinstance(kind, inspect.BoolType) else max(1, kind.ge or 0)
        case inspect.ListType() | inspect.VarTupleType():
            return [_value(kind.item_type)]
        case inspect.StructType():
            return {field.encode_name: _good(field) for field in kind.fields if field.required}
        case _:
            return {}


def _raw(value: Any) -> str:
    return json.dumps(value)


def _object(fields: dict[str, str]) -> bytes:
    return ("{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in fields.items()) + "}").encode()


def _query(parameters: dict[str, str]) -> str:
    return "?" + "&".join(f"{name}={value}" for name, value in parameters.items())
