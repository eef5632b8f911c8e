"""What a file or an administrator may say of the sessions, and what either gets for saying it wrong."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.errors import BadFile
from feeds.market_hours.holidays import CALENDAR
from feeds.market_hours.hours import SessionClass, usual_hours
from feeds.market_hours.overrides import NO_OVERRIDES, Overrides, OverridesFile, applied, read_json, read_toml
from schemas.market import IST, MarketState

GOOD = b"""
[[holidays]]
date = 2026-11-23
markets = ["equity", "currency"]
reason = "State funeral"

[[special]]
date = 2026-11-08
markets = ["equity"]
sessions = [
    { state = "pre_open", start = 18:00:00, end = 18:15:00, phase = "entry" },
    { state = "continuous", start = 18:15:00, end = 19:15:00 },
]

[[special]]
date = 2026-11-24
markets = ["cash"]

[[halts]]
markets = ["NSE", "NFO"]
from = 2026-11-23T10:05:00+05:30
until = 2026-11-23T11:00:00
reopens = 2026-11-23T05:45:00Z
"""


def ist_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp() * 1000)


def test_a_file_says_holidays_special_days_and_halts() -> None:
    overrides = read_toml(GOOD)
    (halt,) = overrides.halts
    assert (halt.since_ms, halt.until_ms) == (ist_ms("2026-11-23T10:05:00"), ist_ms("2026-11-23T11:00:00"))
    assert halt.reopens_ms == ist_ms("2026-11-23T11:15:00")
    calendar = applied(CALENDAR, overrides)
    for one in SessionClass:
        rests = one is not SessionClass.COMMODITY
        assert (not calendar.hours(one, date(2026, 11, 23)).sessions) is rests
    muhurat = calendar.hours(SessionClass.EQUITY_OPTIONS, date(2026, 11, 8))
    assert not muhurat.provisional
    assert muhurat.sessions[1][:3] == (MarketState.CONTINUOUS, time(18, 15), time(19, 15))
    assert calendar.hours(SessionClass.COMMODITY, date(2026, 11, 8)).provisional
    assert calendar.hours(SessionClass.CASH, date(2026, 11, 24)) == usual_hours(SessionClass.CASH, date(2026, 11, 24))
    assert not calendar.hours(SessionClass.CASH_WITH_DERIVATIVES, date(2026, 11, 24)).sessions


def test_an_administrator_says_the_same_in_json() -> None:
    overrides = read_json(
        b"""{"holidays":[{"date":"2026-11-23","markets":["equity","currency"],"reason":"State funeral"}],
        "special":[{"date":"2026-11-08","markets":["equity"],"sessions":[
            {"state":"pre_open","start":"18:00:00","end":"18:15:00","phase":"entry"},
            {"state":"continuous","start":"18:15:00","end":"19:15:00"}]},
            {"date":"2026-11-24","markets":["cash"]}],
        "halts":[{"markets":["NSE","NFO"],"from":"2026-11-23T10:05:00+05:30",
            "until":"2026-11-23T11:00:00","reopens":"2026-11-23T05:45:00Z"}]}"""
    )
    assert overrides == read_toml(GOOD)


def test_of_a_day_the_last_word_counts() -> None:
    day = date(2026, 11, 23)
    rest = read_json(b'{"holidays":[{"date":"2026-11-23","markets":["equity"]}]}')
    work = read_json(b'{"special":[{"date":"2026-11-23","markets":["cash"]}]}')
    assert applied(CALENDAR, rest, work).hours(SessionClass.CASH, day).sessions
    assert not applied(CALENDAR, rest, work).hours(SessionClass.INDEX, day).sessions
    assert not applied(CALENDAR, work, rest).hours(SessionClass.CASH, day).sessions


def special(*sessions: str) -> str:
    return f'[[special]]\ndate = 2026-11-23\nmarkets = ["cash"]\nsessions = [{", ".join(sessions)}]'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[[holidays]]\ndate = "tomorrow"\nmarkets = ["equity"]', "date"),
        ("[[holidays]]\ndate = 2026-11-23", "markets"),
        ("[[holidays]]\ndate = 2026-11-23\nmarkets = []", "markets"),
        ('[[holidays]]\ndate = 2026-11-23\nmarkets = ["shares"]', "no market 'shares'"),
        ('[[holidays]]\ndate = 2026-11-23\nmarkets = ["NSE"]', "no market 'NSE'"),
        ('[[holidays]]\ndate = 2026-11-23\nmarkets = ["equity"]\nwhy = "?"', "why"),
        ('[[holiday]]\ndate = 2026-11-23\nmarkets = ["equity"]', "holiday"),
        (
            special('{ state = "open", start = 09:15:00, end = 15:30:00 }'),
            "sessions",
        ),
        (
            special('{ state = "continuous", start = 15:30:00, end = 09:15:00 }'),
            "no length",
        ),
        (
            special(
                '{ state = "pre_open", start = 09:00:00, end = 09:20:00 }',
                '{ state = "continuous", start = 09:15:00, end = 15:30:00 }',
            ),
            "09:15:00 begins before",
        ),
        (
            '[[halts]]\nmarkets = ["NSE"]\nfrom = 2026-11-23T11:00:00\nuntil = 2026-11-23T10:00:00',
            "must follow one another",
        ),
        ('[[halts]]\nmarkets = ["NSE"]\nfrom = 2026-11-23T11:00:00\nreopens = 2026-11-23T12:00:00', "needs an `until`"),
        ("[[halts", "array"),
        ("\udcff", "utf-8"),
    ],
)
def test_a_fault_is_told_where_it_is(text: str, fault: str) -> None:
    with pytest.raises(BadFile, match=fault):
        read_toml(text.encode("utf-8", "surrogateescape"))


def test_times_of_sessions_are_indian() -> None:
    session = '{"state":"continuous","start":"09:15:00+05:30","end":"15:30:00+05:30"}'
    with pytest.raises(BadFile, match="take no offset"):
        read_json(f'{{"special":[{{"date":"2026-11-23","markets":["cash"],"sessions":[{session}]}}]}}')


@given(st.binary(max_size=200))
def test_random_bytes_are_overrides_or_a_bad_file(text: bytes) -> None:
    for read in (read_toml, read_json):
        with suppress(BadFile):
            assert isinstance(read(text), Overrides)


def write(path: Path, text: bytes) -> None:
    path.write_bytes(text)


def spoil(path: Path, fault: str) -> None:
    match fault:
        case "nonsense":
            path.write_bytes(b"[[holidays]]\ndate = 3")
        case "gone":
            path.unlink()
        case "directory":
            path.unlink()
            path.mkdir()
        case "large":
            path.write_bytes(b"#" * 1_000_001)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.toml"


async def test_a_file_is_read_again_only_when_it_changes(path: Path) -> None:
    write(path, GOOD)
    file = OverridesFile(path)
    assert await file.poll()
    assert file.overrides == read_toml(GOOD)
    assert not await file.poll()
    os.utime(path, ns=(1, 1))
    assert not await file.poll()  # touched, and the same
    write(path, b"")
    assert await file.poll()
    assert file.overrides == NO_OVERRIDES


@pytest.mark.parametrize("fault", ["nonsense", "gone", "directory", "large"])
async def test_a_bad_file_is_told_once_and_what_it_said_before_stays(
    path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    caplog.set_level(logging.ERROR, "tickhub.feeds.market_hours.overrides")
    write(path, GOOD)
    file = OverridesFile(path)
    assert await file.poll()
    spoil(path, fault)
    for _ in range(3):
        assert not await file.poll()
    assert file.overrides == read_toml(GOOD)
    assert [(one.message, one.__dict__["file"]) for one in caplog.records] == [("sessions.bad_file", str(path))]
    assert caplog.records[0].__dict__["why"]


async def test_a_file_that_was_never_there_is_told_and_read_once_it_is(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = OverridesFile(path)
    assert not await file.poll()
    assert [one.message for one in caplog.records] == ["sessions.bad_file"]
    write(path, GOOD)
    assert await file.poll()
    assert file.overrides.halts


@pytest.mark.parametrize("read", [read_toml, read_json])
def test_brackets_without_end_are_a_bad_file(read: Callable[[str], Overrides]) -> None:
    with pytest.raises(BadFile):
        read("holidays = " + "[" * 100_000 if read is read_toml else '{"holidays":' + "[" * 100_000)
