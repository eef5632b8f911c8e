"""How many messages reach how many sockets, how fast, and at what cost."""

from collections.abc import Sequence
from dataclasses import replace

from bench.load import LoadError, Sample, most_sustained
from bench.questions.asking import LOAD_COLUMNS, LOAD_NOTE, Options, load_row, say, side_by_side
from bench.report import Answer
from bench.systems import HUB, NATS, System
from bench.workload import CROWD, ONE_CHANNEL, SPREAD, Workload

PYTHON_PEERS = frozenset({"starlette", "websockets", "python-socketio", "django-core", "django-pubsub"})


def fanout(options: Options) -> Answer:
    """1,000 sockets, each on 50 of 500 symbols."""
    answer = Answer("fanout", "1,000 sockets, each on 50 of 500 symbols; 200-byte messages", LOAD_COLUMNS)
    answer.notes.append(LOAD_NOTE)
    hub = side_by_side(answer, options.hub_and_nats(), SPREAD, 1_000_000, options)[HUB.name]
    best = _most_sustained(answer, [HUB, *options.peers], SPREAD)
    answer.target(
        f"≥ 1,000,000 deliveries a second in ≤ 0.65 core: {hub.delivered:,.0f} in {hub.cores:.2f}",
        reached=hub.delivered >= 0.97e6 and hub.cores <= 0.65,
    )
    python = {name: sample.delivered for name, sample in best.items() if name in PYTHON_PEERS}
    if python:
        name = max(python, key=lambda peer: python[peer])
        ratio = max(hub.delivered, best[HUB.name].delivered if HUB.name in best else 0.0) / python[name]
        answer.target(f"≥ 10 times the best Python peer: {ratio:.1f} times {name}", reached=ratio >= 10)
    return answer


def channel(options: Options) -> Answer:
    """1,000 sockets on one channel."""
    answer = Answer("channel", "1,000 sockets on one channel; 200-byte messages", LOAD_COLUMNS, notes=[LOAD_NOTE])
    middle = side_by_side(answer, options.hub_and_nats(), ONE_CHANNEL, 3_000_000, options)
    _most_sustained(answer, [HUB, *options.peers], ONE_CHANNEL)
    hub = middle[HUB.name]
    answer.target(f"≥ 3,000,000 deliveries a second: {hub.delivered:,.0f}", reached=hub.delivered >= 0.97 * 3e6)
    if NATS.name in middle:
        mine, theirs = hub.us_per_delivery, middle[NATS.name].us_per_delivery
        answer.target(
            f"less CPU a delivery than nats-server: {mine or 0:.3f} µs, nats-server {theirs or 0:.3f} µs",
            reached=bool(mine and theirs and mine < theirs),
        )
    return answer


def latency(options: Options) -> Answer:
    """Latency at 400,000 and at 50,000 deliveries a second."""
    answer = Answer("latency", "latency; 1,000 sockets, each on 50 of 500 symbols", LOAD_COLUMNS, notes=[LOAD_NOTE])
    high = side_by_side(answer, options.hub_and_nats(), SPREAD, 400_000, options)
    low = side_by_side(answer, options.hub_and_nats(), SPREAD, 50_000, options)
    p99_ms = high[HUB.name].p99_ms or float("inf")
    text, reached = f"p99 ≤ 35 ms at 400,000: {p99_ms:.1f} ms", p99_ms <= 35
    if NATS.name in high:
        theirs_ms = high[NATS.name].p99_ms or float("inf")
        text, reached = f"{text}, and below nats-server's {theirs_ms:.1f} ms", reached and p99_ms < theirs_ms
    answer.target(text, reached=reached)
    p99_ms = low[HUB.name].p99_ms or float("inf")
    answer.target(f"p99 ≤ 6 ms at 50,000: {p99_ms:.1f} ms", reached=p99_ms <= 6)
    return answer


def crowd(options: Options) -> Answer:
    """10,000 sockets that share 100,000 deliveries a second."""
    answer = Answer("crowd", "10,000 sockets, each on 50 of 500 symbols; 100,000 deliveries a second", LOAD_COLUMNS)
    answer.notes.append(LOAD_NOTE)
    middle = side_by_side(answer, options.hub_and_nats(), CROWD, 100_000, replace(options, runs=min(options.runs, 3)))
    p99_ms = middle[HUB.name].p99_ms or float("inf")
    answer.target(f"p99 ≤ 40 ms: {p99_ms:.1f} ms", reached=p99_ms <= 40)
    return answer


def _most_sustained(answer: Answer, systems: Sequence[System], workload: Workload) -> dict[str, Sample]:
    """The sample at the highest rate that each system sustains, a row each."""
    best: dict[str, Sample] = {}
    for system in systems:
        say(f"{system.title}: the most that it sustains")
        try:
            sample = most_sustained(system, workload)
        except LoadError as exc:
            answer.notes.append(str(exc))
            continue
        if sample is None:
            answer.notes.append(f"{system.title} sustained none of the rates that were tried")
            continue
        best[system.name] = sample
        answer.rows.append(load_row(f"{system.title}, most", sample))
        answer.samples.append(sample.as_json() | {"most_sustained": True})
    return best
