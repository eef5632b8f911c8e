"""Quiet hours follow the clock on the wall, through midnight, weekdays and the two nights a year that it is moved."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.people.preferences import DAYS, Quiet, QuietWindow
from notifiers.people.quiet_hours import FARTHEST_MS, inside, until
from notifiers.way import Way

IST = ZoneInfo("Asia/Kolkata")
MINUTE_MS = 60_000
NIGHT = QuietWindow(start="22:00", end="07:00")

ZONES = [
    ("Asia/Kolkata", date(2026, 11, 23)),
    ("America/New_York", date(2026, 3, 8)),  # 02:00 becomes 03:00
    ("America/New_York", date(2026, 11, 1)),  # 02:00 becomes 01:00
    ("Europe/London", date(2026, 10, 25)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),  # by half an hour
    ("Africa/Casablanca", date(2026, 2, 15)),
    ("Asia/Kathmandu", date(2026, 6, 1)),
]


def ms(text: str, zone: ZoneInfo = IST) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def is_quiet(at_ms: int, windows: list[QuietWindow], zone: ZoneInfo) -> bool:
    """What the clock on the wall says, without any arithmetic on minutes."""
    local = datetime.fromtimestamp(at_ms / 1000, zone)
    clock = local.strftime("%H:%M")
    today, yesterday = DAYS[local.weekday()], DAYS[(local.weekday() - 1) % 7]
    for window in windows:
        over_midnight = window.end <= window.start
        began_today = clock >= window.start and (over_midnight or clock < window.end)
        began_yesterday = over_midnight and clock < window.end
        if began_today and (not window.days or today in window.days):
            return True
        if began_yesterday and (not window.days or yesterday in window.days):
            return True
    return False


def next_loud(at_ms: int, windows: list[QuietWindow], zone: ZoneInfo) -> int | None:
    if not is_quiet(at_ms, windows, zone):
        return None
    minute = at_ms - at_ms % MINUTE_MS
    while is_quiet(minute, windows, zone):
        minute += MINUTE_MS
        if minute >= at_ms + FARTHEST_MS:
            break
    return minute


CLOCKS = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 59]))
WINDOWS = st.lists(
    st.builds(QuietWindow, start=CLOCKS, end=CLOCKS, days=st.lists(st.sampled_from(DAYS), max_size=3).map(tuple)),
    max_size=3,
)


@given(place=st.sampled_from(ZONES), minutes=st.integers(-1440, 2880), seconds=st.integers(0, 59), windows=WINDOWS)
def test_the_end_is_the_first_minute_that_is_not_quiet(
    place: tuple[str, date], minutes: int, seconds: int, windows: list[QuietWindow]
) -> None:
    zone = ZoneInfo(place[0])
    start = datetime.combine(place[1], time(), zone).timestamp()
    now_ms = int((start + minutes * 60 + seconds) * 1000)
    expected = next_loud(now_ms, windows, zone)
    found = until(now_ms, windows, zone)
    if expected is None or expected < now_ms + FARTHEST_MS:
        assert found == expected
    else:
        assert found is not None
        assert found >= now_ms + FARTHEST_MS
    assert (inside(now_ms, windows, zone) is not None) == is_quiet(now_ms, windows, zone)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-11-23T21:59:59", None),
        ("2026-11-23T22:00:00", "2026-11-24T07:00:00"),
        ("2026-11-24T06:59:59.999", "2026-11-24T07:00:00"),
        ("2026-11-24T07:00:00", None),
    ],
)
def test_a_night_ends_in_the_morning(now: str, end: str | None) -> None:
    assert until(ms(now), [NIGHT], IST) == (None if end is None else ms(end))


def test_a_window_that_ends_where_it_starts_is_a_whole_day() -> None:
    sunday = QuietWindow(start="00:00", end="00:00", days=("sun",))
    assert until(ms("2026-11-22T12:00"), [sunday], IST) == ms("2026-11-23T00:00")
    assert until(ms("2026-11-23T00:00"), [sunday], IST) is None


def test_windows_that_touch_end_together() -> None:
    lunch = QuietWindow(start="07:00", end="09:00")
    assert until(ms("2026-11-23T23:00"), [NIGHT, lunch], IST) == ms("2026-11-24T09:00")


def test_a_night_counts_for_the_day_on_which_it_starts() -> None:
    friday = QuietWindow(start="22:00", end="07:00", days=("fri",))
    assert until(ms("2026-11-28T06:00"), [friday], IST) == ms("2026-11-28T07:00")  # a Saturday's morning
    assert until(ms("2026-11-27T06:00"), [friday], IST) is None


def test_quiet_without_an_end_is_looked_at_again() -> None:
    always = QuietWindow(start="10:00", end="10:00")
    now_ms = ms("2026-11-23T12:34:56")
    found = until(now_ms, [always], IST)
    assert found is not None
    assert now_ms + FARTHEST_MS <= found <= now_ms + FARTHEST_MS + 2 * 86_400_000


def test_the_night_in_which_the_clock_is_put_forward_is_an_hour_shorter() -> None:
    zone = ZoneInfo("America/New_York")
    found = until(ms("2026-03-07T22:00", zone), [NIGHT], zone)
    assert found == ms("2026-03-07T22:00", zone) + timedelta(hours=8) // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("window", "concerned"),
    [
        (NIGHT, "email sms voice push webhook"),
        (QuietWindow(start="22:00", end="07:00", channels=(Way.VOICE, Way.WEBSOCKET)), "websocket voice"),
        (QuietWindow(start="22:00", end="07:00", action=Quiet.DOWNGRADE, to=Way.PUSH), "email sms voice webhook"),
    ],
)
def test_a_window_is_for_its_channels(window: QuietWindow, concerned: str) -> None:
    assert " ".join(way for way in Way if window.concerns(way)) == concerned
