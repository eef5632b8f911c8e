"""The merge of history and live publications."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.broker import HistoryPage, Publication
from channels.recovery import merge
from schemas.commands import Position


def pub(offset: int, epoch: str = "e") -> Publication:
    return Publication("signals:generated", b'{"n":%d}' % offset, offset, epoch)


def page(position: int, *offsets: int, complete: bool = True) -> HistoryPage:
    return HistoryPage(Position("e", position), tuple(map(pub, offsets)), complete=complete)


@pytest.mark.parametrize(
    ("since", "history", "live", "delivered", "start", "complete"),
    [
        pytest.param(5, page(5), [], [], 5, True, id="nothing missed"),
        pytest.param(3, page(5, 4, 5), [], [4, 5], 3, True, id="all in history"),
        pytest.param(3, page(5, 4, 5), [6, 7], [4, 5, 6, 7], 3, True, id="history, then live"),
        pytest.param(3, page(5, 4, 5), [4, 5, 6], [4, 5, 6], 3, True, id="overlap"),
        pytest.param(3, page(5, 4, 5), [7, 6, 6, 5], [4, 5, 6, 7], 3, True, id="disorder and repetition"),
        pytest.param(5, page(5), [3, 4, 5], [], 5, True, id="only what was seen before"),
        pytest.param(3, page(9, 4, 5), [], [], 9, False, id="history longer than the page"),
        pytest.param(3, page(5, 5, complete=False), [6], [6], 5, False, id="history trimmed"),
        pytest.param(3, page(5, 4, 5), [7, 8], [7, 8], 6, False, id="a hole in what was heard"),
        pytest.param(3, page(5, 5), [], [], 5, False, id="a hole in history"),
        pytest.param(9, page(5, complete=False), [], [], 5, False, id="a position from the future"),
        pytest.param(7, page(5, complete=False), [6, 7, 8], [6, 7, 8], 5, False, id="ahead of what history says"),
        pytest.param(0, page(2, 1, 2), [], [1, 2], 0, True, id="from the beginning"),
    ],
)
def test_a_run_without_gaps(
    *, since: int, history: HistoryPage, live: list[int], delivered: list[int], start: int, complete: bool
) -> None:
    merged = merge(Position("e", since), history, [pub(offset) for offset in live])
    assert [publication.offset for publication in merged.publications] == delivered
    assert merged.complete is complete
    assert merged.start == Position("e", start)
    assert merged.position == Position("e", delivered[-1] if delivered else start)


def test_another_epoch_is_never_complete() -> None:
    merged = merge(Position("old", 3), page(5, 4, 5), [pub(6)])
    assert (merged.complete, merged.start, merged.position) == (False, Position("e", 5), Position("e", 6))
    assert merged.publications == (pub(6),)


def test_live_publications_of_another_epoch_are_left_out() -> None:
    merged = merge(Position("e", 3), page(5, 4, 5), [pub(6), pub(1, "new")])
    assert not merged.complete
    assert merged.publications == (pub(6),)


def test_what_nobody_counted_comes_last() -> None:
    raw = Publication("signals:generated", b"{}")
    merged = merge(Position("e", 4), page(5, 5), [raw, pub(6)])
    assert merged.complete
    assert merged.publications == (pub(5), pub(6), raw)


@st.composite
def cuts(draw: st.DrawFn) -> dict[str, Any]:
    """A log of some length, of which history and the live side each saw parts."""
    length = draw(st.integers(0, 20))
    since = draw(st.integers(0, length))
    read_at = draw(st.integers(since, length))
    limit = draw(st.integers(0, 20))
    trimmed = draw(st.integers(0, read_at))
    after = [offset for offset in range(since + 1, read_at + 1) if offset > trimmed]
    offsets = st.integers(1, max(length, 1))
    return {
        "length": length,
        "since": since,
        "page": page(read_at, *after[:limit], complete=trimmed <= since),
        "live": [offset for offset in draw(st.lists(offsets, max_size=30)) if offset <= length],
    }


@given(cuts())
def test_delivered_is_always_a_run_and_complete_means_everything(case: dict[str, Any]) -> None:
    merged = merge(Position("e", case["since"]), case["page"], [pub(offset) for offset in case["live"]])
    delivered = [publication.offset for publication in merged.publications]
    assert delivered == list(range(merged.start.offset + 1, merged.position.offset + 1))
    assert merged.position.offset == max([case["page"].position.offset, *case["live"]])
    known = {publication.offset for publication in case["page"].publications} | set(case["live"])
    nothing_missing = set(range(case["since"] + 1, merged.position.offset + 1)) <= known
    assert merged.complete == (nothing_missing and case["page"].complete)
    if merged.complete:
        assert merged.start.offset == case["since"]
    else:
        assert merged.start.offset >= case["page"].position.offset
