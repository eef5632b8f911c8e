"""Tracks: how far each source of samples has come, and which of its samples are accepted."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from notifiers.engine.figures import Figure
from notifiers.engine.memory import Unreadable, Unwritable, read, written
from notifiers.engine.samples import Source
from notifiers.engine.views import KeptView, Seen, View
from schemas.market import TIMEFRAMES, MarketState


class Track:
    """One source: which of its samples are accepted, and its views."""

    __slots__ = ("_kept", "neighbours", "number", "source", "time_ms", "views")

    def __init__(self, source: Source, kept: bytes | None) -> None:
        """Raises Unreadable."""
        self.source = source
        self.number = -1
        self.time_ms = 0
        """Of the last accepted sample."""
        self.views: dict[Seen, View] = {}
        self.neighbours: dict[Track, int] = {}
        """The tracks that some rules look at besides this one, with how many rules there are for each."""
        self._kept: dict[Seen, KeptView] = {}
        """What is to be restored; only until the next sample."""
        if kept is not None:
            self.number, self.time_ms, views = read(kept, tuple[int, int, list[KeptView]])
            self._kept = {_seen(view[0]): view for view in views}

    def accepted(self, number: int, time_ms: int) -> None:
        """A sample was accepted; what was restored and nobody has asked for is of no use any more."""
        self.number = number
        self.time_ms = time_ms
        if self._kept:
            self._kept = {}

    def view(self, seen: Seen) -> View:
        """The view of that kind, made where it isn't there."""
        view = self.views.get(seen)
        if view is None:
            view = self.views[seen] = View(self, seen)
            if (kept := self._kept.get(seen)) is not None:
                view.restore(kept)
        return view

    def remembered(self, figure: Figure) -> None:
        """Give a new figure the value that was restored for it, or the last price where it is that."""
        view = figure.view
        kept = self._kept.get(view.seen)
        for name, current, current_ms, known in kept[-1] if kept else ():
            if name == figure.name:
                figure.current, figure.current_ms, figure.known = current, current_ms, known
                return
        if figure.is_price and view.number >= 0:
            figure.current, figure.current_ms, figure.known = view.price, view.time_ms, True

    def used_figures(self) -> Iterator[Figure]:
        """Those that some rule looks at."""
        return (figure for view in self.views.values() for figure in view.figures.values() if figure.users)

    def kept(self) -> bytes:
        """Its state, with that of its views. Raises Unwritable."""
        views = [view.kept() for view in self.views.values()]
        return written([self.number, self.time_ms, views])

    def forget(self) -> None:
        """As if no sample had told anything yet: what it remembers can't be kept. How far it has come stays."""
        for view in self.views.values():
            view.forget()


def _seen(kept: str | list[MarketState]) -> Seen:
    return kept if isinstance(kept, str) else frozenset(MarketState(state) for state in kept)


class Tracks:
    """The tracks of one engine. They stay even where no rule looks at them any more: a number is never taken twice."""

    def __init__(self) -> None:
        self.version = 0
        """Changes whenever `wanted` may have."""
        self.changed: set[Track] = set()
        self.forgotten = 0
        """How often a track had to forget all, since its state could not be written."""
        self._tracks: dict[tuple[str, str, str], Track] = {}
        self._sources: dict[tuple[str, str, str], Source] = {}

    def get(self, exchange: str, symbol: str, timeframe: str) -> Track | None:
        """A source's track, if there is one."""
        return self._tracks.get((exchange, symbol, timeframe))

    def of(self, exchange: str, symbol: str, timeframe: str) -> Track:
        """The same, made where it isn't there."""
        key = (exchange, symbol, timeframe)
        track = self._tracks.get(key)
        if track is None:
            track = self._tracks[key] = Track(self.source(*key), None)
        return track

    def source(self, exchange: str, symbol: str, timeframe: str) -> Source:
        """One object for each, so that they can be told apart by identity."""
        key = (exchange, symbol, timeframe)
        source = self._sources.get(key)
        if source is None:
            source = self._sources[key] = Source(*key)
        return source

    def wanted(self) -> Mapping[Source, frozenset[str]]:
        """The sources that some rule looks at, each with the texts of the indicators that its samples must hold."""
        found = {}
        for track in self._tracks.values():
            figures = list(track.used_figures())
            if figures:
                found[track.source] = frozenset(figure.indicator for figure in figures if figure.indicator)
        return found

    # -- who looks at what ------------------------------------------------------------------------------------------

    def use(self, figure: Figure) -> None:
        """One more rule looks at it."""
        if not figure.users:
            self.version += 1
        figure.users += 1

    def release(self, figure: Figure) -> None:
        """One less."""
        figure.users -= 1
        if figure.users:
            return
        view, track = figure.view, figure.view.track
        self.version += 1
        self.changed.add(track)
        view.figures.pop(figure.name, None)
        if view.unused:
            track.views.pop(view.seen, None)

    def connect(self, tracks: Iterable[Track]) -> None:
        """A rule looks at all of these."""
        for one, other in pairwise(tracks):
            one.neighbours[other] = one.neighbours.get(other, 0) + 1
            other.neighbours[one] = other.neighbours.get(one, 0) + 1

    def disconnect(self, tracks: Iterable[Track]) -> None:
        """The rule that looked at these has gone."""
        for pair in pairwise(tracks):
            for one, other in (pair, pair[::-1]):
                one.neighbours[other] -= 1
                if not one.neighbours[other]:
                    del one.neighbours[other]

    def clear_unused(self) -> None:
        """Forget the figures that nobody looks at."""
        for track in self._tracks.values():
            for view in list(track.views.values()):
                view.figures = {name: figure for name, figure in view.figures.items() if figure.users}
                if view.unused:
                    del track.views[view.seen]

    # -- at rest ----------------------------------------------------------------------------------------------------

    def restore(self, text: str, state: bytes) -> bool:
        """Go on from what was kept of a source; False where that can't be read: the source begins anew."""
        key = _key(text)
        try:
            self._tracks[key] = Track(self.source(*key), state)
        except Unreadable:
            self._tracks[key] = Track(self.source(*key), None)
            return False
        return True

    def kept(self, only: set[Track] | None) -> dict[str, bytes]:
        """The states of the tracks that have changed, of these alone where given; they count as unchanged from now."""
        changed = set(self.changed) if only is None else self.changed & only
        self.changed -= changed
        return {track.source.text: self._kept(track) for track in sorted(changed, key=_source_of)}

    def take_forgotten(self) -> int:
        """How many tracks have had to forget all, since their states could not be written; not told again."""
        forgotten, self.forgotten = self.forgotten, 0
        return forgotten

    def _kept(self, track: Track) -> bytes:
        try:
            return track.kept()
        except Unwritable:
            self.forgotten += 1
            track.forget()
        try:
            return track.kept()
        except Unwritable:
            return Track(track.source, None).kept()

    def connected(self, texts: Iterable[str]) -> set[Track]:
        """The tracks of these sources, and all that rules have in common with them, directly or by others."""
        found = self._of_texts(texts)
        waiting = list(found)
        while waiting:
            more = waiting.pop().neighbours.keys() - found
            found |= more
            waiting += more
        return found

    def _of_texts(self, texts: Iterable[str]) -> set[Track]:
        """The tracks of sources by their texts; those that there are."""
        found = (self._tracks.get(_key(text)) for text in texts)
        return {track for track in found if track is not None}

    def rescale(self, exchange: str, symbol: str, numerator: int, denominator: int) -> None:
        """What is remembered of an instrument's prices, as if they had always been quoted as they are from now on."""
        for timeframe in ("", *TIMEFRAMES):
            track = self.get(exchange, symbol, timeframe)
            if track is not None:
                self.changed.add(track)
                for view in track.views.values():
                    view.rescale(numerator, denominator)


def _source_of(track: Track) -> str:
    return track.source.text


def _key(text: str) -> tuple[str, str, str]:
    first, _, rest = text.partition(":")
    if first in TIMEFRAMES:
        exchange, _, symbol = rest.partition(":")
        return exchange, symbol, first
    return first, rest, ""
