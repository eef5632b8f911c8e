"""What the whole way of a price costs in the role `feeds`, from a vendor's socket to the broker."""

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.processes import Process, ProcessEndedError, free_port, started
from bench.questions.asking import Options, say
from bench.report import Answer

_INSTRUMENTS = 3_000
_PACKETS_PER_S = 100_000
_SECONDS = 8
_PARTS = ("decoding", "gate", "candles", "publisher", "closing candles")
_REST = "socket, frames, loop"
_DRAIN_S = 20.0


@dataclass(frozen=True)
class _Run:
    """One run: what went through, and the CPU that it took by part, in seconds."""

    packets_per_s: float
    seconds: float
    packets: int
    refused: int
    candles: int
    longest_ms: int
    waiting: float
    cpu_s: dict[str, float]

    @property
    def cores(self) -> float:
        """Of the feeds process."""
        return self.cpu_s["together"] / self.seconds


def pipeline(options: Options) -> Answer:
    """Kite quotes from the socket to the broker: runner, gate, candles, publisher in one core."""
    answer = Answer(
        "pipeline",
        f"{_PACKETS_PER_S:,} Kite quotes a second of {_INSTRUMENTS:,} instruments, from the socket to the broker",
        ("part", f"µs/packet at {_PACKETS_PER_S:,}/s", "cores", "µs/packet at full speed", "share"),
    )
    steady, flood = [], []
    for _ in range(options.runs):
        say(f"{_PACKETS_PER_S:,} packets/s")
        steady.append(_measure(_PACKETS_PER_S))
        say("as fast as possible")
        flood.append(_measure(0))
    for part in (*_PARTS, _REST, "together"):
        cpu_us = median(run.cpu_s[part] / run.packets for run in steady) * 1e6
        full_us = median(run.cpu_s[part] / run.packets for run in flood) * 1e6
        share = full_us / median(run.cpu_s["together"] / run.packets for run in flood) / 1e4
        cores = median(run.cpu_s[part] / run.seconds for run in steady)
        answer.rows.append((part, cpu_us, f"{cores:.3f}", full_us, f"{share:.0f} %"))
    answer.samples += [vars(run) for run in (*steady, *flood)]
    _judge(answer, steady, flood)
    return answer


def _judge(answer: Answer, steady: list[_Run], flood: list[_Run]) -> None:
    rate, cores = median(run.packets_per_s for run in steady), median(run.cores for run in steady)
    answer.target(
        f"{_PACKETS_PER_S:,} packets a second in one core: {rate:,.0f} in {cores:.2f}",
        reached=rate >= 0.97 * _PACKETS_PER_S and cores <= 1,
    )
    most = median(run.packets_per_s for run in flood)
    longest_ms, waiting = median(run.longest_ms for run in steady), median(run.waiting for run in steady)
    refused = sum(run.refused for run in (*steady, *flood))
    answer.notes += [
        f"as fast as possible: {most:,.0f} packets a second",
        f"from reading to the broker a batch took at most {longest_ms:.0f} ms, while an hour ended",
        f"{steady[0].candles:,} candles were published meanwhile: all that end with the hour, and forming ones",
        f"the process waited for a core {waiting:.0%} of the time; {refused} packets were refused",
        "frames of 100 packets from a process of its own; the broker is in memory, and nobody listens",
    ]


def _measure(rate: float) -> _Run:
    packets = _PACKETS_PER_S * _SECONDS
    with ExitStack() as stack:
        port = free_port()
        command = [sys.executable, "-m", "bench.packet_sender", str(port), str(_INSTRUMENTS), str(packets)]
        sender = stack.enter_context(started("packet_sender", command))
        sender.wait_for_port(port, within_s=60)
        command = [sys.executable, "-m", "bench.feeds_process", f"ws://127.0.0.1:{port}", str(_INSTRUMENTS)]
        feeds = stack.enter_context(started("feeds_process", command))
        feeds.answer(within_s=30)
        before, usage, began = feeds.ask(), feeds.usage(), time.monotonic()
        sender.ask(rate=rate, within_s=120)
        after = _all_through(feeds, packets)
        took_s, waiting = time.monotonic() - began, feeds.usage().waiting_since(usage)
    cpu_s = {part: after["seconds"].get(part, 0) - before["seconds"].get(part, 0) for part in (*_PARTS, "together")}
    cpu_s[_REST] = cpu_s["together"] - sum(cpu_s[part] for part in _PARTS)
    return _Run(
        packets_per_s=packets / took_s,
        seconds=took_s,
        packets=packets,
        refused=after["refused"],
        candles=after["candles"] - before["candles"],
        longest_ms=after["longest_ms"],
        waiting=waiting,
        cpu_s=cpu_s,
    )


def _all_through(feeds: Process, packets: int) -> dict[str, Any]:
    """The counts once all packets are through. Raises ProcessEndedError where they don't come."""
    deadline = time.monotonic() + _DRAIN_S
    while (counts := feeds.ask())["packets"] < packets:
        if time.monotonic() > deadline:
            raise ProcessEndedError(f"{counts['packets']:,} of {packets:,} packets came through")
        time.sleep(0.02)
    return counts
