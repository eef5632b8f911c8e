"""What a connection costs: to open, to keep, and when its peer stops reading."""

import time
from dataclasses import replace
from statistics import median

from bench.load import Load, Sample, open_load
from bench.questions.asking import Options, say
from bench.report import Answer
from bench.systems import HUB, Running, System
from bench.workload import SPREAD, Workload

_COMPARED = ("starlette", "websockets", "socketio-node", "nats")

_IDLE = Workload(sockets=5000, symbols=500, per_socket=1, probes=1)
_IDLE_MANY = Workload(sockets=5000, symbols=500, per_socket=50, probes=1)
_WARM_UP = Workload(sockets=100, symbols=500, per_socket=1, probes=1)


def memory(options: Options) -> Answer:
    """The memory of an idle, authenticated, subscribed connection."""
    answer = Answer(
        "memory",
        "memory of an idle, authenticated, subscribed connection (5,000 of them)",
        ("system", "channels each", "RSS before MB", "RSS after MB", "KB a connection"),
        notes=["resident memory of the server after a garbage collection; the kernel's socket buffers are not in it"],
    )
    for system, workload in [(HUB, _IDLE_MANY), *[(system, _IDLE) for system in options.named(*_COMPARED)]]:
        say(f"{system.title}: 5,000 idle connections, channels each: {workload.per_socket}")
        kilobytes = _connection_kilobytes(answer, system, workload)
        if system is HUB and workload is _IDLE:
            answer.target(f"≤ 20 KB: {kilobytes:.1f} KB", reached=kilobytes <= 20)
    return answer


def _connection_kilobytes(answer: Answer, system: System, workload: Workload) -> float:
    with system.running(workload) as running:
        with open_load(system, _WARM_UP, running=running):
            pass
        few = replace(workload, sockets=workload.symbols // workload.per_socket)  # each channel once
        before, after = (_resident_bytes(system, size, running) for size in (few, workload))
    kilobytes = (after - before) / (workload.sockets - few.sockets) / 1024
    answer.rows.append((system.title, workload.per_socket, before / 1e6, after / 1e6, kilobytes))
    return kilobytes


def _resident_bytes(system: System, workload: Workload, running: Running) -> int:
    with open_load(system, workload, running=running) as load:
        time.sleep(0.5)  # what a handshake leaves behind is let go by then
        return load.collect_garbage().rss_bytes


_NEWCOMERS = Workload(sockets=2000, symbols=500, per_socket=1, probes=1)


def handshakes(options: Options) -> Answer:
    """Handshakes a second: connect, token check, welcome, subscribed."""
    answer = Answer(
        "handshakes",
        "handshakes a second: connect, check the token, welcome, subscribed (2,000 connections, 64 under way)",
        ("system", "handshakes/s", "server cores"),
        notes=["median of the runs; the peers' token check is a comparison of two texts, the hub's a signature"],
    )
    for system in options.named(*_COMPARED):
        say(f"{system.title}: handshakes")
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
    _judge(answer, before, after, count=count, dropped_s=dropped_s)
    return answer


def _judge(answer: Answer, before: list[Sample], after: list[Sample], *, count: int, dropped_s: float | None) -> None:
    was, became = (median(sample.p99_ms or 0 for sample in samples) for samples in (before, after))
    change = (became / was - 1) * 100
    answer.target(
        f"the others' p99 changes by < 10 %: {was:.1f} ms before, {became:.1f} ms after, {change:+.0f} %",
        reached=change < 10,
    )
    growth = max(sample.rss_mb for sample in after) - before[-1].rss_mb
    answer.target(
        f"memory stays bounded: at most {growth:+.0f} MB, {growth / count:.2f} MB a stalled socket",
        reached=growth < 100,
    )
    when = f"after {dropped_s:.0f} s" if dropped_s is not None else f"not within {_STALL_PATIENCE_S:.0f} s"
    answer.target(f"the stalled sockets are gone: {when}", reached=dropped_s is not None)
    answer.notes.append(f"medians of {_STALL_WINDOW_S:.0f}-second windows; the stalled sockets never read again")


def _stall_window(answer: Answer, load: Load, *, began: float | None) -> Sample:
    sample = load.sample(_STALL_RATE, _STALL_WINDOW_S)
    second = "before" if began is None else f"{time.monotonic() - began:.0f}"
    files = load.running.server.open_files()
    answer.rows.append((second, files, sample.p50_ms, sample.p99_ms, sample.cores, sample.rss_mb))
    answer.samples.append(sample.as_json())
    return sample
