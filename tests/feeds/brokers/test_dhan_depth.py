"""Dhan's full market depth, built from the byte table."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.brokers.dhan_depth import DhanDepth, DhanDepthConversation
from feeds.brokers.source import Bad, Conversation, Heard, Rejected, Source, TokenExpired
from feeds.instruments import Instrument, Listing
from schemas.market import PRICE_SCALE, Depth, Level
from tests.feeds.brokers.dhan import depth_side
from tests.feeds.brokers.test_dhan import CREDENTIALS, NoHttp

NOW_MS = 1_795_408_200_250
PAISA = PRICE_SCALE // 100
TOKEN, OTHER = "1|2885", "1|1594"
BIDS, ASKS = 41, 51

LISTINGS = {
    token: Listing(instrument=Instrument(exchange="NSE", symbol=symbol, name="", tick_size=5 * PAISA), token=token)
    for token, symbol in ((TOKEN, "RELIANCE"), (OTHER, "INFY"))
}
ROWS = [(2500.0 - n * 0.05, 100 + n, 1 + n) for n in range(20)]
LEVELS = tuple(Level(250_000 * PAISA - n * 5 * PAISA, 100 + n, 1 + n) for n in range(20))


def conversation(most_levels: int = 20) -> Conversation:
    source: Source = DhanDepth(most_levels)
    return source.converse(CREDENTIALS, {token: row.instrument for token, row in LISTINGS.items()})


def test_bids_and_asks_stacked_in_one_frame_are_one_depth() -> None:
    heard = conversation().receive(depth_side(BIDS, TOKEN, ROWS, 0) + depth_side(ASKS, TOKEN, ROWS[:3], 0), NOW_MS)
    assert heard == Heard([Depth.of("NSE", "RELIANCE", NOW_MS, LEVELS, LEVELS[:3])], [])


def test_a_side_alone_waits_for_the_other_and_then_renews_the_book() -> None:
    talk = conversation()
    assert talk.receive(depth_side(BIDS, TOKEN, ROWS), NOW_MS) == Heard([], [])
    assert talk.receive(depth_side(ASKS, OTHER, ROWS), NOW_MS) == Heard([], [])
    (both,) = talk.receive(depth_side(ASKS, TOKEN, []), NOW_MS).updates
    assert both == Depth.of("NSE", "RELIANCE", NOW_MS, LEVELS, ())
    (renewed,) = talk.receive(depth_side(BIDS, TOKEN, ROWS[:1]), NOW_MS + 1).updates
    assert renewed == Depth.of("NSE", "RELIANCE", NOW_MS + 1, LEVELS[:1], ())


def test_two_hundred_levels_count_their_rows() -> None:
    rows = [(2500.0, n, 1) for n in range(1, 201)]
    frame = depth_side(BIDS, TOKEN, rows) + depth_side(ASKS, TOKEN, rows, 2)
    (book,) = conversation(200).receive(frame, NOW_MS).updates
    assert isinstance(book, Depth)
    assert (len(book.bids), len(book.asks), book.bids[199].quantity) == (200, 2, 200)


@pytest.mark.parametrize(
    ("frame", "most_levels", "reason"),
    [
        (b"\x01", 20, "truncated"),
        (depth_side(BIDS, TOKEN, ROWS)[:-1], 20, "truncated"),
        (struct.pack("<hBBiI", -5, BIDS, 1, 2885, 0), 20, "truncated"),
        (struct.pack("<hBBiI", 13, BIDS, 1, 2885, 0) + b"\0", 20, "unknown_length"),
        (depth_side(BIDS, TOKEN, [*ROWS, ROWS[0]]), 20, "unknown_length"),
        (depth_side(BIDS, TOKEN, ROWS, 21), 200, "unknown_length"),
        (depth_side(7, TOKEN, ROWS), 20, "unknown_code"),
        (depth_side(BIDS, "2|2885", ROWS), 20, "unknown_token"),
        (depth_side(BIDS, TOKEN, [(float("nan"), 1, 1)]), 20, "impossible_price"),
    ],
)
def test_a_message_that_makes_no_sense_is_bad(frame: bytes, most_levels: int, reason: str) -> None:
    assert conversation(most_levels).receive(frame, NOW_MS) == Heard([], [Bad(reason)])


def test_a_text_is_bad() -> None:
    assert conversation().receive("hello", NOW_MS) == Heard(events=(Bad("text_frame"),))


def test_a_disconnects_reason_is_read_where_either_source_says() -> None:
    after = struct.pack("<hBBiIH", 14, 50, 0, 0, 0, 807)
    within = struct.pack("<hBBiI", 12, 50, 0, 0, 805)
    first, second = conversation().receive(after + within, NOW_MS).events
    assert isinstance(first, TokenExpired)
    assert isinstance(second, Rejected)


def test_twenty_levels_are_asked_for_in_a_list_and_two_hundred_one_by_one() -> None:
    both = list(LISTINGS.values())
    (frame,) = conversation().subscribe(both, "full")
    named = [{"ExchangeSegment": "NSE_EQ", "SecurityId": security} for security in ("2885", "1594")]
    assert json.loads(frame) == {"RequestCode": 23, "InstrumentCount": 2, "InstrumentList": named}
    assert json.loads(conversation().unsubscribe(both)[0])["RequestCode"] == 24
    assert [json.loads(frame) for frame in conversation(200).subscribe(both, "full")] == [
        {"RequestCode": 23, **one} for one in named
    ]


async def test_each_depth_has_an_address_and_a_limit_of_its_own() -> None:
    addresses = [(await DhanDepth(levels).request(CREDENTIALS, NoHttp())).url for levels in (20, 200)]
    query = "?token=dhan-token&clientId=1000000001&authType=2"
    assert addresses == [
        "wss://depth-api-feed.dhan.co/twentydepth" + query,
        "wss://full-depth-api.dhan.co/twohundreddepth" + query,
    ]
    assert [DhanDepth(levels).limits.instruments_per_connection for levels in (20, 200)] == [50, 1]


def test_what_is_unsubscribed_is_forgotten() -> None:
    talk = conversation()
    talk.receive(depth_side(BIDS, TOKEN, ROWS), NOW_MS)
    talk.unsubscribe([LISTINGS[TOKEN]])
    assert talk.receive(depth_side(ASKS, TOKEN, ROWS), NOW_MS) == Heard([], [])


@given(st.binary(max_size=80), st.booleans(), st.integers(0, 700))
def test_random_and_cut_frames_never_raise_nor_give_another_instrument(junk: bytes, first: bool, cut: int) -> None:
    good = depth_side(BIDS, TOKEN, ROWS) + depth_side(ASKS, TOKEN, ROWS)
    frame = junk + good if first else good[:cut] + junk
    for levels in (20, 200):
        talk = DhanDepthConversation({TOKEN: LISTINGS[TOKEN].instrument}, levels)
        assert {update.symbol for update in talk.receive(frame, NOW_MS).updates} <= {"RELIANCE"}
