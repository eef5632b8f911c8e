"""Conditions put together of others.

All parts are evaluated at every moment, even where one of them has settled the matter: those that remember must see
each sample. What is missing makes a part unknown (None): `not` of it is unknown too, `and` is false as soon as one part
is, `or` is true as soon as one part is.
"""

from notifiers.engine.figures import Figure
from notifiers.engine.memory import remembered
from notifiers.engine.moment import Moment, Node


class _Compound:
    """What they share: parts, and no figures of their own."""

    __slots__ = ("_parts",)

    def __init__(self, *parts: Node) -> None:
        self._parts = parts

    def parts(self) -> tuple[Node, ...]:
        """The conditions below."""
        return self._parts

    def figures(self) -> tuple[Figure, ...]:
        """None."""
        return ()

    def keep(self) -> list[object]:
        """Nothing, unless a subclass says so."""
        return []

    def restore(self, kept: list[object]) -> None:
        """Nothing, unless a subclass says so."""


class All(_Compound):
    """Every part at the same moment."""

    __slots__ = ()

    def evaluate(self, moment: Moment) -> bool | None:
        """True where all are."""
        found = [part.evaluate(moment) for part in self._parts]
        return False if False in found else None if None in found else True


class AnyOf(_Compound):
    """At least one part."""

    __slots__ = ()

    def evaluate(self, moment: Moment) -> bool | None:
        """True where one is."""
        found = [part.evaluate(moment) for part in self._parts]
        return True if True in found else None if None in found else False


class Opposite(_Compound):
    """A level turned round."""

    __slots__ = ()

    def evaluate(self, moment: Moment) -> bool | None:
        """True where the part is false."""
        found = self._parts[0].evaluate(moment)
        return None if found is None else not found


class Becoming(_Compound):
    """Edge: a level that was false gets true. At its first sample it doesn't, whatever it is."""

    __slots__ = ("_was", "_was_ms")

    def __init__(self, part: Node) -> None:
        super().__init__(part)
        self._was: bool | None = None
        self._was_ms: int | None = None

    def evaluate(self, moment: Moment) -> bool | None:
        """Whether the level is true now and was false the last time that it was known."""
        found = self._parts[0].evaluate(moment)
        if found is None:
            return None
        was, was_ms = self._was, self._was_ms
        self._was, self._was_ms = found, moment.time_ms
        return found and was is False and not moment.begins_day_after(was_ms)

    def keep(self) -> list[object]:
        """What the level was, and when."""
        return [self._was, self._was_ms]

    def restore(self, kept: list[object]) -> None:
        """The same."""
        self._was, self._was_ms = remembered(kept, tuple[bool | None, int | None])


class HoldTime(_Compound):
    """Level: another level has been true for so long, without a false sample. Time alone can make it true."""

    __slots__ = ("_has_held", "_hold_ms", "_since_ms")

    def __init__(self, part: Node, hold_ms: int) -> None:
        super().__init__(part)
        self._hold_ms = hold_ms
        self._since_ms: int | None = None
        self._has_held = False
        """It has been true for long enough: that a sample comes whose time is before then doesn't change it."""

    def evaluate(self, moment: Moment) -> bool | None:
        """Whether it has been true for long enough; else the moment learns when it will have been."""
        found = self._parts[0].evaluate(moment)
        if found is False:
            self._since_ms, self._has_held = None, False
            return False
        if found and self._since_ms is None:
            self._since_ms = moment.time_ms
        if self._since_ms is None:
            return None
        due_ms = self._since_ms + self._hold_ms
        if found and moment.time_ms >= due_ms:
            self._has_held = True
        if not self._has_held and due_ms > moment.time_ms:
            moment.deadline_ms = due_ms if moment.deadline_ms is None else min(due_ms, moment.deadline_ms)
        return found and self._has_held

    def keep(self) -> list[object]:
        """Since when, and whether that is long enough."""
        return [self._since_ms, self._has_held]

    def restore(self, kept: list[object]) -> None:
        """The same."""
        self._since_ms, self._has_held = remembered(kept, tuple[int | None, bool])


class HoldSamples(_Compound):
    """Level: another level has been true at so many samples in a row."""

    __slots__ = ("_needed", "_seen")

    def __init__(self, part: Node, needed: int) -> None:
        super().__init__(part)
        self._needed = needed
        self._seen = 0

    def evaluate(self, moment: Moment) -> bool | None:
        """Whether there have been enough; time alone is no sample."""
        found = self._parts[0].evaluate(moment)
        if found is None:
            return None
        if not moment.is_clock:
            self._seen = min(self._seen + 1, self._needed) if found else 0
        return found and self._seen >= self._needed

    def keep(self) -> list[object]:
        """How many."""
        return [self._seen]

    def restore(self, kept: list[object]) -> None:
        """The same."""
        (self._seen,) = remembered(kept, tuple[int])


class Succession(_Compound):
    """Edge: the second happens, or is true, at a later moment than the first happened, and within a time."""

    __slots__ = ("_first_ms", "_within_ms")

    def __init__(self, first: Node, second: Node, within_ms: int) -> None:
        super().__init__(first, second)
        self._within_ms = within_ms
        self._first_ms: int | None = None

    def evaluate(self, moment: Moment) -> bool | None:
        """Whether the second does now; then all starts anew."""
        first, second = (part.evaluate(moment) for part in self._parts)
        if moment.begins_day_after(self._first_ms):
            self._first_ms = None
        since_ms = self._first_ms
        happens = bool(second) and since_ms is not None and moment.time_ms - since_ms <= self._within_ms
        if happens:
            self._first_ms = None
        if first:
            self._first_ms = moment.time_ms
        return happens

    def keep(self) -> list[object]:
        """When the first happened."""
        return [self._first_ms]

    def restore(self, kept: list[object]) -> None:
        """The same."""
        (self._first_ms,) = remembered(kept, tuple[int | None])


def below(node: Node) -> list[Node]:
    """The node and all below it, each before what stands below it."""
    found = [node]
    for part in node.parts():
        found += below(part)
    return found
