"""The engine fires what an evaluator fires that has no index, no memory and nothing to restore."""

from dataclasses import dataclass, field

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from notifiers.engine.engine import Engine
from notifiers.engine.samples import Firing, Rule
from schemas.market import Tick
from tests.notifiers.engine.naive import Advance, Drop, Event, Put, Sample, expected, received_at
from tests.notifiers.engine.worlds import histories


@dataclass
class Database:
    """What is stored of rules and sources: the rows, as firings change them."""

    rules: dict[int, Rule] = field(default_factory=dict)
    tracks: dict[str, bytes] = field(default_factory=dict)

    def note(self, event: Event, engine: Engine) -> None:
        """What the owner does."""
        match event:
            case Put(rule):
                if rule.id not in engine or self.rules[rule.id].version < rule.version:
                    self.rules[rule.id] = rule
            case Drop(number):
                self.rules.pop(number, None)

    def store(self, engine: Engine, firings: list[Firing]) -> None:
        """What the engine does."""
        self.rules = {number: rule for number, rule in self.rules.items() if number in engine}
        for firing in firings:
            if firing.suppressed is None and firing.rule in self.rules:
                rule = self.rules[firing.rule]
                self.rules[firing.rule] = msgspec.structs.replace(rule, fired=firing.number, last_fired_ms=firing.at_ms)
        kept = engine.kept()
        self.tracks.update(kept.tracks)
        for number, state in kept.rules.items():
            if number in self.rules:
                self.rules[number] = msgspec.structs.replace(self.rules[number], state=state)

    def engine(self) -> Engine:
        """Another engine that goes on from there."""
        engine = Engine()
        for text, state in self.tracks.items():
            engine.restore_track(text, state)
        for rule in reversed(self.rules.values()):
            engine.put(rule)
        return engine


def happen(engine: Engine, event: Event) -> list[Firing]:
    match event:
        case Put(rule):
            engine.put(rule)
        case Drop(number):
            engine.drop(number)
        case Sample(sample, number):
            take = engine.take if isinstance(sample, Tick) else engine.take_bar
            return take(sample, number, received_at(sample))  # type: ignore[operator]
        case Advance(now_ms):
            return engine.advance(now_ms)
    return []


@given(histories())
def test_the_engine_fires_what_the_naive_one_fires(events: list[Event]) -> None:
    engine = Engine()
    assert [happen(engine, event) for event in events] == expected(events)


@given(histories(), st.lists(st.integers(0, 50), max_size=4), st.integers(0, 8))
def test_another_engine_goes_on_as_if_nothing_had_happened(events: list[Event], stops: list[int], again: int) -> None:
    """Also where samples from before it took over come once more."""
    engine, database = Engine(), Database()
    answer = []
    for place, event in enumerate(events):
        if place in stops:
            engine = database.engine()
            for old in events[max(0, place - again) : place]:
                if isinstance(old, Sample):
                    assert happen(engine, old) == []
        database.note(event, engine)
        fired = happen(engine, event)
        answer.append(fired)
        database.store(engine, fired)
    uninterrupted = Engine()
    assert msgspec.json.encode(answer) == msgspec.json.encode([happen(uninterrupted, event) for event in events])
