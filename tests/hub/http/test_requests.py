import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from hub.http.requests import MAX_BODY_BYTES, Page, body, credential, exchange_of, moment_of, query
from schemas.errors import CommandError, ErrorCode
from tests.feeds.bars import NINE_FIFTEEN_MS

NINE_FIFTEEN_S = NINE_FIFTEEN_MS // 1000


class Asked(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    q: str = ""
    deep: bool = False


Receive = Callable[[], Awaitable[Mapping[str, Any]]]


def request(text: str = "", headers: dict[str, str] | None = None, receive: Receive | None = None) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": text.encode(), "headers": raw}
    return Request(scope, receive) if receive is not None else Request(scope)


def sending(*chunks: bytes, cut_off: bool = False) -> Receive:
    left = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    left.append({"type": "http.disconnect"} if cut_off else {"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Mapping[str, Any]:
        return left.pop(0)

    return receive


def refusal(error: pytest.ExceptionInfo[CommandError]) -> tuple[ErrorCode, str]:
    return error.value.code, error.value.message


def code_of(call: Callable[[], object]) -> ErrorCode | None:
    """What a call is refused with; whatever else it raises is raised."""
    try:
        call()
    except CommandError as exc:
        return exc.code
    return None


# -- queries ----------------------------------------------------------------------------------------------------------


def test_a_query_is_read_with_its_defaults() -> None:
    assert query(request(), Asked) == Asked()
    read = query(request("page=3&limit=20&sort=name&order=asc&q=a%20b&deep=true"), Asked)
    assert read == Asked(page=3, limit=20, sort="name", order="asc", q="a b", deep=True)
    assert read.offset == 40


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("page=0", "`?page`"),
        ("page=x", "`?page`"),
        ("page=1.5", "`?page`"),
        ("page=", "`?page`"),
        ("page=10000000", "`?page`"),
        ("limit=501", "`?limit`"),
        ("order=up", "`?order`"),
        ("deep=perhaps", "`?deep`"),
        (f"sort={'x' * 33}", "`?sort`"),
        ("nonsense=1", "There is no parameter `?nonsense`"),
        ("page=x&nonsense=1", "`?nonsense`"),
        ("page=1&page=2", "once"),
    ],
)
def test_a_wrong_query_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(CommandError) as error:
        query(request(text), Asked)
    code, message = refusal(error)
    assert code == ErrorCode.BAD_REQUEST
    assert place in message


@given(st.dictionaries(st.text(max_size=8) | st.sampled_from(["page", "limit", "order", "q"]), st.text(max_size=12)))
def test_no_query_is_more_than_refused(given_: dict[str, str]) -> None:
    encoded = urlencode(given_, errors="surrogatepass")
    assert code_of(lambda: query(request(encoded), Asked)) in (None, ErrorCode.BAD_REQUEST)


def test_a_page_sorts_by_what_it_may_and_by_the_first_where_nothing_is_said() -> None:
    assert Page().sorted_by("time", "name") == "time"
    assert Page(sort="name").sorted_by("time", "name") == "name"
    with pytest.raises(CommandError, match=r"time, name - at `\?sort`"):
        Page(sort="id").sorted_by("time", "name")


def test_a_page_says_where_it_stands() -> None:
    assert Page(page=2, limit=10).offset == 10


# -- who asks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer   ", "Basic abc", "abc"])
def test_a_header_that_brings_no_token_is_refused(header: str) -> None:
    with pytest.raises(CommandError) as error:
        credential(request(headers={"Authorization": header, "X-API-Key": "thk_1_2"}))
    assert refusal(error)[0] == ErrorCode.UNAUTHORIZED


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER  abc "])
def test_a_token_comes_before_a_key(header: str) -> None:
    assert credential(request(headers={"Authorization": header, "X-API-Key": "thk_1_2"})) == "abc"


def test_without_a_token_a_key_will_do_and_neither_is_no_error() -> None:
    assert credential(request(headers={"X-API-Key": "thk_1_2"})) == "thk_1_2"
    assert credential(request()) is None


# -- bodies -----------------------------------------------------------------------------------------------------------


class Said(msgspec.Struct, forbid_unknown_fields=True):
    n: int


async def test_a_body_comes_in_pieces() -> None:
    assert await body(request(receive=sending(b'{"n"', b":1", b"}")), Said) == Said(1)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"n":"1"}', b'{"n":1,"m":2}', b"\xff", b'{"n":' + b"[" * 30_000])
async def test_a_body_of_another_kind_is_refused(raw: bytes) -> None:
    with pytest.raises(CommandError) as error:
        await body(request(receive=sending(raw)), Said)
    assert refusal(error)[0] == ErrorCode.BAD_REQUEST


async def test_a_body_that_is_cut_off_is_refused() -> None:
    with pytest.raises(CommandError) as error:
        await body(request(receive=sending(b'{"n":1}', cut_off=True)), Said)
    assert refusal(error) == (ErrorCode.BAD_REQUEST, "The body ended early")


async def test_a_body_that_is_too_long_is_refused_without_being_read_to_its_end() -> None:
    left = sending(b" " * MAX_BODY_BYTES, b" ", cut_off=True)
    with pytest.raises(CommandError) as error:
        await body(request(receive=left), Said)
    assert refusal(error)[0] == ErrorCode.LIMIT_EXCEEDED
    assert await body(request(receive=sending(b" " * MAX_BODY_BYTES, b'{"n":1}')), Said, max_bytes=10**6) == Said(1)


async def test_a_body_that_trickles_in_is_not_waited_for() -> None:
    left = [{"type": "http.request", "body": b'{"n":', "more_body": True}]

    async def trickling() -> Mapping[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop()

    with pytest.raises(CommandError) as error:
        await body(request(receive=trickling), Said, timeout_s=0.05)
    assert refusal(error) == (ErrorCode.BAD_REQUEST, "The body took too long to come")


# -- times and places -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (NINE_FIFTEEN_S, NINE_FIFTEEN_S),
        (str(NINE_FIFTEEN_S), NINE_FIFTEEN_S),
        ("2026-11-23T09:15:00+05:30", NINE_FIFTEEN_S),
        ("2026-11-23T09:15:00 05:30", NINE_FIFTEEN_S),
        ("2026-11-23T03:45:00Z", NINE_FIFTEEN_S),
        ("2026-11-23T09:15", NINE_FIFTEEN_S),
        ("2026-11-23 09:15", NINE_FIFTEEN_S),
        ("2026-11-23", NINE_FIFTEEN_S - 9 * 3600 - 900),
        ("0", 0),
    ],
)
def test_a_time_is_read_however_it_is_written(text: str | int, seconds: int) -> None:
    assert moment_of(text, "?from") == seconds


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-13-01", "-1", "1e9", "٣", "9" * 13, "9" * 5000, -1, 2**70, "0001-01-01", "1969-12-31"],
)
def test_what_is_no_time_is_refused_with_its_place(text: str | int) -> None:
    with pytest.raises(CommandError, match=r"at `\?from`") as error:
        moment_of(text, "?from")
    assert refusal(error)[0] == ErrorCode.BAD_REQUEST


@given(st.text(max_size=40) | st.integers() | st.datetimes().map(datetime.isoformat))
def test_any_text_is_a_time_or_refused(text: str | int) -> None:
    assert code_of(lambda: moment_of(text, "?to")) in (None, ErrorCode.BAD_REQUEST)


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001 - a zone follows
def test_a_time_survives_a_query_that_forgot_to_encode_its_plus(moment: datetime) -> None:
    text = f"{moment.replace(microsecond=0).isoformat()}+05:30"
    (read,) = (value for _, value in request(f"from={text}").query_params.multi_items())
    (encoded,) = (value for _, value in request(f"from={quote(text)}").query_params.multi_items())
    assert moment_of(read, "?from") == moment_of(encoded, "?from")


def test_an_exchange_is_written_in_capitals() -> None:
    assert exchange_of("nse") == "NSE"
    for wrong in ("", "MOON", "NSE "):
        with pytest.raises(CommandError, match=r"BCD BFO BSE CDS MCX NCO NFO NSE - at `\?exchange`"):
            exchange_of(wrong)
