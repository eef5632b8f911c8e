"""Angel's packets, from bytes written by the table, and what becomes of every value."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.brokers.angel_packets import PacketReader
from feeds.feed import Update
from feeds.instruments import Instrument, Kind
from schemas.market import Depth, Level, Tick, scaled, tick_payload
from tests.feeds.brokers.angel import TIME_MS, Levels, depth_packet, ltp_packet, quote_packet, snap_packet

RECEIVED_MS = TIME_MS + 40
PAISA = 100_000
SHARE, FUTURE, INDEX, DOLLAR = "1|2885", "2|54321", "1|99926000", "13|1234"
LISTED = {
    SHARE: Instrument(exchange="NSE", symbol="RELIANCE", name="", tick_size=scaled(0.10)),
    FUTURE: Instrument(exchange="NFO", symbol="NIFTY26DECFUT", name="", kind=Kind.FUTURE, tick_size=scaled(0.05)),
    INDEX: Instrument(exchange="NSE", symbol="NIFTY 50", name="", kind=Kind.INDEX, tick_size=0),
    DOLLAR: Instrument(exchange="CDS", symbol="USDINR26DECFUT", name="", kind=Kind.FUTURE, tick_size=scaled(0.0025)),
}
BIDS: Levels = [(10 + n, 145_000 - 10 * n, n + 1) for n in range(5)]
OFFERS: Levels = [(20 + n, 145_010 + 10 * n, n + 6) for n in range(5)]


def levels(rows: Levels) -> tuple[Level, ...]:
    return tuple(Level(price * PAISA, quantity, orders) for quantity, price, orders in rows)


def read(*packets: bytes) -> tuple[list[Update], dict[str, int]]:
    return PacketReader(LISTED).read(b"".join(packets), RECEIVED_MS)


def tick_of(packet: bytes) -> Tick:
    updates, bad = read(packet)
    assert not bad
    tick = updates[0]
    assert isinstance(tick, Tick)
    return tick


def depth_of(packet: bytes) -> Depth:
    updates, bad = read(packet)
    assert not bad
    depth = updates[-1]
    assert isinstance(depth, Depth)
    return depth


def full_snap(token: str = SHARE) -> bytes:
    return snap_packet(
        token,
        145_005,
        sequence=77,
        last_quantity=3,
        average=144_950,
        volume=1_234_567,
        buy_quantity=1000.0,
        sell_quantity=2000.0,
        opened=144_000,
        high=146_000,
        low=143_000,
        close=144_500,
        last_trade_s=1_795_407_299,
        open_interest=4_200,
        bids=BIDS,
        offers=OFFERS,
        upper=158_950,
        lower=130_050,
        year_high=160_000,
        year_low=110_000,
    )


# -- every field ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packet", "size"),
    [(ltp_packet(SHARE, 1), 51), (quote_packet(SHARE, 1), 123), (full_snap(), 379), (depth_packet(SHARE), 443)],
)
def test_the_packets_of_these_tests_have_the_vendors_lengths(packet: bytes, size: int) -> None:
    assert len(packet) == size


def test_a_last_price_is_read() -> None:
    assert read(ltp_packet(SHARE, 145_005)) == ([Tick("NSE", "RELIANCE", 14_500_500_000, TIME_MS)], {})


def test_a_quote_is_read() -> None:
    packet = quote_packet(
        SHARE,
        145_005,
        last_quantity=3,
        average=144_950,
        volume=1_234_567,
        buy_quantity=1000.0,
        sell_quantity=2000.0,
        opened=144_000,
        high=146_000,
        low=143_000,
        close=144_500,
    )
    assert tick_of(packet) == Tick(
        exchange="NSE",
        symbol="RELIANCE",
        price=145_005 * PAISA,
        time_ms=TIME_MS,
        open=144_000 * PAISA,
        high=146_000 * PAISA,
        low=143_000 * PAISA,
        close=144_500 * PAISA,
        volume=1_234_567,
        last_quantity=3,
        average_price=144_950 * PAISA,
        total_buy_quantity=1000,
        total_sell_quantity=2000,
    )


def test_a_snapshot_is_read() -> None:
    tick = Tick(
        exchange="NFO",
        symbol="NIFTY26DECFUT",
        price=145_005 * PAISA,
        time_ms=TIME_MS,
        open=144_000 * PAISA,
        high=146_000 * PAISA,
        low=143_000 * PAISA,
        close=144_500 * PAISA,
        volume=1_234_567,
        bid=145_000 * PAISA,
        ask=145_010 * PAISA,
        bid_quantity=10,
        ask_quantity=20,
        last_quantity=3,
        average_price=144_950 * PAISA,
        total_buy_quantity=1000,
        total_sell_quantity=2000,
        open_interest=4_200,
        lower_circuit=130_050 * PAISA,
        upper_circuit=158_950 * PAISA,
        year_low=110_000 * PAISA,
        year_high=160_000 * PAISA,
        last_trade_ms=1_795_407_299_000,
    )
    depth = Depth.of("NFO", "NIFTY26DECFUT", TIME_MS, levels(BIDS), levels(OFFERS))
    assert read(full_snap(FUTURE)) == ([tick, depth], {})


def test_depth_of_twenty_levels_is_read() -> None:
    bids = [(100 + n, 145_000 - 5 * n, n) for n in range(20)]
    offers = [(200 + n, 145_005 + 5 * n, 20 + n) for n in range(20)]
    depth = Depth.of("NSE", "RELIANCE", TIME_MS, levels(bids), levels(offers))
    assert read(depth_packet(SHARE, bids=bids, offers=offers)) == ([depth], {})


def test_currencies_have_a_scale_of_their_own() -> None:
    assert tick_of(ltp_packet(DOLLAR, 851_325_000)).price == scaled(85.1325)
    assert tick_of(snap_packet(DOLLAR, 851_325_000, bids=[(1, 851_300_000, 1)])).bid == scaled(85.13)


def test_what_is_zero_is_unknown_for_a_price_and_zero_for_a_quantity() -> None:
    assert tick_of(snap_packet(FUTURE, 100)) == Tick(
        "NFO",
        "NIFTY26DECFUT",
        100 * PAISA,
        TIME_MS,
        volume=0,
        total_buy_quantity=0,
        total_sell_quantity=0,
        open_interest=0,
    )


def test_a_share_has_no_open_interest() -> None:
    assert tick_of(full_snap(SHARE)).open_interest is None


def test_an_index_has_no_volume_and_no_book() -> None:
    day = {"opened": 2_400_000, "high": 2_450_000, "low": 2_390_000, "close": 2_395_000}
    figures = {"open": 2_400_000, "high": 2_450_000, "low": 2_390_000, "close": 2_395_000}
    expected = Tick(
        "NSE", "NIFTY 50", 2_412_345 * PAISA, TIME_MS, **{name: price * PAISA for name, price in figures.items()}
    )
    assert read(quote_packet(INDEX, 2_412_345, **day)) == ([expected], {})
    assert read(snap_packet(INDEX, 2_412_345, **day)) == ([expected], {})


def test_a_packet_without_a_time_is_of_when_it_came() -> None:
    assert tick_of(ltp_packet(SHARE, 100, time_ms=0)).time_ms == RECEIVED_MS


@pytest.mark.parametrize("time_ms", [1, 946_684_799_999, 4_102_444_800_000, 2**45 - 1])
def test_a_time_of_another_century_is_not_believed(time_ms: int) -> None:
    assert read(ltp_packet(SHARE, 100, time_ms=time_ms)) == ([], {"bad_time": 1})


@pytest.mark.parametrize("seconds", [0, 1, 946_684_799, 4_102_444_800, 2**44])
def test_a_last_trade_of_another_century_is_left_out(seconds: int) -> None:
    assert tick_of(snap_packet(SHARE, 100, last_trade_s=seconds)).last_trade_ms is None


# -- depth ---------------------------------------------------------------------------------------------------------


def test_flag_one_is_a_bid_wherever_it_stands() -> None:
    swapped = depth_of(snap_packet(SHARE, 100, bids=BIDS, offers=OFFERS, offers_first=True))
    assert (swapped.bids, swapped.asks) == (levels(BIDS), levels(OFFERS))


def test_levels_without_a_price_or_a_quantity_are_left_out() -> None:
    depth = depth_of(snap_packet(SHARE, 100, bids=[(0, 99, 1), (5, 98, 2)], offers=[(7, 0, 1), (6, 102, 3)]))
    assert (depth.bids, depth.asks) == ((Level(98 * PAISA, 5, 2),), (Level(102 * PAISA, 6, 3),))
    deep = depth_of(depth_packet(SHARE, bids=[(0, 99, 1), (5, 98, 2)], offers=[(7, 0, 1), (6, 102, 3)]))
    assert (deep.bids, deep.asks) == (depth.bids, depth.asks)


def test_an_empty_book_is_told() -> None:
    depth = depth_of(snap_packet(SHARE, 100))
    assert (depth.bids, depth.asks) == ((), ())


def test_an_unknown_flag_is_no_side() -> None:
    packet = bytearray(snap_packet(SHARE, 100, bids=BIDS, offers=OFFERS))
    struct.pack_into("<H", packet, 147, 7)
    depth = depth_of(bytes(packet))
    assert (depth.bids, depth.asks) == (levels(BIDS[1:]), levels(OFFERS))


# -- order ---------------------------------------------------------------------------------------------------------


def test_what_comes_again_or_late_is_left_out() -> None:
    reader = PacketReader(LISTED)

    def outcome(sequence: int, time_ms: int, token: str = SHARE, mode: int = 1) -> tuple[int, dict[str, int]]:
        build = {1: ltp_packet, 2: quote_packet}[mode]
        updates, bad = reader.read(build(token, 100, sequence=sequence, time_ms=time_ms), RECEIVED_MS)
        return len(updates), bad

    assert outcome(5, TIME_MS) == (1, {})
    assert outcome(5, TIME_MS) == (0, {"duplicate": 1})
    assert outcome(4, TIME_MS) == (0, {"out_of_order": 1})
    assert outcome(4, TIME_MS - 1) == (0, {"out_of_order": 1})
    assert outcome(5, TIME_MS, mode=2) == (1, {}), "another mode says more"
    assert outcome(5, TIME_MS, token=FUTURE) == (1, {}), "another instrument"
    assert outcome(6, TIME_MS) == (1, {})
    assert outcome(1, TIME_MS + 1) == (1, {}), "the exchange counts anew"
    assert outcome(2, TIME_MS + 1) == (1, {})


def test_indices_and_packets_without_a_number_are_not_ordered() -> None:
    for packet in (ltp_packet(INDEX, 100, sequence=5), ltp_packet(SHARE, 100), depth_packet(SHARE)):
        updates, bad = read(packet, packet)
        assert (len(updates), bad) == (2, {})


def test_a_packet_of_no_use_is_not_the_newest() -> None:
    updates, bad = read(ltp_packet(SHARE, 0, sequence=9), ltp_packet(SHARE, 100, sequence=8))
    assert (len(updates), bad) == (1, {"no_price": 1})


# -- frames --------------------------------------------------------------------------------------------------------


def test_packets_of_different_kinds_lie_one_after_another() -> None:
    updates, bad = read(ltp_packet(SHARE, 100), full_snap(FUTURE), depth_packet(SHARE), quote_packet(INDEX, 5))
    assert [type(update).__name__ for update in updates] == ["Tick", "Tick", "Depth", "Depth", "Tick"]
    assert not bad


@pytest.mark.parametrize("packet", [ltp_packet(SHARE, 100), quote_packet(SHARE, 100), full_snap(), depth_packet(SHARE)])
def test_a_frame_that_ends_too_early_keeps_what_is_whole(packet: bytes) -> None:
    for size in range(1, len(packet)):
        assert read(packet[:size]) == ([], {"truncated": 1})
    updates, bad = read(ltp_packet(FUTURE, 100), packet[:-1])
    assert (len(updates), bad) == (1, {"truncated": 1})


def test_an_empty_frame_is_truncated() -> None:
    assert read(b"") == ([], {"truncated": 1})


@pytest.mark.parametrize("mode", [0, 5, 255])
def test_a_packet_of_unknown_length_ends_the_frame(mode: int) -> None:
    updates, bad = read(ltp_packet(SHARE, 100), bytes([mode]) + b"\0" * 50, ltp_packet(SHARE, 100))
    assert (len(updates), bad) == (1, {"unknown_length": 1})


@pytest.mark.parametrize("token", ["1|28850", "3|2885", "1|", "1|288", "1|\xff", "1|1234567890123456789012345"])
def test_a_token_that_is_not_listed_is_nobody(token: str) -> None:
    raw = bytearray(ltp_packet(SHARE, 100))
    exchange_type, _, number = token.partition("|")
    raw[1] = int(exchange_type)
    raw[2:27] = number.encode("latin-1").ljust(25, b"\0")
    assert read(bytes(raw), ltp_packet(SHARE, 100, sequence=1)) == (
        [Tick("NSE", "RELIANCE", 100 * PAISA, TIME_MS)],
        {"unknown_token": 1},
    )


def test_what_follows_the_tokens_end_is_no_part_of_it() -> None:
    raw = bytearray(ltp_packet(SHARE, 100))
    raw[10:14] = b"junk"
    assert tick_of(bytes(raw)).symbol == "RELIANCE"


# -- what can't be -------------------------------------------------------------------------------------------------

INTEGERS_AT = {
    "ltp": [43],
    "quote": [43, 51, 59, 67, 91, 99, 107, 115],
    "snap": [
        *[43, 51, 59, 67, 91, 99, 107, 115, 123, 131, 347, 355, 363, 371],
        *[147 + 20 * level + field for level in range(10) for field in (2, 10)],
    ],
}
PACKETS = {"ltp": ltp_packet(SHARE, 100), "quote": quote_packet(SHARE, 100), "snap": full_snap()}


@pytest.mark.parametrize("lie", [-1, -(2**63), 2**45, 2**63 - 1])
@pytest.mark.parametrize("kind", INTEGERS_AT)
def test_a_number_that_can_not_be_spoils_its_packet_and_no_other(kind: str, lie: int) -> None:
    for place in INTEGERS_AT[kind]:
        packet = bytearray(PACKETS[kind])
        struct.pack_into("<q", packet, place, lie)
        updates, bad = read(bytes(packet), ltp_packet(FUTURE, 100))
        assert ([update.symbol for update in updates], bad) == (["NIFTY26DECFUT"], {"impossible": 1})


def test_the_largest_number_that_can_be_is_read() -> None:
    assert tick_of(ltp_packet(SHARE, 2**45 - 1)).price == (2**45 - 1) * PAISA < 2**62


@pytest.mark.parametrize("lie", [float("nan"), float("inf"), float("-inf"), -1.0, 1e300])
@pytest.mark.parametrize("place", [75, 83])
@pytest.mark.parametrize("kind", ["quote", "snap"])
def test_a_total_that_can_not_be_spoils_its_packet(kind: str, place: int, lie: float) -> None:
    packet = bytearray(PACKETS[kind])
    struct.pack_into("<d", packet, place, lie)
    assert read(bytes(packet)) == ([], {"impossible": 1})


@pytest.mark.parametrize("side", [43, 243])
@pytest.mark.parametrize("field", [0, 4, 8])
def test_a_negative_number_spoils_depth_of_twenty_levels(side: int, field: int) -> None:
    for level in range(20):
        packet = bytearray(depth_packet(SHARE, bids=[(1, 1, 1)] * 20, offers=[(1, 1, 1)] * 20))
        struct.pack_into("<h" if field == 8 else "<i", packet, side + 10 * level + field, -1)
        assert read(bytes(packet)) == ([], {"impossible": 1})


@pytest.mark.parametrize("build", [ltp_packet, quote_packet, snap_packet])
def test_a_packet_without_a_price_gives_nothing(build: type) -> None:
    assert read(build(SHARE, 0)) == ([], {"no_price": 1})


# -- any bytes at all ----------------------------------------------------------------------------------------------

WHOLE = full_snap() + quote_packet(FUTURE, 100) + depth_packet(SHARE, bids=BIDS) + ltp_packet(INDEX, 5)
SYMBOLS = {instrument.symbol for instrument in LISTED.values()}


def assert_sound(updates: list[Update]) -> None:
    """Only listed instruments, and every tick can be published."""
    for update in updates:
        assert update.symbol in SYMBOLS
        if isinstance(update, Tick):
            assert 0 < update.price <= 2**62
            tick_payload(update)


@given(st.binary(max_size=500))
def test_any_bytes_are_survived(frame: bytes) -> None:
    assert_sound(read(frame)[0])


@given(st.sampled_from([1, 2, 3, 4]), st.sampled_from(sorted(LISTED)), st.binary(min_size=416, max_size=416))
def test_any_fields_of_a_listed_instrument_are_survived(mode: int, token: str, fields: bytes) -> None:
    size = {1: 51, 2: 123, 3: 379, 4: 443}[mode]
    packet = bytes([mode]) + ltp_packet(token, 1)[1:27] + fields[: size - 27]
    updates, bad = read(packet)
    assert_sound(updates)
    assert updates or bad


@given(st.integers(0, len(WHOLE)))
def test_a_truncated_frame_is_survived(size: int) -> None:
    updates, bad = read(WHOLE[:size])
    assert_sound(updates)
    assert bad or size in {379, 502, 945, len(WHOLE)}


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_frame_is_survived(damage: list[tuple[int, int]]) -> None:
    frame = bytearray(WHOLE)
    for place, byte in damage:
        frame[place] = byte
    assert_sound(read(bytes(frame))[0])
