import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.durations import duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("15m", 900), ("1h", 3600), ("7d", 604800), ("1.5h", 5400), ("0s", 0), (" 1s ", 1)],
)
def test_reads_what_people_write(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "m", "-1s", "1 s", "1S", "1s1m", "1w", "1e3s", ".5s", "1.s", "inf", "1us"])
def test_refuses_anything_else(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250ms"), (1, "1s"), (90, "90s"), (900, "15m"), (86400, "1d"), (1.5, "1500ms")]
)
def test_writes_the_shortest_form(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@given(st.integers(0, 10**12))
def test_reads_what_it_writes(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(duration_text(seconds)) == pytest.approx(seconds)


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except ValueError:
        return
