"""The questions: each runs its measurements and answers with a table."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median

from bench.load import Load, LoadError, Sample, measure, most_sustained, open_load
from bench.processes import ProcessEndedError
from bench.report import Answer, Cell, medians
from bench.systems import HUB, NATS, PEER_SYSTEMS, System
from bench.workload import CROWD, ONE_CHANNEL, SPREAD, Workload

PYTHON_PEERS = frozenset({"starlette", "websockets", "python-socketio", "django-core", "django-pubsub"})


@dataclass(frozen=True)
class Options:
    """How much to measure."""

    runs: int
    window_s: float
    peers: tuple[System, ...]
    """The peers that can run here."""

    def peer(self, name: str) -> System | None:
        """The peer of that name, where it can run here and was asked for."""
        return next((system for system in self.peers if system.name == name), None)


Question = Callable[[Options], Answer]

_LOAD_COLUMNS = (
    "system",
    "offered/s",
    "delivered/s",
    "cores",
    "µs/delivery",
    "p50 ms",
    "p99 ms",
    "max ms",
    "client",
    "RSS MB",
)
_LOAD_NOTE = (
    "offered and delivered are messages times the sockets they go to; cores are the server's; client is the load"
    " client's share of its one core (near 1, the client is the limit); latency counts from when a message was due"
)


def _row(title: str, sample: Sample) -> Sequence[Cell]:
    return (
        title,
        round(sample.offered),
        round(sample.delivered),
        sample.cores,
        sample.us_per_delivery,
        sample.p50_ms,
        sample.p99_ms,
        sample.max_ms,
        sample.client_cores,
        round(sample.rss_mb),
    )


def _interleaved(
    answer: Answer, systems: Sequence[System], workload: Workload, offered: float, options: Options
) -> dict[str, Sample]:
    """The systems in turn, run after run, so that a disturbance of the machine meets all; adds a row of medians each."""
    samples: dict[str, list[Sample]] = {system.name: [] for system in systems}
    for _ in range(options.runs):
        for system in systems:
            _say(f"{system.title} at {offered:,.0f}/s")
            sample = measure(system, workload, offered, window_s=options.window_s)
            samples[system.name].append(sample)
            answer.samples.append(sample.as_json())
    middle = {name: medians(of_system) for name, of_system in samples.items()}
    for system in systems:
        answer.rows.append(_row(system.title, middle[system.name]))
    for name, sample in middle.items():
        if sample.missed:
            answer.notes.append(f"{name} conflated {sample.missed:,} messages of the probes'")
        if sample.closed:
            answer.notes.append(f"{name} closed {sample.closed} sockets")
    return middle


def _most_sustained(answer: Answer, systems: Sequence[System], workload: Workload) -> dict[str, Sample]:
    """The highest sustained rate of each system; adds a row each."""
    best: dict[str, Sample] = {}
    for system in systems:
        _say(f"{system.title}: the most that it sustains")
        try:
            sample = most_sustained(system, workload)
        except LoadError as exc:
            answer.notes.append(str(exc))
            continue
        if sample is None:
            answer.rows.append((f"{system.title}, most", None, *[None] * (len(_LOAD_COLUMNS) - 2)))
            answer.notes.append(f"{system.title} sustained no rate that was tried")
            continue
        best[system.name] = sample
        answer.rows.append(_row(f"{system.title}, most", sample))
        answer.samples.append(sample.as_json() | {"most_sustained": True})
    return best


def _and_nats(options: Options) -> list[System]:
    nats = options.peer(NATS.name)
    return [HUB, nats] if nats else [HUB]


def fanout(options: Options) -> Answer:
    """1,000 sockets × 50 of 500 symbols."""
    answer = Answer("fanout", "1,000 sockets × 50 of 500 symbols, 200-byte messages", _LOAD_COLUMNS, notes=[_LOAD_NOTE])
    hub = _interleaved(answer, _and_nats(options), SPREAD, 1_000_000, options)[HUB.name]
    best = _most_sustained(answer, [HUB, *options.peers], SPREAD)
    answer.target(
        f"≥ 1,000,000 deliveries a second in ≤ 0.65 core: {hub.delivered:,.0f} in {hub.cores:.2f}",
        reached=hub.delivered >= 0.97e6 and hub.cores <= 0.65,
    )
    python = {name: sample.delivered for name, sample in best.items() if name in PYTHON_PEERS}
    if python:
        name = max(python, key=lambda peer: python[peer])
        most = max([hub.delivered, *[best[HUB.name].delivered for _ in [0] if HUB.name in best]])
        answer.target(
            f"≥ 10 × the best Python peer: {hub.delivered / python[name]:.1f} × {name} at the set rate,"
            f" {most / python[name]:.1f} × at the most",
            reached=most >= 10 * python[name],
        )
    return answer


def channel(options: Options) -> Answer:
    """1,000 sockets on one channel."""
    answer = Answer("channel", "1,000 sockets on one channel, 200-byte messages", _LOAD_COLUMNS, notes=[_LOAD_NOTE])
    middle = _interleaved(answer, _and_nats(options), ONE_CHANNEL, 3_000_000, options)
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
    answer = Answer("latency", "latency, 1,000 sockets × 50 of 500 symbols", _LOAD_COLUMNS, notes=[_LOAD_NOTE])
    high = _interleaved(answer, _and_nats(options), SPREAD, 400_000, options)
    low = _interleaved(answer, _and_nats(options), SPREAD, 50_000, options)
    p99 = high[HUB.name].p99_ms or float("inf")
    text, reached = f"p99 ≤ 35 ms at 400,000: {p99:.1f} ms", p99 <= 35
    if NATS.name in high:
        theirs = high[NATS.name].p99_ms or float("inf")
        text, reached = f"{text}, and below nats-server's {theirs:.1f} ms", reached and p99 < theirs
    answer.target(text, reached=reached)
    p99 = low[HUB.name].p99_ms or float("inf")
    answer.target(f"p99 ≤ 6 ms at 50,000: {p99:.1f} ms", reached=p99 <= 6)
    return answer


def crowd(options: Options) -> Answer:
    """10,000 sockets that share 100,000 deliveries a second."""
    answer = Answer("crowd", "10,000 sockets, 100,000 deliveries a second", _LOAD_COLUMNS, notes=[_LOAD_NOTE])
    middle = _interleaved(answer, _and_nats(options), CROWD, 100_000, replace(options, runs=min(options.runs, 3)))
    p99 = middle[HUB.name].p99_ms or float("inf")
    answer.target(f"p99 ≤ 40 ms: {p99:.1f} ms", reached=p99 <= 40)
    return answer


_IDLE = Workload(sockets=5000, symbols=500, per_socket=1, probes=1)
_IDLE_MANY = Workload(sockets=5000, symbols=500, per_socket=50, probes=1)
_WARM_UP = Workload(sockets=100, symbols=500, per_socket=1, probes=1)


def memory(options: Options) -> Answer:
    """The memory of an idle, authenticated, subscribed connection."""
    answer = Answer(
        "memory",
        "memory of an idle, authenticated, subscribed connection (5,000 of them)",
        ("system", "channels each", "RSS before MB", "RSS after MB", "KB a connection"),
        notes=[
            "resident memory of the server process after garbage collection; the kernel's socket buffers are not in it"
        ],
    )
    compared = [peer for name in ("starlette", "websockets", "socketio-node", "nats") if (peer := options.peer(name))]
    for system, workload in [(HUB, _IDLE), (HUB, _IDLE_MANY), *[(peer, _IDLE) for peer in compared]]:
        _say(f"{system.title}: 5,000 idle connections, {workload.per_socket} channels each")
        kilobytes = _connection_kilobytes(answer, system, workload)
        if system is HUB and workload is _IDLE:
            answer.target(f"≤ 20 KB: {kilobytes:.1f} KB", reached=kilobytes <= 20)
    return answer


def _connection_kilobytes(answer: Answer, system: System, workload: Workload) -> float:
    with system.running(workload) as running:
        with open_load(system, _WARM_UP, running=running):
            pass
        with open_load(
            system, replace(workload, sockets=workload.symbols // workload.per_socket), running=running
        ) as load:
            time.sleep(0.5)
            before = load.collect_garbage().rss_bytes
            extra = load.workload.sockets
        with open_load(system, workload, running=running) as load:
            time.sleep(0.5)
            after = load.collect_garbage().rss_bytes
    kilobytes = (after - before) / (workload.sockets - extra) / 1024
    answer.rows.append((system.title, workload.per_socket, before / 1e6, after / 1e6, kilobytes))
    return kilobytes


_NEWCOMERS = Workload(sockets=2000, symbols=500, per_socket=1, probes=1)


def handshakes(options: Options) -> Answer:
    """Handshakes a second: connect, token check, welcome, subscribed."""
    answer = Answer(
        "handshakes",
        "handshakes a second: connect, check the token, welcome, subscribed (2,000 connections, 64 under way)",
        ("system", "handshakes/s", "server cores"),
        notes=["median of the runs; the peers' token check is a comparison of two texts, the hub's a signature"],
    )
    compared = [peer for name in ("starlette", "websockets", "socketio-node", "nats") if (peer := options.peer(name))]
    for system in [HUB, *compared]:
        _say(f"{system.title}: handshakes")
        rates, cores = zip(*[_handshake_rate(system) for _ in range(options.runs)], strict=True)
        answer.rows.append((system.title, median(rates), median(cores)))
        if system is HUB:
            answer.target(f"≥ 1,500 a second: {median(rates):,.0f}", reached=median(rates) >= 1500)
    return answer


def _handshake_rate(system: System) -> tuple[float, float]:
    with system.running(_NEWCOMERS) as running:
        with open_load(system, _WARM_UP, running=running):
            pass
        before = running.server.usage()
        with open_load(system, _NEWCOMERS, running=running) as load:
            cpu_s = running.server.usage().cpu_s - before.cpu_s
            seconds = load.opened["seconds"]
    return _NEWCOMERS.sockets / seconds, cpu_s / seconds


_STALLED_SHARE = 0.05
_STALL_RATE = 400_000.0
_STALL_WINDOW_S = 2.0
_STALL_PATIENCE_S = 90.0


def stalled(options: Options) -> Answer:
    """5 % of the sockets stop reading and never read again."""
    answer = Answer(
        "stalled",
        f"5 % of 1,000 sockets stop reading, at {_STALL_RATE:,.0f} deliveries a second",
        ("second", "sockets at the server", "p50 ms", "p99 ms", "cores", "RSS MB"),
    )
    count = int(SPREAD.sockets * _STALLED_SHARE)
    with open_load(HUB, SPREAD) as load:
        load.rate(_STALL_RATE)
        time.sleep(2.0)
        healthy_files = load.running.server.open_files()
        before = [_stall_window(answer, load, began=None) for _ in range(5)]
        began = time.monotonic()
        load.client.ask(stall=count)
        after, dropped_s = [], None
        while time.monotonic() - began < (_STALL_PATIENCE_S if dropped_s is None else dropped_s + 6):
            after.append(_stall_window(answer, load, began=began))
            if dropped_s is None and load.running.server.open_files() <= healthy_files - count:
                dropped_s = time.monotonic() - began
    was, became = (median(sample.p99_ms or 0 for sample in samples) for samples in (before, after))
    answer.target(
        f"the others' p99 changes by < 10 %: {was:.1f} ms before, {became:.1f} ms after, {(became / was - 1) * 100:+.0f} %",
        reached=became < 1.1 * was,
    )
    growth = max(sample.rss_mb for sample in after) - before[-1].rss_mb
    answer.target(
        f"memory stays bounded: at most {growth:+.0f} MB, {growth / count:.2f} MB a stalled socket",
        reached=growth < 100,
    )
    answer.target(
        f"the stalled sockets are gone: {f'after {dropped_s:.0f} s' if dropped_s else f'not within {_STALL_PATIENCE_S:.0f} s'}",
        reached=dropped_s is not None,
    )
    answer.notes.append(
        f"medians of {_STALL_WINDOW_S:.0f}-second windows; of the stalled sockets none ever reads again"
    )
    return answer


def _stall_window(answer: Answer, load: Load, *, began: float | None) -> Sample:
    sample = load.sample(_STALL_RATE, _STALL_WINDOW_S)
    second = "before" if began is None else f"{time.monotonic() - began:.0f}"
    files = load.running.server.open_files()
    answer.rows.append((second, files, sample.p50_ms, sample.p99_ms, sample.cores, sample.rss_mb))
    answer.samples.append(sample.as_json())
    return sample


def _say(text: str) -> None:
    print(f"  … {text}", flush=True)
