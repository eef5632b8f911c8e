"""Dhan's packets, each built from the byte table."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.brokers.dhan_packets import Packets, PriceGrid
from feeds.brokers.source import Alive, Bad, Event, Rejected, TokenExpired
from feeds.feed import Update
from feeds.instruments import Instrument, Kind
from schemas.market import PRICE_SCALE, Depth, Level, Tick
from tests.feeds.brokers import dhan as wire

NOW_MS = 1_795_408_200_250  # Monday 23 November 2026, 10:00 IST
NOW_S = 1_795_408_200
IST_S = 19_800
PAISA = PRICE_SCALE // 100

RELIANCE, GOLD, NIFTY = "1|2885", "5|477904", "0|13"
LISTINGS = {
    RELIANCE: Instrument(exchange="NSE", symbol="RELIANCE", name="", tick_size=10 * PAISA),
    GOLD: Instrument(exchange="MCX", symbol="GOLD26DECFUT", name="", kind=Kind.FUTURE, tick_size=100 * PAISA),
    NIFTY: Instrument(exchange="NSE", symbol="NIFTY 50", name="", kind=Kind.INDEX, tick_size=5 * PAISA),
}


class Heard:
    """What one connection's frames meant."""

    def __init__(self) -> None:
        self.packets = Packets(LISTINGS)

    def __call__(self, *frames: bytes, now_ms: int = NOW_MS) -> tuple[list[Update], list[Event]]:
        updates: list[Update] = []
        events: list[Event] = []
        for frame in frames:
            self.packets.read(frame, now_ms, updates, events)
        return updates, events

    def tick(self, *frames: bytes, now_ms: int = NOW_MS) -> Tick:
        """The last tick of frames without any trouble."""
        updates, events = self(*frames, now_ms=now_ms)
        assert events == []
        return [update for update in updates if isinstance(update, Tick)][-1]


def test_a_ticker_is_a_price_and_a_trade_time() -> None:
    assert Heard().tick(wire.ticker(RELIANCE, 2500.1, NOW_S + IST_S)) == Tick(
        "NSE", "RELIANCE", 250_010 * PAISA, NOW_MS, last_trade_ms=NOW_S * 1000
    )


def test_a_quote_has_sales_before_buys_and_the_close_second() -> None:
    packet = wire.quote(
        RELIANCE, 2500.1, NOW_S + IST_S, quantity=25, average=2498.37, volume=60_000, sell=111, buy=222,
        ohlc=(2490.0, 2510.0, 2480.0, 2450.0),
    )  # fmt: skip
    assert len(packet) == 50
    assert packet[18:34] == struct.pack("<fIII", 2498.37, 60_000, 111, 222)
    assert Heard().tick(packet) == Tick(
        "NSE", "RELIANCE", 250_010 * PAISA, NOW_MS,
        open=249_000 * PAISA, high=251_000 * PAISA, low=248_000 * PAISA, volume=60_000, last_quantity=25,
        average_price=249_837 * PAISA, total_buy_quantity=222, total_sell_quantity=111, last_trade_ms=NOW_S * 1000,
    )  # fmt: skip


def test_a_full_packet_is_a_tick_with_the_best_level_and_a_depth() -> None:
    levels = [(10 + n, 20 + n, 1 + n, 2 + n, 131_500.0 - n, 131_501.0 + n) for n in range(5)]
    packet = wire.full(
        GOLD, 131_500.0, NOW_S + IST_S, quantity=3, average=131_000.0, volume=900, sell=7, buy=8,
        interest=(5000, 6000, 4000), ohlc=(131_000.0, 132_000.0, 130_000.0, 0.0), levels=levels,
    )  # fmt: skip
    assert len(packet) == 162
    updates, events = Heard()(packet)
    assert events == []
    depth, tick = updates
    assert tick == Tick(
        "MCX", "GOLD26DECFUT", 131_500 * PRICE_SCALE, NOW_MS,
        open=131_000 * PRICE_SCALE, high=132_000 * PRICE_SCALE, low=130_000 * PRICE_SCALE, volume=900,
        bid=131_500 * PRICE_SCALE, ask=131_501 * PRICE_SCALE, bid_quantity=10, ask_quantity=20, last_quantity=3,
        average_price=131_000 * PRICE_SCALE, total_buy_quantity=8, total_sell_quantity=7, open_interest=5000,
        open_interest_high=6000, open_interest_low=4000, last_trade_ms=NOW_S * 1000,
    )  # fmt: skip
    assert depth == Depth.of(
        "MCX", "GOLD26DECFUT", NOW_MS,
        tuple(Level((131_500 - n) * PRICE_SCALE, 10 + n, 1 + n) for n in range(5)),
        tuple(Level((131_501 + n) * PRICE_SCALE, 20 + n, 2 + n) for n in range(5)),
    )  # fmt: skip


def test_empty_levels_are_left_out_and_a_share_has_no_open_interest() -> None:
    levels = [(10, 0, 1, 0, 2500.0, 0.0), (0, 0, 0, 0, 0.0, 0.0), (5, 0, 1, 0, 2499.9, 0.0)]
    (depth, tick), _ = Heard()(wire.full(RELIANCE, 2500.0, 0, levels=levels))
    assert isinstance(depth, Depth)
    assert isinstance(tick, Tick)
    assert [level.quantity for level in depth.bids] == [10, 5]
    assert depth.asks == ()
    assert (tick.bid, tick.ask, tick.open_interest, tick.open_interest_high) == (2500 * PRICE_SCALE, None, None, None)
    assert tick.last_trade_ms is None


def test_a_depth_is_told_before_the_days_first_trade() -> None:
    updates, events = Heard()(wire.full(RELIANCE, 0.0, 0, levels=[(1, 2, 3, 4, 2500.0, 2500.1)]))
    assert [type(update) for update in updates] == [Depth]
    assert events == [Bad("no_price")]


def test_previous_close_and_open_interest_are_kept_and_give_a_new_tick() -> None:
    heard = Heard()
    assert heard(wire.previous_close(GOLD, 130_000.0)) == ([], [])
    tick = heard.tick(wire.quote(GOLD, 131_500.0, 0, ohlc=(0.0, 0.0, 0.0, 131_500.0)))
    assert (tick.close, tick.open_interest) == (130_000 * PRICE_SCALE, None)
    later = heard.tick(wire.open_interest(GOLD, 5000), now_ms=NOW_MS + 1000)
    assert (later.price, later.open_interest, later.close) == (tick.price, 5000, tick.close)
    assert later.time_ms == NOW_MS + 1000
    assert heard.tick(wire.ticker(GOLD, 131_600.0, 0)).open_interest == 5000


def test_the_quotes_own_close_is_todays_and_never_the_previous_one() -> None:
    assert Heard().tick(wire.quote(RELIANCE, 2500.0, 0, ohlc=(1.0, 1.0, 1.0, 2500.0))).close is None


def test_a_previous_close_of_an_older_tick_size_stays_what_it_was() -> None:
    heard = Heard()
    assert heard.tick(wire.previous_close(RELIANCE, 2450.05), wire.ticker(RELIANCE, 2500.0, 0)).close == 245_005 * PAISA


@pytest.mark.parametrize(
    ("token", "price", "scaled"),
    [
        (RELIANCE, 2500.1, 250_010 * PAISA),
        (GOLD, 9_131_072.0, 9_131_072 * PRICE_SCALE),
        (GOLD, 271_829.0, 271_829 * PRICE_SCALE),
        (NIFTY, 24_853.47, 2_485_347 * PAISA),
        (GOLD, -37.0, -37 * PRICE_SCALE),
    ],
)
def test_prices_snap_to_the_instruments_tick(token: str, price: float, scaled: int) -> None:
    assert Heard().tick(wire.ticker(token, price, 0)).price == scaled


@given(st.integers(1, (1 << 17) * 20 - 1))
def test_every_multiple_of_five_paise_survives_the_float_of_the_wire(ticks: int) -> None:
    (price,) = struct.unpack("<f", struct.pack("<f", ticks * 5 / 100))
    assert PriceGrid(5 * PAISA)[price] == ticks * 5 * PAISA


def test_a_wrapped_quantity_is_unknown_until_the_next_trade() -> None:
    heard = Heard()

    def quantity(volume: int, wired: int) -> int | None:
        return heard.tick(wire.quote(RELIANCE, 2500.0, 0, volume=volume, quantity=wired)).last_quantity

    assert quantity(100_000, 10) is None  # who knows what went before
    assert quantity(100_500, 500) == 500
    assert quantity(100_500, 500) == 500
    assert quantity(200_500, 34_464) is None  # one trade of 100,000, or several
    assert quantity(200_500, 34_464) is None
    assert quantity(200_600, 100) == 100


def test_a_trade_time_stays_as_it_is_until_a_live_trade_shows_the_shift() -> None:
    heard = Heard()
    old_s = NOW_S - 60
    assert heard.tick(wire.ticker(RELIANCE, 2500.0, old_s)).last_trade_ms == old_s * 1000
    assert heard.tick(wire.ticker(GOLD, 131_500.0, NOW_S + IST_S - 5)).last_trade_ms == (NOW_S - 5) * 1000
    assert heard.tick(wire.ticker(RELIANCE, 2500.0, NOW_S - 60)).last_trade_ms == (NOW_S - 60 - IST_S) * 1000


@pytest.mark.parametrize("seconds", [0, 2**32 - 1, NOW_S + IST_S + 3700])
def test_a_trade_time_that_cant_be_is_none_and_decides_nothing(seconds: int) -> None:
    heard = Heard()
    assert heard.tick(wire.ticker(RELIANCE, 2500.0, seconds)).last_trade_ms is None
    assert heard.tick(wire.ticker(RELIANCE, 2500.0, NOW_S)).last_trade_ms == NOW_S * 1000


def test_stacked_packets_are_read_in_their_order() -> None:
    frame = wire.previous_close(RELIANCE, 2450.0) + wire.status() + wire.quote(NIFTY, 24_850.05, 0)
    updates, events = Heard()(frame + wire.full(RELIANCE, 2500.0, 0))
    assert [(type(update), update.symbol) for update in updates] == [
        (Tick, "NIFTY 50"),
        (Depth, "RELIANCE"),
        (Tick, "RELIANCE"),
    ]
    assert events == [Alive()]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (805, Rejected),
        (806, Rejected),
        (807, TokenExpired),
        (808, TokenExpired),
        (809, TokenExpired),
        (999, Rejected),
    ],
)
def test_a_disconnect_says_whether_the_credentials_are_the_reason(code: int, kind: type[Event]) -> None:
    _, (event,) = Heard()(wire.disconnect(code))
    assert isinstance(event, kind)
    assert str(code) in str(event)


GOOD = wire.ticker(RELIANCE, 2500.0, 0)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x02", "truncated"),
        (GOOD[:15], "truncated"),
        (wire.packet(2, RELIANCE, b"", length=3), "truncated"),
        (wire.packet(2, RELIANCE, b"\0" * 9), "unknown_length"),
        (wire.packet(8, RELIANCE, b"\0" * 42), "unknown_length"),
        (wire.packet(3, RELIANCE, b"\0" * 8), "unknown_code"),
        (wire.ticker("1|1", 2500.0, 0), "unknown_token"),
        (wire.ticker("4|2885", 2500.0, 0), "unknown_token"),
        (wire.ticker(RELIANCE, 0.0, 0), "no_price"),
        (wire.ticker(RELIANCE, float("nan"), 0), "impossible_price"),
        (wire.quote(RELIANCE, 2500.0, 0, ohlc=(float("inf"), 0.0, 0.0, 0.0)), "impossible_price"),
        (wire.previous_close(RELIANCE, float("nan")), "impossible_price"),
    ],
)
def test_a_packet_that_makes_no_sense_is_bad_and_spares_those_before_it(frame: bytes, reason: str) -> None:
    updates, events = Heard()(wire.ticker(NIFTY, 24_850.0, 0) + frame)
    assert [update.symbol for update in updates] == ["NIFTY 50"]
    assert events == [Bad(reason)]


def test_a_bad_packet_of_right_length_spares_those_after_it() -> None:
    updates, events = Heard()(wire.packet(99, RELIANCE, b"junk") + wire.ticker("1|1", 5.0, 0) + GOOD)
    assert [update.symbol for update in updates] == ["RELIANCE"]
    assert events == [Bad("unknown_code"), Bad("unknown_token")]


def test_a_refreshed_master_keeps_what_is_known_and_another_instrument_does_not() -> None:
    listings = dict(LISTINGS)
    packets = Packets(listings)
    updates: list[Update] = []
    events: list[Event] = []

    def read(frame: bytes) -> None:
        packets.read(frame, NOW_MS, updates, events)

    read(wire.previous_close(RELIANCE, 2450.0))
    listings[RELIANCE] = Instrument(exchange="NSE", symbol="RELIANCE", name="", tick_size=50 * PAISA)
    read(wire.ticker(RELIANCE, 2500.1, 0))
    listings[RELIANCE] = Instrument(exchange="NSE", symbol="OTHER", name="", tick_size=PAISA)
    read(wire.ticker(RELIANCE, 12.34, 0))
    assert updates == [
        Tick("NSE", "RELIANCE", 2500 * PRICE_SCALE, NOW_MS, close=2450 * PRICE_SCALE),
        Tick("NSE", "OTHER", 1234 * PAISA, NOW_MS),
    ]


PACKETS: Sequence[bytes] = [
    GOOD,
    wire.quote(NIFTY, 24_850.0, NOW_S),
    wire.full(GOLD, 131_500.0, NOW_S, levels=[(1, 2, 3, 4, 5.0, 6.0)]),
    wire.previous_close(RELIANCE, 2450.0),
    wire.open_interest(GOLD, 5),
    wire.status(),
    wire.disconnect(807),
]


def check_only_listed_instruments(frame: bytes) -> None:
    updates, _ = Heard()(frame)
    symbols = {
        LISTINGS[token].symbol
        for token in LISTINGS
        if struct.pack("<BI", *map(int, token.split("|"))) in frame
    }  # fmt: skip
    assert {update.symbol for update in updates} <= symbols
    assert all(update.price for update in updates if isinstance(update, Tick))


@given(st.binary(max_size=400))
def test_random_frames_never_raise(frame: bytes) -> None:
    check_only_listed_instruments(frame)


@given(st.lists(st.sampled_from(PACKETS), min_size=1, max_size=6), st.data())
def test_damaged_frames_never_raise_nor_give_an_instrument_that_they_dont_name(
    packets: list[bytes], data: st.DataObject
) -> None:
    frame = bytearray(b"".join(packets))
    for _ in range(data.draw(st.integers(0, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    start, end = sorted((data.draw(st.integers(0, len(frame))), data.draw(st.integers(0, len(frame)))))
    check_only_listed_instruments(bytes(frame[start:end]))


@given(st.lists(st.sampled_from(PACKETS[:5]), max_size=8))
def test_a_frame_means_what_its_packets_mean_one_by_one(packets: list[bytes]) -> None:
    assert Heard()(b"".join(packets)) == Heard()(*packets)
