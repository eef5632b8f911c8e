"""What a million alerts cost: loading them, the ticks that fire none, a tick that fires thousands."""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import median

import msgspec

from bench.questions.asking import Options, say
from bench.report import Answer
from notifiers.conditions.options import Baseline, Frequency
from notifiers.conditions.options import Options as AlertOptions
from notifiers.conditions.tree import Compare, Condition, Cross, Field, Move, Number
from notifiers.engine.engine import Engine
from notifiers.engine.samples import Rule
from schemas.market import PRICE_SCALE, MarketPayload, MarketState, Tick, tick_of, tick_payload

_RULES = 1_000_000
_INSTRUMENTS = 2_000
_FIRING = 20_000
_BUSY = 20_000
"""Rules that can't be indexed."""
_MOST_BYTES = 500
_LEAST_TICKS_PER_S = 50_000
_LOAD_S = 30.0
_NOW_MS = 1_795_405_500_000
_PRICE = 1_000
_SEEN = msgspec.msgpack.encode([])
"""What is stored of a plain rule that has begun."""
_OWNED = AlertOptions()
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def alerts(options: Options) -> Answer:
    """A million alerts over 2,000 instruments in one engine."""
    answer = Answer(
        "alerts",
        f"{_RULES:,} alerts over {_INSTRUMENTS:,} instruments, one engine, one core",
        ("part", "per second", "µs each", "all of it, s"),
    )
    engine = Engine()
    _load(engine, answer)
    _quiet_ticks(engine, options, answer)
    del engine
    gc.unfreeze()
    gc.collect()
    _fire_at_once(options, answer)
    _unindexed(options, answer)
    answer.notes += [
        "CPU time of one process; rules compare the price with a constant or wait for a crossing, half each",
        "a quiet tick stays between the thresholds that are nearest to it, as nearly all do; it brings 12 figures",
        "put includes making the rule; what is read from the database is decoded besides",
        "bytes a rule: growth of the process's memory, rules in the engine, after what was read has been let go",
    ]
    return answer


# -- loading --------------------------------------------------------------------------------------------------------


def _load(engine: Engine, answer: Answer) -> None:
    say(f"loading {_RULES:,} rules")
    before, began = _rss(), time.process_time()
    for rule in _plain_rules(_RULES, _INSTRUMENTS, state=_SEEN):
        engine.put(rule)
    put_s = time.process_time() - began
    for place in range(_INSTRUMENTS):  # sorts what was put
        engine.take(_tick(place, _PRICE * PRICE_SCALE, 0), 1, _NOW_MS)
    load_s = time.process_time() - began
    gc.collect()
    size = (_rss() - before) / _RULES
    gc.freeze()
    answer.rows.append(("put", _RULES / put_s, put_s / _RULES * 1e6, put_s))
    answer.rows.append(("put, and first ticks", _RULES / load_s, load_s / _RULES * 1e6, load_s))
    answer.samples.append({"put_s": put_s, "load_s": load_s, "bytes_a_rule": size})
    answer.target(f"loaded in < {_LOAD_S:g} s (the database's part apart): {load_s:.1f}", reached=load_s < _LOAD_S)
    answer.target(f"≤ {_MOST_BYTES} bytes a rule: {size:.0f}", reached=size <= _MOST_BYTES)


def _plain_rules(count: int, instruments: int, *, state: bytes | None) -> Iterator[Rule]:
    random = Random(1)
    for number in range(count):
        price = round(_PRICE * (1 + random.choice((-1, 1)) * random.uniform(0.001, 0.2)), 2)
        yield Rule(
            id=number + 1,
            version=1,
            exchange="NSE",
            symbol=_symbol(number % instruments),
            tree=_plain(price, crosses=number % 2 == 0),
            options=_OWNED,
            baseline=Baseline(price=_PRICE * PRICE_SCALE, time_ms=_NOW_MS) if state is None else None,
            created_at_ms=_NOW_MS,
            state=state,
        )


def _plain(price: float, *, crosses: bool) -> Condition:
    above = price > _PRICE
    if crosses:
        return Cross(left=Field(name="price"), right=Number(value=price), direction="above" if above else "below")
    return Compare(left=Field(name="price"), op=">" if above else "<", right=Number(value=price))


def _symbol(place: int) -> str:
    return f"STOCK{place}"


def _rss() -> int:
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) * 1024


# -- ticks that fire nothing ----------------------------------------------------------------------------------------


def _quiet_ticks(engine: Engine, options: Options, answer: Answer) -> None:
    say("ticks that fire nothing")
    number, rates, decoded_rates = 2, [], []
    count = round(100_000 * options.window_s / 4)
    for _ in range(options.runs):
        rates.append(_rate(engine, _quiet(count, number), number))
        number += count
        decoded_rates.append(_decoded_rate(engine, _quiet(count, number), number))
        number += count
    if engine.counters.accepted != number - 2 + _INSTRUMENTS:
        raise AssertionError("some ticks were dropped")
    for title, figures in (("ticks, none fires", rates), ("the same, decoded from JSON first", decoded_rates)):
        rate = median(figures)
        answer.rows.append((title, round(rate), 1e6 / rate, count / rate))
        answer.samples.append({"part": title, "per_second": figures})
        answer.target(f"≥ {_LEAST_TICKS_PER_S:,} {title}: {rate:,.0f}", reached=rate >= _LEAST_TICKS_PER_S)


def _quiet(count: int, number: int) -> list[Tick]:
    random = Random(number)
    return [
        _tick(random.randrange(_INSTRUMENTS), round(_PRICE * random.uniform(0.9991, 1.0009) * PRICE_SCALE), place)
        for place in range(number, number + count)
    ]


def _rate(engine: Engine, ticks: list[Tick], number: int) -> float:
    began = time.process_time()
    for place, tick in enumerate(ticks, number):
        if engine.take(tick, place, tick.time_ms):
            raise AssertionError("a quiet tick fires")
    return len(ticks) / (time.process_time() - began)


def _decoded_rate(engine: Engine, ticks: list[Tick], number: int) -> float:
    decode = msgspec.json.Decoder(MarketPayload).decode
    payloads = [(tick.symbol, tick.time_ms, tick_payload(tick)) for tick in ticks]
    began = time.process_time()
    for place, (symbol, time_ms, payload) in enumerate(payloads, number):
        engine.take(tick_of(decode(payload), "NSE", symbol, time_ms), place, time_ms)
    return len(ticks) / (time.process_time() - began)


def _tick(place: int, price: int, number: int) -> Tick:
    return Tick(
        "NSE",
        _symbol(place),
        price,
        _NOW_MS + number // 20,
        MarketState.CONTINUOUS,
        open=_PRICE * PRICE_SCALE,
        high=round(_PRICE * 1.00095) * PRICE_SCALE,
        low=round(_PRICE * 0.99905) * PRICE_SCALE,
        close=_PRICE * PRICE_SCALE,
        volume=1_000 + number,
        bid=price - PRICE_SCALE // 20,
        ask=price + PRICE_SCALE // 20,
        last_quantity=25,
    )


# -- ticks that do --------------------------------------------------------------------------------------------------


def _fire_at_once(options: Options, answer: Answer) -> None:
    say(f"{_FIRING:,} rules that fire on one tick")
    took = []
    for _ in range(options.runs):
        engine = Engine()
        for rule in _plain_rules(_FIRING, 1, state=None):
            engine.put(msgspec.structs.replace(rule, tree=_plain(_PRICE + 1, crosses=rule.id % 2 == 0)))
        engine.take(_tick(0, _PRICE * PRICE_SCALE, 0), 1, _NOW_MS)
        began = time.process_time()
        fired = engine.take(_tick(0, (_PRICE + 2) * PRICE_SCALE, 1), 2, _NOW_MS)
        took.append(time.process_time() - began)
        if len(fired) != _FIRING:
            raise AssertionError(f"{len(fired)} fired")
    one = median(took)
    answer.rows.append((f"{_FIRING:,} firings on one tick", round(_FIRING / one), one / _FIRING * 1e6, one))
    answer.samples.append({"part": "firing at once", "seconds": took})


def _unindexed(options: Options, answer: Answer) -> None:
    say("rules that are evaluated with every tick")
    instruments = 200
    engine = Engine()
    often = AlertOptions(frequency=Frequency.EVERY)
    for number in range(_BUSY):
        symbol = _symbol(number % instruments)
        tree = Move(value=Field(name="price"), amount=50, percent=True, within_s=60)
        engine.put(Rule(id=number + 1, version=1, exchange="NSE", symbol=symbol, tree=tree, options=often))
    count = round(2_000 * options.window_s / 4)
    random = Random(3)
    ticks = [
        _tick(random.randrange(instruments), round(_PRICE * random.uniform(0.999, 1.001) * PRICE_SCALE), number)
        for number in range(count)
    ]
    began = time.process_time()
    for number, tick in enumerate(ticks, 1):
        engine.take(tick, number, _NOW_MS)
    took = time.process_time() - began
    evaluated = engine.counters.evaluated
    answer.rows.append(
        (f"evaluations of movements, {_BUSY // instruments} a tick", evaluated / took, took / evaluated * 1e6, took)
    )
    answer.samples.append({"part": "unindexed", "evaluations_per_second": evaluated / took})
