"""Fyers' data frames, each built from the byte table."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.brokers.fyers_topics import Topics
from feeds.brokers.source import Bad, Event
from feeds.feed import Update
from feeds.instruments import Instrument, Kind
from schemas.market import PRICE_SCALE, Depth, Level, Tick
from tests.feeds.brokers.fyers import SAME, data, last, prices, snapshot, update

NOW_MS = 1_795_408_200_250
NOW_S = 1_795_408_200
PAISA = PRICE_SCALE // 100

RELIANCE, USDINR, NIFTY = "nse_cm|2885", "cde_fo|1234", "nse_cm|Nifty 50"
LISTINGS = {
    RELIANCE: Instrument(exchange="NSE", symbol="RELIANCE", name="", tick_size=10 * PAISA),
    USDINR: Instrument(exchange="CDS", symbol="USDINR26DECFUT", name="", kind=Kind.FUTURE, tick_size=PAISA // 4),
    NIFTY: Instrument(exchange="NSE", symbol="NIFTY 50", name="", kind=Kind.INDEX, tick_size=5 * PAISA),
}

WHOLE = prices(
    250_010, volume=60_000, trade_s=NOW_S - 2, exchange_s=NOW_S, bid_quantity=10, ask_quantity=20, bid=250_000,
    ask=250_020, last_quantity=25, buy=222, sell=111, average=249_837, interest=0, low=248_000, high=251_000,
    year_high=300_000, year_low=200_000, lower=225_000, upper=275_000, open=249_000, close=245_000,
)  # fmt: skip
WHOLE_TICK = Tick(
    "NSE", "RELIANCE", 250_010 * PAISA, NOW_S * 1000,
    open=249_000 * PAISA, high=251_000 * PAISA, low=248_000 * PAISA, close=245_000 * PAISA, volume=60_000,
    bid=250_000 * PAISA, ask=250_020 * PAISA, bid_quantity=10, ask_quantity=20, last_quantity=25,
    average_price=249_837 * PAISA, total_buy_quantity=222, total_sell_quantity=111,
    lower_circuit=225_000 * PAISA, upper_circuit=275_000 * PAISA, year_low=200_000 * PAISA, year_high=300_000 * PAISA,
    last_trade_ms=(NOW_S - 2) * 1000,
)  # fmt: skip


class Heard:
    """What one connection's data frames meant."""

    def __init__(self) -> None:
        self.topics = Topics(LISTINGS)

    def __call__(self, *frames: bytes) -> tuple[list[Update], list[Event]]:
        updates: list[Update] = []
        events: list[Event] = []
        for frame in frames:
            self.topics.read(frame, NOW_MS, updates, events)
        return updates, events

    def tick(self, *records: bytes) -> Tick:
        """The last tick of records without any trouble."""
        updates, events = self(data(*records))
        assert events == []
        assert isinstance(updates[-1], Tick)
        return updates[-1]


def test_a_snapshot_tells_every_field() -> None:
    assert len(WHOLE) == 21
    assert Heard().tick(snapshot(7, f"sf|{RELIANCE}", WHOLE)) == WHOLE_TICK


def test_an_update_changes_what_it_tells_and_nothing_else() -> None:
    heard = Heard()
    heard(data(snapshot(7, f"sf|{RELIANCE}", WHOLE)))
    changed = prices(250_100, volume=60_025, exchange_s=NOW_S + 1)
    tick = heard.tick(update(7, changed))
    assert (tick.price, tick.volume, tick.time_ms) == (250_100 * PAISA, 60_025, (NOW_S + 1) * 1000)
    assert (tick.bid, tick.high, tick.close) == (WHOLE_TICK.bid, WHOLE_TICK.high, WHOLE_TICK.close)
    assert heard.tick(update(7, [SAME, 60_030])).volume == 60_030
    assert heard.tick(update(7, [SAME] * 21)).price == 250_100 * PAISA


def test_a_lite_record_is_a_last_price() -> None:
    heard = Heard()
    heard(data(snapshot(7, f"sf|{RELIANCE}", WHOLE)))
    assert heard.tick(last(7, 250_500)).price == 250_500 * PAISA
    assert heard.tick(last(7, SAME)).price == 250_500 * PAISA


def test_an_index_has_an_order_of_its_own() -> None:
    values = [2_485_005, 2_480_000, NOW_S, 2_490_000, 2_470_000, 2_475_000]
    assert Heard().tick(snapshot(1, f"if|{NIFTY}", values)) == Tick(
        "NSE", "NIFTY 50", 2_485_005 * PAISA, NOW_S * 1000,
        open=2_475_000 * PAISA, high=2_490_000 * PAISA, low=2_470_000 * PAISA, close=2_480_000 * PAISA,
    )  # fmt: skip


def test_a_depth_is_prices_then_quantities_then_orders() -> None:
    values = [*range(250_000, 249_995, -1), *range(250_010, 250_015), *range(10, 15), *range(20, 25), 1, 2, 3, 4, 5,
              6, 7, 8, 9, 10]  # fmt: skip
    heard = Heard()
    (depth,), events = heard(data(snapshot(3, f"dp|{RELIANCE}", values)))
    assert events == []
    assert depth == Depth.of(
        "NSE", "RELIANCE", NOW_MS,
        tuple(Level((250_000 - n) * PAISA, 10 + n, 1 + n) for n in range(5)),
        tuple(Level((250_010 + n) * PAISA, 20 + n, 6 + n) for n in range(5)),
    )  # fmt: skip
    (emptied,), _ = heard(data(update(3, [SAME] * 10 + [99, 0, 0, 0, 0] + [SAME] * 15)))
    assert isinstance(emptied, Depth)
    assert [level.quantity for level in emptied.bids] == [99]
    assert len(emptied.asks) == 5


def test_a_depth_without_order_counts_is_still_one() -> None:
    values = [250_000] * 5 + [250_010] * 5 + [10] * 10
    (depth,), _ = Heard()(data(snapshot(3, f"dp|{RELIANCE}", values)))
    assert isinstance(depth, Depth)
    assert depth.bids[0] == Level(250_000 * PAISA, 10, 0)


@pytest.mark.parametrize(
    ("value", "multiplier", "precision", "scaled"),
    [
        (250_010, 1, 2, 250_010 * PAISA),
        (842_575, 1, 4, 842_575_000),
        (842_575_000, 1, 7, 842_575_000),
        (25_001, 10, 1, 250_010_000 * 10),
        (-3_763, 1, 2, -3_763 * PAISA),
    ],
)
def test_a_price_is_scaled_exactly(value: int, multiplier: int, precision: int, scaled: int) -> None:
    record = snapshot(1, f"sf|{USDINR}", [value], multiplier=multiplier, precision=precision)
    assert Heard().tick(record).price == scaled


@pytest.mark.parametrize(("multiplier", "precision"), [(0, 2), (3, 2), (1, 8), (1, 200), (65_535, 0)])
def test_a_scale_that_gives_no_exact_price_is_bad_and_so_is_its_topic(multiplier: int, precision: int) -> None:
    heard = Heard()
    record = snapshot(1, f"sf|{RELIANCE}", [100], multiplier=multiplier, precision=precision)
    assert heard(data(record, snapshot(2, f"if|{NIFTY}", [100])))[1] == [Bad("unknown_scale")]
    assert heard(data(update(1, [101]))) == ([], [Bad("unknown_topic")])


def test_a_topics_number_means_nothing_on_another_connection() -> None:
    assert Heard()(data(snapshot(7, f"sf|{RELIANCE}", WHOLE)))[1] == []
    assert Heard()(data(update(7, [5]), last(7, 5))) == ([], [Bad("unknown_topic"), Bad("unknown_topic")])


def test_a_number_given_to_another_topic_is_that_ones_from_then_on() -> None:
    heard = Heard()
    heard(data(snapshot(7, f"sf|{RELIANCE}", WHOLE), snapshot(7, f"sf|{USDINR}", [842_575], precision=4)))
    tick = heard.tick(update(7, [842_600]))
    assert (tick.symbol, tick.price, tick.high) == ("USDINR26DECFUT", 842_600_000, None)


@pytest.mark.parametrize("cut", [4, 9, 15, 40, 100, -1])
def test_a_number_whose_new_snapshot_is_cut_short_means_nothing_any_more(cut: int) -> None:
    heard = Heard()
    heard(data(snapshot(7, f"sf|{RELIANCE}", WHOLE)))
    assert heard(data(snapshot(7, f"sf|{USDINR}", WHOLE)[:cut])) == ([], [Bad("truncated")])
    assert heard(data(update(7, [5]))) == ([], [Bad("unknown_topic")])


def test_a_forgotten_topic_is_unknown() -> None:
    heard = Heard()
    heard(data(snapshot(7, f"sf|{RELIANCE}", WHOLE), snapshot(8, f"if|{NIFTY}", [100])))
    heard.topics.forget([f"sf|{RELIANCE}"])
    assert heard(data(update(7, [5])))[1] == [Bad("unknown_topic")]
    assert heard.tick(update(8, [200])).price == 200 * PAISA


def test_a_token_that_changes_hands_needs_a_new_snapshot() -> None:
    listings = dict(LISTINGS)
    topics = Topics(listings)
    updates: list[Update] = []
    events: list[Event] = []
    topics.read(data(snapshot(7, f"sf|{RELIANCE}", WHOLE)), NOW_MS, updates, events)
    listings[RELIANCE] = Instrument(exchange="NSE", symbol="OTHER", name="", tick_size=PAISA)
    topics.read(data(update(7, [5])), NOW_MS, updates, events)
    assert ([one.symbol for one in updates], events) == (["RELIANCE"], [Bad("unknown_topic")])


def test_circuits_and_year_figures_that_make_no_sense_are_unknown() -> None:
    tick = Heard().tick(snapshot(1, f"sf|{RELIANCE}", prices(250_000, lower=1, upper=2, year_low=1, year_high=99)))
    assert (tick.lower_circuit, tick.upper_circuit, tick.year_low, tick.year_high) == (None,) * 4


def test_what_was_never_told_is_unknown() -> None:
    assert Heard().tick(snapshot(1, f"sf|{RELIANCE}", [250_000])) == Tick("NSE", "RELIANCE", 250_000 * PAISA, NOW_MS)


GOOD = snapshot(9, f"if|{NIFTY}", [100])


@pytest.mark.parametrize(
    ("record", "reason", "goes_on"),
    [
        (snapshot(1, "sf|nse_cm|1", [5]), "unknown_token", True),
        (snapshot(1, "xx|nse_cm|2885", [5]), "unknown_topic", True),
        (snapshot(1, "sf", [5]), "unknown_topic", True),
        (snapshot(1, f"sf|{RELIANCE}", [5] * 22), "unknown_topic", True),
        (snapshot(1, f"sf|{RELIANCE}", [0]), "no_price", True),
        (snapshot(1, f"sf|{RELIANCE}", [SAME]), "no_price", True),
        (update(77, [5] * 21), "unknown_topic", True),
        (update(9, [5] * 7), "unknown_length", True),
        (b"\x01\x02\x03", "unknown_record", False),
    ],
)
def test_a_record_that_makes_no_sense_is_bad(record: bytes, reason: str, goes_on: bool) -> None:
    updates, events = Heard()(data(GOOD, record, last(9, 200)))
    assert [one.price // PAISA for one in updates if isinstance(one, Tick)] == ([100, 200] if goes_on else [100])
    assert events == [Bad(reason)]


def test_a_frame_of_another_length_than_its_records_is_bad() -> None:
    assert Heard()(data(GOOD, count=2))[1] == [Bad("truncated")]
    assert Heard()(data(GOOD, last(9, 200), count=1))[1] == [Bad("too_long")]
    assert Heard()(b"\x00\x01\x06")[1] == [Bad("truncated")]


RECORDS = [
    snapshot(7, f"sf|{RELIANCE}", WHOLE),
    snapshot(8, f"if|{NIFTY}", [2_485_005]),
    snapshot(9, f"dp|{RELIANCE}", list(range(1, 31))),
    update(7, [250_100]),
    update(8, [2_485_010, SAME]),
    update(9, [SAME, 5]),
    last(8, 2_485_015),
]


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_random_frames_never_raise_nor_give_anything(frames: list[bytes]) -> None:
    updates, _ = Heard()(*frames)
    assert updates == []


@given(st.lists(st.sampled_from(RECORDS), max_size=8), st.data())
def test_damaged_frames_never_raise_nor_give_an_instrument_that_was_never_named(
    records: list[bytes], drawn: st.DataObject
) -> None:
    frame = bytearray(data(*records))
    for _ in range(drawn.draw(st.integers(0, 4))):
        frame[drawn.draw(st.integers(3, len(frame) - 1))] = drawn.draw(st.integers(0, 255))
    cut = bytes(frame[: drawn.draw(st.integers(0, len(frame)))])
    updates, _ = Heard()(cut)
    named = {LISTINGS[token].symbol for token in LISTINGS if token.encode() in cut}
    assert {one.symbol for one in updates} <= named


@given(st.lists(st.lists(st.one_of(st.just(SAME), st.integers(1, 2**31 - 1)), min_size=1, max_size=21), max_size=6))
def test_after_any_changes_each_value_is_the_last_one_told(changes: list[list[int]]) -> None:
    heard = Heard()
    heard(data(snapshot(7, f"sf|{RELIANCE}", WHOLE)))
    expected = list(WHOLE)
    for change in changes:
        heard(data(update(7, change)))
        expected[: len(change)] = [
            old if new == SAME else new for new, old in zip(change, expected, strict=False)
        ]  # fmt: skip
    fresh = Heard().tick(snapshot(7, f"sf|{RELIANCE}", expected))
    assert heard.tick(update(7, [SAME])) == fresh


def test_the_layout_of_a_snapshot_is_the_tables() -> None:
    record = snapshot(258, "if|a", [7], multiplier=1, precision=2, texts=("N", "", "X"))
    assert record == struct.pack(">BHB4sBi2xHB", 83, 258, 4, b"if|a", 1, 7, 1, 2) + b"\x01N\x00\x01X"
