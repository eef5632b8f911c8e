"""The pure part of recovery: history and live publications, read at the same time, become one gapless run.

Whoever subscribes to a log channel hears live publications before the history has been read, so the two overlap, and
both may repeat or disorder what they hold. `merge` says what to deliver.
"""

from collections.abc import Sequence

import msgspec

from channels.broker import HistoryPage, Publication
from schemas.commands import Position


class Merge(msgspec.Struct, frozen=True):
    """What a subscriber gets: `publications` follow `start` without a gap and end at `position`.

    `complete`: nothing is missing since the position that was asked for, and `start` is that position. Otherwise the
    subscriber is told, and goes on from `start`, which is the present one or, after a hole, a later one.
    Publications that nobody counted (offset 0) come last.
    """

    start: Position
    publications: tuple[Publication, ...]
    position: Position
    complete: bool


def merge(since: Position, page: HistoryPage, live: Sequence[Publication]) -> Merge:
    """Joins a page of history, read after `since`, with what was heard live while it was read.

    Live publications of another epoch than the page's can't be placed: they are left out, and the result is not
    complete.
    """
    epoch = page.position.epoch
    uncounted = tuple(publication for publication in live if not publication.offset)
    counted = [publication for publication in live if publication.offset]
    same = [publication for publication in counted if publication.epoch == epoch]
    known = {publication.offset: publication for publication in (*page.publications, *same)}
    newest = max(page.position.offset, max((publication.offset for publication in same), default=0))
    complete = (
        page.complete
        and since.epoch == epoch
        and len(same) == len(counted)
        and since.offset <= newest
        and all(offset in known for offset in range(since.offset + 1, newest + 1))
    )
    begin = since.offset if complete else _start_of_run(known, page.position.offset, newest)
    return Merge(
        start=Position(epoch, begin),
        publications=(*(known[offset] for offset in range(begin + 1, newest + 1)), *uncounted),
        position=Position(epoch, newest),
        complete=complete,
    )


def _start_of_run(known: dict[int, Publication], start: int, newest: int) -> int:
    """The first offset from `start` on after which everything up to `newest` is known."""
    begin = newest
    while begin > start and begin in known:
        begin -= 1
    return begin
