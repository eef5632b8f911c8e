"""Answers as tables on the terminal and as JSON in `bench/results/`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.load import Sample

RESULTS = Path(__file__).parent / "results"

Cell = str | int | float | None


@dataclass
class Answer:
    """One question's table. `targets` says what was to be reached and whether it was; `notes` what to know."""

    question: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list)
    targets: list[tuple[str, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def target(self, text: str, *, reached: bool) -> None:
        """Say whether something that was to be reached was reached."""
        self.targets.append((text, reached))

    def text(self) -> str:
        """The table as it is printed."""
        cells = [list(self.columns), *[[_text(cell) for cell in row] for row in self.rows]]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self.columns))]
        lines = [_line(row, widths) for row in cells]
        lines.insert(1, "  ".join("-" * width for width in widths))
        lines += [f"{'reached' if reached else 'MISSED '}  {text}" for text, reached in self.targets]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join([f"\n## {self.title}\n", *lines])

    def as_json(self) -> dict[str, Any]:
        """Plain data for the results file."""
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "targets": [{"text": text, "reached": reached} for text, reached in self.targets],
            "notes": self.notes,
            "samples": self.samples,
        }


def medians(samples: Sequence[Sample]) -> Sample:
    """The median of each figure over several runs; what must not happen (missed, closed) is summed instead."""
    first = samples[0]
    return Sample(
        system=first.system,
        offered=first.offered,
        delivered=median(sample.delivered for sample in samples),
        cores=median(sample.cores for sample in samples),
        waiting=median(sample.waiting for sample in samples),
        client_waiting=median(sample.client_waiting for sample in samples),
        client_cores=median(sample.client_cores for sample in samples),
        rss_mb=median(sample.rss_mb for sample in samples),
        p50_ms=_median_of([sample.p50_ms for sample in samples]),
        p99_ms=_median_of([sample.p99_ms for sample in samples]),
        max_ms=_median_of([sample.max_ms for sample in samples]),
        message_bytes=median(sample.message_bytes for sample in samples),
        missed=sum(sample.missed for sample in samples),
        closed=sum(sample.closed for sample in samples),
    )


def _median_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def save(answers: Sequence[Answer], machine: dict[str, Any], versions: dict[str, str], *, failed: list[str]) -> Path:
    """Write all answers into one file, named by the time."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    content = {
        "time": now.isoformat(),
        "machine": machine,
        "versions": versions,
        "failed": failed,
        "answers": {answer.question: answer.as_json() for answer in answers},
    }
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return "-"
        case str():
            return cell
        case int():
            return f"{cell:,}"
        case float():
            decimals = 0 if abs(cell) >= 100 else 1 if abs(cell) >= 10 else 2
            return f"{cell:,.{decimals}f}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)])
