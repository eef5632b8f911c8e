"""What all questions share: how much to measure, and the rows of a table about load."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.load import Sample, measure
from bench.report import Answer, Cell, medians
from bench.systems import HUB, NATS, System
from bench.workload import Workload


@dataclass(frozen=True)
class Options:
    """How much to measure."""

    runs: int
    window_s: float
    peers: tuple[System, ...]
    """The peers that can run here."""

    def named(self, *names: str) -> list[System]:
        """The hub, and those of the named peers that can run here and were asked for."""
        return [HUB, *(system for system in self.peers if system.name in names)]

    def hub_and_nats(self) -> list[System]:
        """The hub and its strongest peer."""
        return self.named(NATS.name)


Question = Callable[[Options], Answer]

LOAD_COLUMNS = (
    "system",
    "offered/s",
    "delivered/s",
    "cores",
    "µs/delivery",
    "p50 ms",
    "p99 ms",
    "max ms",
    "waiting",
    "client",
    "RSS MB",
)
LOAD_NOTE = (
    "offered and delivered are messages times the sockets they go to; cores are the server's; waiting is the time in"
    " which it could have run and no core was free (far above 0 with cores below 1: something else kept the machine"
    " busy); client is the load client's share of its one core; latency counts from when a message was due"
)


def load_row(title: str, sample: Sample) -> Sequence[Cell]:
    """The sample under LOAD_COLUMNS."""
    return (
        title,
        round(sample.offered),
        round(sample.delivered),
        sample.cores,
        sample.us_per_delivery,
        sample.p50_ms,
        sample.p99_ms,
        sample.max_ms,
        sample.waiting,
        sample.client_cores,
        round(sample.rss_mb),
    )


def side_by_side(
    answer: Answer, systems: Sequence[System], workload: Workload, offered: float, options: Options
) -> dict[str, Sample]:
    """The medians of each system at one rate, a row each.

    The systems take turns, run after run, so that a disturbance of the machine meets all of them.
    """
    samples: dict[str, list[Sample]] = {system.name: [] for system in systems}
    for _ in range(options.runs):
        for system in systems:
            say(f"{system.title} at {offered:,.0f}/s")
            sample = measure(system, workload, offered, window_s=options.window_s)
            samples[system.name].append(sample)
            answer.samples.append(sample.as_json())
    middle = {name: medians(of_system) for name, of_system in samples.items()}
    for system in systems:
        sample = middle[system.name]
        answer.rows.append(load_row(system.title, sample))
        if sample.missed:
            answer.notes.append(
                f"{system.title} at {offered:,.0f}: {sample.missed:,} of the probes' messages conflated"
            )
        if sample.closed:
            answer.notes.append(f"{system.title} at {offered:,.0f}: {sample.closed} sockets closed by the server")
    return middle


def say(text: str) -> None:
    """Tell whoever waits what is being measured."""
    print(f"  … {text}", flush=True)
