"""Fields of price files."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.replay.price_fields import BadRow, optional_price, optional_quantity, price_of, quantity_of, time_ms_of

TEN_IST = 1_795_408_200_000
"""Monday 23 November 2026, 10:00 IST."""


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("2500.05", 25_000_500_000),
        ("1", 10_000_000),
        ("84.1234567", 841_234_567),
        ("0.05", 500_000),
        ("1e3", 10_000_000_000),
        ("1000000000", 10**16),
        ("0.1", 1_000_000),
    ],
)
def test_a_price_is_read_exactly(text: str, price: int) -> None:
    assert price_of(text) == price
    assert optional_price(text) == price


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "", "x", "NaN", "sNaN", "inf", "-inf", "1000000000.01", "1e30", "1e999999999", "1e-9", "1e-999999999",
     "1,5", "9" * 5000, "₹5", "1.2.3"],
)  # fmt: skip
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(BadRow) as caught:
        price_of(text)
    assert caught.value.reason == "no_price"


def test_a_figure_that_need_not_be_there_is_none_where_it_is_zero_or_blank() -> None:
    assert [optional_price(text) for text in ("", "0", "0.00", "-0", "1e-9")] == [None] * 5
    assert [optional_quantity(text) for text in ("", "0", "7")] == [None, 0, 7]
    for text in ("-1", "x", "NaN", "inf"):
        with pytest.raises(BadRow):
            optional_price(text)


@pytest.mark.parametrize(
    ("text", "quantity"), [("0", 0), ("125", 125), ("125.0", 125), ("1e3", 1000), ("1e13", 10**13)]
)
def test_a_quantity_is_a_whole_number(text: str, quantity: int) -> None:
    assert quantity_of(text) == quantity


@pytest.mark.parametrize("text", ["-1", "1.5", "", "x", "NaN", "inf", "1e14", "1e999999999", "9" * 5000])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(BadRow, match="no_quantity"):
        quantity_of(text)


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("2026-11-23T10:00:00", TEN_IST),
        ("2026-11-23 10:00:00", TEN_IST),
        ("2026-11-23 10:00", TEN_IST),
        ("2026-11-23T10:00:00.123", TEN_IST + 123),
        ("2026-11-23T10:00:00.001", TEN_IST + 1),
        ("2026-11-23T10:00:00.999999", TEN_IST + 999),
        ("2004-05-05T04:04:36.156", 1_083_710_076_156),  # a float of seconds would make it 155
        ("2026-11-23T10:00:00+05:30", TEN_IST),
        ("2026-11-23T10:00:00+0530", TEN_IST),
        ("2026-11-23T04:30:00Z", TEN_IST),
        ("2026-11-23T04:30:00+00:00", TEN_IST),
        ("2026-11-22T23:30:00-05:00", TEN_IST),
        ("20261123 10:00:00", TEN_IST),
        ("1795408200", TEN_IST),
        ("1795408200.25", TEN_IST + 250),
        ("1795408200123", TEN_IST + 123),
        ("1795408200123456", TEN_IST + 123),
        ("2026-11-23", TEN_IST - 36_000_000),
        ("20261123", TEN_IST - 36_000_000),
    ],
)
def test_a_time_is_read_to_the_millisecond_and_as_indian_where_it_names_no_zone(text: str, time_ms: int) -> None:
    assert time_ms_of(text) == time_ms


@pytest.mark.parametrize(
    "text",
    ["", "10:00", "x", "-1795408200", "1e9", "0001-01-01", "9999-12-31T23:59:59", "1", "123456789", "9" * 5000,
     "2026-02-30", "23/11/2026", "²²²²²²²²²²", "NaN", "0001-01-01T00:00:00+14:00", "1989-12-31"],
)  # fmt: skip
def test_what_is_no_time_of_ours_is_refused(text: str) -> None:
    with pytest.raises(BadRow, match="no_time"):
        time_ms_of(text)


@given(
    moment=st.datetimes(datetime(1991, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001 - the zone is added below
    minutes=st.integers(-14 * 60, 14 * 60),
)
def test_every_zone_means_the_same_moment(moment: datetime, minutes: int) -> None:
    zoned = moment.replace(tzinfo=UTC)
    wanted = round((moment.replace(microsecond=0, tzinfo=UTC)).timestamp()) * 1000 + moment.microsecond // 1000
    assert time_ms_of(zoned.astimezone(timezone(timedelta(minutes=minutes))).isoformat()) == wanted


@given(price=st.integers(1, 10**16))
def test_every_price_comes_back(price: int) -> None:
    assert price_of(f"{price // 10**7}.{price % 10**7:07d}") == price


@given(text=st.text() | st.from_regex(r"-?[0-9]{0,30}\.?[0-9]{0,20}([eE]-?[0-9]{1,9})?", fullmatch=True))
def test_any_text_is_understood_or_makes_a_bad_row(text: str) -> None:
    for reader in (price_of, quantity_of, time_ms_of, optional_price, optional_quantity):
        try:
            value = reader(text)
        except BadRow:
            continue
        assert value is None or 0 <= value < 2**62
