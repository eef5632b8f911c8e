"""Binary frames: every field of every packet at its place, and nothing but `Bad` from what is broken."""

import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.brokers.kite_packets import Packets
from feeds.feed import Update
from feeds.instruments import Instrument, Kind
from schemas.market import PRICE_SCALE, Depth, Level, Tick
from tests.feeds.brokers.kite import Levels, frame_of, full_packet, index_packet, ltp_packet, quote_packet

NOW_MS = 1_795_407_301_250
PAISA = PRICE_SCALE // 100

RELIANCE = 738561  # 2885 << 8 | 1
NIFTY = 256265
FUTURE = 14898 << 8 | 2
USDINR = 1234 << 8 | 3
LISTINGS = {
    str(token): Instrument(exchange=exchange, symbol=symbol, name=symbol, kind=kind, tick_size=PAISA)
    for token, exchange, symbol, kind in [
        (RELIANCE, "NSE", "RELIANCE", Kind.STOCK),
        (NIFTY, "NSE", "NIFTY 50", Kind.INDEX),
        (FUTURE, "NFO", "NIFTY26DECFUT", Kind.FUTURE),
        (USDINR, "CDS", "USDINR26DECFUT", Kind.FUTURE),
        (77 << 8 | 4, "BSE", "SBIN", Kind.STOCK),
        (77 << 8 | 5, "BFO", "SENSEX26DECFUT", Kind.FUTURE),
        (77 << 8 | 6, "BCD", "EURINR26DECFUT", Kind.FUTURE),
        (77 << 8 | 7, "MCX", "GOLD26DECFUT", Kind.FUTURE),
        (77 << 8 | 12, "NCO", "GOLD26DECFUT", Kind.FUTURE),
        (0xFFFFFF << 8 | 2, "NFO", "LAST", Kind.FUTURE),
    ]
}
BIDS: Levels = [(11, 150_040, 1), (12, 150_030, 2), (13, 150_020, 3), (14, 150_010, 4), (70_000, 150_000, 65_535)]
OFFERS: Levels = [(21, 150_060, 6), (22, 150_070, 7), (23, 150_080, 8), (24, 150_090, 9), (25, 150_100, 10)]


def decode(listings: Mapping[str, Instrument], frame: bytes, received_ms: int) -> tuple[list[Update], dict[str, int]]:
    """A frame as the first one of a connection."""
    return Packets(listings).decode(frame, received_ms)


def one(packet: bytes) -> Tick:
    """The tick of a packet that holds one update."""
    updates, bad = decode(LISTINGS, frame_of(packet), NOW_MS)
    assert bad == {}
    (tick,) = updates
    assert isinstance(tick, Tick)
    return tick


def both(packet: bytes) -> tuple[Tick, Depth]:
    """The tick and the depth of a full packet."""
    updates, bad = decode(LISTINGS, frame_of(packet), NOW_MS)
    assert bad == {}
    tick, depth = updates
    assert isinstance(tick, Tick)
    assert isinstance(depth, Depth)
    return tick, depth


class TestFields:
    def test_a_last_price_has_a_price_and_the_time_of_receipt(self) -> None:
        assert one(struct.pack(">Ii", RELIANCE, 150_050)) == Tick(
            exchange="NSE", symbol="RELIANCE", price=1500_5000000, time_ms=NOW_MS
        )

    def test_a_quote_has_every_field_at_its_place(self) -> None:
        packet = struct.pack(
            ">IiIiIIIiiii", RELIANCE, 150_050, 10, 149_933, 123_456, 5_000, 6_000, 149_000, 151_000, 148_500, 149_500
        )
        assert one(packet) == Tick(
            exchange="NSE",
            symbol="RELIANCE",
            price=1500_5000000,
            time_ms=NOW_MS,
            open=1490_0000000,
            high=1510_0000000,
            low=1485_0000000,
            close=1495_0000000,
            volume=123_456,
            last_quantity=10,
            average_price=1499_3300000,
            total_buy_quantity=5_000,
            total_sell_quantity=6_000,
        )

    def test_a_full_packet_has_every_field_at_its_place(self) -> None:
        head = (FUTURE, 150_050, 75, 149_933, 123_456, 5_000, 6_000, 149_000, 151_000, 148_500, 149_500)
        book = b"".join(struct.pack(">IiHxx", *level) for level in [*BIDS, *OFFERS])
        times = (1_795_407_300, 9_000, 9_900, 8_100, 1_795_407_301)
        tick, depth = both(struct.pack(">IiIiIIIiiiiIIIII", *head, *times) + book)
        assert tick == Tick(
            exchange="NFO",
            symbol="NIFTY26DECFUT",
            price=1500_5000000,
            time_ms=1_795_407_301_000,
            open=1490_0000000,
            high=1510_0000000,
            low=1485_0000000,
            close=1495_0000000,
            volume=123_456,
            bid=1500_4000000,
            ask=1500_6000000,
            bid_quantity=11,
            ask_quantity=21,
            last_quantity=75,
            average_price=1499_3300000,
            total_buy_quantity=5_000,
            total_sell_quantity=6_000,
            open_interest=9_000,
            open_interest_high=9_900,
            open_interest_low=8_100,
            last_trade_ms=1_795_407_300_000,
        )
        assert depth == Depth.of(
            exchange="NFO",
            symbol="NIFTY26DECFUT",
            time_ms=1_795_407_301_000,
            bids=tuple(Level(price * PAISA, quantity, orders) for quantity, price, orders in BIDS),
            asks=tuple(Level(price * PAISA, quantity, orders) for quantity, price, orders in OFFERS),
        )

    def test_an_index_has_high_and_low_before_the_open(self) -> None:
        packet = struct.pack(">IiiiiiI", NIFTY, 2_400_000, 2_410_000, 2_390_000, 2_395_000, 2_380_000, 20_000)
        expected = Tick(
            exchange="NSE",
            symbol="NIFTY 50",
            price=24_000 * PRICE_SCALE,
            time_ms=NOW_MS,
            high=24_100 * PRICE_SCALE,
            low=23_900 * PRICE_SCALE,
            open=23_950 * PRICE_SCALE,
            close=23_800 * PRICE_SCALE,
        )
        assert one(packet) == expected
        timed = one(packet + struct.pack(">I", 1_795_407_301))
        assert timed.time_ms == 1_795_407_301_000
        assert (timed.price, timed.high, timed.low, timed.open, timed.close) == (
            *(expected.price, expected.high, expected.low),
            *(expected.open, expected.close),
        )

    def test_the_last_price_of_an_index_alone_is_read_too(self) -> None:
        assert one(ltp_packet(NIFTY, 2_400_005)).price == 24_000 * PRICE_SCALE + 5 * PAISA

    @pytest.mark.parametrize(
        ("segment", "divisor"),
        [(1, 100), (2, 100), (3, 10_000_000), (4, 100), (5, 100), (6, 10_000), (7, 100), (9, 100), (12, 10_000)],
    )
    def test_each_segment_has_its_own_divisor_in_every_packet(self, segment: int, divisor: int) -> None:
        token = 4242 << 8 | segment
        listings = {str(token): Instrument(exchange="X", symbol="X", name="X", tick_size=1)}
        packets = [
            ltp_packet(token, 3),
            index_packet(token, 3, high=4, low=2, opened=5, close=6),
            index_packet(token, 3, high=4, low=2, opened=5, close=6, exchange_s=1),
            quote_packet(token, 3, average=7, opened=5, high=4, low=2, close=6),
            full_packet(token, 3, bids=[(1, 2, 1)], offers=[(1, 9, 1)], average=7, opened=5, high=4, low=2, close=6),
        ]
        updates, _ = decode(listings, frame_of(*packets), NOW_MS)
        ticks = [update for update in updates if isinstance(update, Tick)]
        unit = PRICE_SCALE // divisor
        assert [tick.price for tick in ticks] == [3 * unit] * 5
        for tick in ticks[1:]:
            assert (tick.open, tick.high, tick.low, tick.close) == (5 * unit, 4 * unit, 2 * unit, 6 * unit)
        assert [tick.average_price for tick in ticks[3:]] == [7 * unit] * 2
        assert (ticks[4].bid, ticks[4].ask) == (2 * unit, 9 * unit)
        (depth,) = [update for update in updates if isinstance(update, Depth)]
        assert (depth.bids, depth.asks) == ((Level(2 * unit, 1, 1),), (Level(9 * unit, 1, 1),))

    def test_prices_are_signed_and_quantities_are_not(self) -> None:
        token = 77 << 8 | 7
        book: Levels = [(0xFFFFFFFF, -1, 0xFFFF)] * 5
        quantities = {"last_quantity": 2**31, "volume": 2**32 - 1, "buy_quantity": 2**31 + 1, "sell_quantity": 2**31}
        packet = full_packet(
            token, -2_884_00, low=-4_000_00, open_interest=2**32 - 1, bids=book, offers=book, **quantities
        )
        tick, depth = both(packet)
        assert (tick.price, tick.low) == (-2_884 * PRICE_SCALE, -4_000 * PRICE_SCALE)
        assert (tick.last_quantity, tick.volume) == (2**31, 2**32 - 1)
        assert (tick.total_buy_quantity, tick.total_sell_quantity) == (2**31 + 1, 2**31)
        assert tick.open_interest == 2**32 - 1
        assert depth.bids == (Level(-PAISA, 0xFFFFFFFF, 0xFFFF),) * 5

    def test_a_token_is_unsigned(self) -> None:
        assert one(ltp_packet(0xFFFFFF << 8 | 2, 1)).symbol == "LAST"


class TestWhatIsNotThere:
    def test_times_of_zero_are_none(self) -> None:
        tick, depth = both(full_packet(RELIANCE, 150_050))
        assert (tick.time_ms, depth.time_ms, tick.last_trade_ms) == (NOW_MS, NOW_MS, None)
        assert one(index_packet(NIFTY, 1, exchange_s=0)).time_ms == NOW_MS

    def test_prices_of_zero_are_none(self) -> None:
        for tick in (one(quote_packet(RELIANCE, 1)), one(index_packet(NIFTY, 1)), both(full_packet(RELIANCE, 1))[0]):
            assert (tick.open, tick.high, tick.low, tick.close, tick.average_price) == (None,) * 5

    def test_a_book_without_orders_is_empty(self) -> None:
        tick, depth = both(full_packet(RELIANCE, 150_050))
        assert (depth.bids, depth.asks) == ((), ())
        assert (tick.bid, tick.bid_quantity, tick.ask, tick.ask_quantity) == (None,) * 4

    def test_a_stock_at_its_circuit_has_one_side(self) -> None:
        tick, depth = both(full_packet(RELIANCE, 150_050, bids=BIDS))
        assert len(depth.bids) == 5
        assert depth.asks == ()
        assert (tick.bid, tick.bid_quantity, tick.ask, tick.ask_quantity) == (150_040 * PAISA, 11, None, None)

    @pytest.mark.parametrize("empty", range(5))
    def test_a_level_without_quantity_is_left_out(self, empty: int) -> None:
        bids = [(0, 150_000, 3) if place == empty else level for place, level in enumerate(BIDS)]
        offers = [(0, 0, 0) if place == empty else level for place, level in enumerate(OFFERS)]
        self.check(bids, OFFERS)
        self.check(BIDS, offers)

    def test_orders_at_market_are_not_the_best_price(self) -> None:
        self.check([(5, 0, 3), *BIDS[:4]], OFFERS)
        self.check(BIDS, [(0, 0, 0), (5, 0, 3), *OFFERS[:3]])
        tick, depth = both(full_packet(RELIANCE, 150_050, bids=[(5, 0, 3)], offers=[(5, 0, 3)]))
        assert (depth.bids, depth.asks, tick.bid, tick.ask) == ((), (), None, None)

    def test_a_price_of_zero_between_others_is_one(self) -> None:
        below_zero: Levels = [(1, 10, 1), (2, 5, 1), (3, 0, 1), (4, -5, 1), (5, -10, 1)]
        _, depth = both(full_packet(77 << 8 | 7, -5, bids=below_zero))
        assert [level.price for level in depth.bids] == [10 * PAISA, 5 * PAISA, 0, -5 * PAISA, -10 * PAISA]

    @staticmethod
    def check(bids: Levels, offers: Levels) -> None:
        """Tick and depth hold just the levels that have a quantity and a price."""
        tick, depth = both(full_packet(RELIANCE, 150_050, bids=bids, offers=offers))
        wanted = [
            tuple(Level(price * PAISA, quantity, orders) for quantity, price, orders in side if quantity and price)
            for side in (bids, offers)
        ]
        assert [depth.bids, depth.asks] == wanted
        assert (tick.bid, tick.bid_quantity) == (wanted[0][0].price, wanted[0][0].quantity)
        assert (tick.ask, tick.ask_quantity) == (wanted[1][0].price, wanted[1][0].quantity)

    @pytest.mark.parametrize(
        ("segment", "expected"),
        [(1, None), (4, None), (9, None), (2, 0), (3, 0), (5, 0), (6, 0), (7, 0), (12, 0)],
    )
    def test_open_interest_of_none_is_a_figure_of_derivatives_alone(self, segment: int, expected: int | None) -> None:
        token = 4242 << 8 | segment
        listings = {str(token): Instrument(exchange="X", symbol="X", name="X", tick_size=1)}
        tick = decode(listings, frame_of(full_packet(token, 1)), NOW_MS)[0][0]
        assert isinstance(tick, Tick)
        assert (tick.open_interest, tick.open_interest_high, tick.open_interest_low) == (expected, None, None)


class TestBadFrames:
    def test_packets_of_all_kinds_share_a_frame_in_their_order(self) -> None:
        packets = [
            ltp_packet(RELIANCE, 1),
            full_packet(FUTURE, 2),
            index_packet(NIFTY, 3),
            quote_packet(USDINR, 4),
            index_packet(NIFTY, 5, exchange_s=9),
        ]
        updates, bad = decode(LISTINGS, frame_of(*packets), NOW_MS)
        assert [(type(update), update.symbol) for update in updates] == [
            (Tick, "RELIANCE"),
            (Tick, "NIFTY26DECFUT"),
            (Depth, "NIFTY26DECFUT"),
            (Tick, "NIFTY 50"),
            (Tick, "USDINR26DECFUT"),
            (Tick, "NIFTY 50"),
        ]
        assert bad == {}

    @pytest.mark.parametrize("length", [0, 1, 4, 7, 9, 27, 29, 31, 33, 43, 45, 64, 183, 185, 496])
    def test_a_packet_of_unknown_length_is_skipped(self, length: int) -> None:
        strange = struct.pack(">I", RELIANCE).ljust(length, b"\x01")[:length]
        updates, bad = decode(LISTINGS, frame_of(strange, ltp_packet(FUTURE, 5), strange), NOW_MS)
        assert [update.symbol for update in updates] == ["NIFTY26DECFUT"]
        assert bad == {"unknown_length": 2}

    def test_every_kind_of_packet_of_an_unknown_token_or_without_a_price_is_refused(self) -> None:
        for make in (ltp_packet, quote_packet, full_packet, index_packet, _timed_index):
            updates, bad = decode(LISTINGS, frame_of(make(5, 100), make(RELIANCE, 0), make(NIFTY, 1)), NOW_MS)
            assert {update.symbol for update in updates} == {"NIFTY 50"}
            assert bad == {"unknown_token": 1, "no_price": 1}

    def test_a_frame_cut_anywhere_gives_the_packets_before_the_cut(self) -> None:
        packets = [ltp_packet(RELIANCE, 1), full_packet(FUTURE, 2), quote_packet(USDINR, 3), index_packet(NIFTY, 4)]
        whole = frame_of(*packets)
        everything, _ = decode(LISTINGS, whole, NOW_MS)
        for size in range(2, len(whole)):
            updates, bad = decode(LISTINGS, whole[:size], NOW_MS)
            ends = [2 + sum(len(packet) + 2 for packet in packets[: n + 1]) for n in range(len(packets))]
            complete = sum(end <= size for end in ends)
            assert updates == everything[: [0, 1, 3, 4][complete]]
            assert bad == {"truncated": 1}

    def test_what_follows_the_last_packet_is_told(self) -> None:
        updates, bad = decode(LISTINGS, frame_of(ltp_packet(RELIANCE, 1)) + b"\x00", NOW_MS)
        assert len(updates) == 1
        assert bad == {"too_long": 1}

    def test_a_frame_without_packets_holds_nothing(self) -> None:
        assert decode(LISTINGS, b"\x00\x00", NOW_MS) == ([], {})

    def test_a_count_beyond_the_frame_does_not_cost_more_than_the_frame(self) -> None:
        assert decode(LISTINGS, b"\xff\xff", NOW_MS) == ([], {"truncated": 1})

    def test_many_packets_of_one_kind_and_of_several_keep_their_order(self) -> None:
        kinds = [lambda price: ltp_packet(RELIANCE, price), lambda price: quote_packet(FUTURE, price)]
        for every in (1, 3, 200):
            packets = [kinds[number // every % 2](number + 1) for number in range(400)]
            updates, bad = decode(LISTINGS, frame_of(*packets), NOW_MS)
            ticks = [update for update in updates if isinstance(update, Tick)]
            assert [tick.price for tick in ticks] == [(number + 1) * PAISA for number in range(400)]
            assert [tick.symbol == "RELIANCE" for tick in ticks] == [len(packet) == 8 for packet in packets]
            assert bad == {}

    def test_lengths_that_share_a_byte_are_told_apart(self) -> None:
        packets = [ltp_packet(RELIANCE, 1), ltp_packet(FUTURE, 2).ljust(0x108, b"x"), ltp_packet(FUTURE, 3)]
        updates, bad = decode(LISTINGS, frame_of(packets[0], *packets), NOW_MS)
        assert [update.symbol for update in updates] == ["RELIANCE", "RELIANCE", "NIFTY26DECFUT"]
        assert bad == {"unknown_length": 1}

    def test_an_instrument_that_is_no_longer_listed_is_unknown_from_then_on(self) -> None:
        listings = dict(LISTINGS)
        packets = Packets(listings)
        assert len(packets.decode(frame_of(ltp_packet(RELIANCE, 1)), NOW_MS)[0]) == 1
        del listings[str(RELIANCE)]
        assert packets.decode(frame_of(ltp_packet(RELIANCE, 1)), NOW_MS) == ([], {"unknown_token": 1})

    def test_tokens_without_end_do_not_fill_the_memory(self) -> None:
        packets = Packets(LISTINGS)
        for start in range(1_000_000, 1_030_000, 1000):
            frame = frame_of(*[ltp_packet(token, 1) for token in range(start, start + 1000)])
            assert packets.decode(frame, NOW_MS) == ([], {"unknown_token": 1000})
        assert len(packets._texts) <= 10_000
        assert packets.decode(frame_of(ltp_packet(RELIANCE, 1)), NOW_MS)[1] == {}

    def test_an_instrument_listed_later_is_found_from_then_on(self) -> None:
        listings: dict[str, Instrument] = {}
        packets, frame = Packets(listings), frame_of(ltp_packet(RELIANCE, 1))
        assert packets.decode(frame, NOW_MS) == ([], {"unknown_token": 1})
        listings[str(RELIANCE)] = LISTINGS[str(RELIANCE)]
        assert len(packets.decode(frame, NOW_MS)[0]) == 1


def _timed_index(token: int, price: int) -> bytes:
    return index_packet(token, price, exchange_s=1)


_LENGTHS = (8, 28, 32, 44, 184)
_TOKENS = st.sampled_from([*(int(token) for token in LISTINGS), 5, 0, 0xFFFFFFFF])


@st.composite
def _packets(draw: st.DrawFn) -> bytes:
    """A packet of a known length and often of a known token, of whatever else."""
    length = draw(st.sampled_from(_LENGTHS))
    return struct.pack(">I", draw(_TOKENS)) + draw(st.binary(min_size=length - 4, max_size=length - 4))


class TestAnything:
    @given(st.binary(min_size=2, max_size=600))
    def test_noise_is_never_a_price_of_an_instrument_that_is_not_in_it(self, frame: bytes) -> None:
        updates, bad = decode(LISTINGS, frame, NOW_MS)
        named = {LISTINGS[token].symbol for token in LISTINGS if struct.pack(">I", int(token)) in frame}
        assert {update.symbol for update in updates} <= named
        assert bad or updates or frame[:2] == b"\x00\x00"

    @given(st.lists(_packets() | st.binary(max_size=190), max_size=6), st.binary(max_size=3), st.integers(0, 40))
    def test_each_packet_speaks_for_its_own_token(self, packets: list[bytes], tail: bytes, cut: int) -> None:
        frame = frame_of(*packets) + tail
        frame = frame[: max(2, len(frame) - cut)]
        updates, bad = decode(LISTINGS, frame, NOW_MS)
        heard = [update for update in updates if isinstance(update, Tick)]
        expected = [_expected(packet) for packet in packets]
        wanted = [tick for tick in expected if tick is not None]
        found = [(tick.exchange, tick.symbol, tick.price) for tick in heard]
        assert found == wanted[: len(found)]
        if not cut:
            assert found == wanted
            assert sum(bad.values()) == len(packets) - len(wanted) + bool(tail)

    @given(_packets().filter(lambda packet: len(packet) == 184))
    def test_depth_and_tick_of_a_full_packet_agree(self, packet: bytes) -> None:
        updates, _ = decode(LISTINGS, frame_of(packet), NOW_MS)
        for tick, depth in zip(updates[::2], updates[1::2], strict=True):
            assert isinstance(tick, Tick)
            assert isinstance(depth, Depth)
            assert (tick.exchange, tick.symbol, tick.time_ms) == (depth.exchange, depth.symbol, depth.time_ms)
            assert (tick.bid, tick.bid_quantity) == _best(depth.bids)
            assert (tick.ask, tick.ask_quantity) == _best(depth.asks)
            assert all(level.quantity for level in (*depth.bids, *depth.asks))
            assert tick.bid != 0
            assert tick.ask != 0


def _best(levels: tuple[Level, ...]) -> tuple[int | None, int | None]:
    return (levels[0].price, levels[0].quantity) if levels else (None, None)


def _expected(packet: bytes) -> tuple[str, str, int] | None:
    """Exchange, symbol and price that a packet must give, if any."""
    if len(packet) not in _LENGTHS:
        return None
    token, price = struct.unpack(">Ii", packet[:8])
    instrument = LISTINGS.get(str(token))
    if instrument is None or not price:
        return None
    divisor = {3: 10_000_000, 6: 10_000, 12: 10_000}.get(token % 256, 100)
    return instrument.exchange, instrument.symbol, price * PRICE_SCALE // divisor
