"""Requests over HTTP: what to ask, by which client, and what one window of it says of the server."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request as UrlRequest
from urllib.request import urlopen

from bench.http_client import Plan
from bench.load import LoadError
from bench.processes import Process, started
from bench.systems import Running

_SCRIPT = Path(__file__).parent / "wrk.lua"


@dataclass(frozen=True)
class Asked:
    """One request under `/api/v1`."""

    path: str
    bearer: str = ""
    body: dict[str, Any] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What it says of itself besides the host."""
        authorization = {"Authorization": f"Bearer {self.bearer}"} if self.bearer else {}
        return authorization | ({} if self.body is None else {"Content-Type": "application/json"})

    def text(self, port: int) -> str:
        """The request as it stands on the wire."""
        body = "" if self.body is None else json.dumps(self.body)
        method = "GET" if self.body is None else "POST"
        headers = {"Host": f"127.0.0.1:{port}"} | self.headers | ({"Content-Length": str(len(body))} if body else {})
        lines = [f"{method} /api/v1{self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", body])

    def answer(self, port: int) -> dict[str, Any]:
        """Ask once; the answer's `data`. Raises LoadError for a refusal."""
        data = None if self.body is None else json.dumps(self.body).encode()
        try:
            with urlopen(UrlRequest(f"http://127.0.0.1:{port}/api/v1{self.path}", data, self.headers)) as reply:
                answer: dict[str, Any] = json.load(reply)["data"]
                return answer
        except HTTPError as exc:
            raise LoadError(f"{self.path}: {exc.code} {exc.read()[:300]!r}") from exc


@dataclass(frozen=True, kw_only=True)
class HttpSample:
    """What one window says. Latency counts from when a request was due, or at saturation from when it was sent."""

    case: str
    client: str
    answered: float
    """Requests a second."""
    us_per_request: float
    """CPU of the server's process, all its threads together."""
    cores: float
    waiting: float
    """The share of time in which the server could have run and no core was free."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    def as_json(self) -> dict[str, Any]:
        """Plain data for the results file."""
        return asdict(self)


def medians(samples: Sequence[HttpSample]) -> HttpSample:
    """The median of each figure over several runs."""
    figures = {
        name: median(getattr(sample, name) for sample in samples)
        for name in asdict(samples[0])
        if name not in ("case", "client")
    }
    return HttpSample(case=samples[0].case, client=samples[0].client, **figures)


class HttpLoad:
    """A client beside a running hub; `wrk` is taken for saturation where it is there."""

    def __init__(self, stack: ExitStack, *, wrk: str | None = None) -> None:
        self._client = stack.enter_context(started("http_client", [sys.executable, "-m", "bench.http_client"]))
        self._wrk = wrk

    def saturate(
        self, case: str, hub: Running, asked: Sequence[Asked], *, connections: int, window_s: float
    ) -> HttpSample:
        """As much as the hub answers to so many connections."""
        one = asked[0]
        if self._wrk is None or len(asked) > 1 or one.body is not None:
            return self._built_in(case, hub, asked, connections=connections, window_s=window_s)
        headers = [part for name, value in one.headers.items() for part in ("-H", f"{name}: {value}")]
        command = [self._wrk, "-t1", f"-c{connections}", f"-d{max(1, round(window_s))}s", "-s", str(_SCRIPT), *headers]
        before = hub.server.usage()
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{hub.port}/api/v1{one.path}"], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise LoadError(f"wrk ended with {done.returncode}: {done.stderr[-300:]}")
        return _sample(case, "wrk", hub.server, before, json.loads(done.stdout.strip().splitlines()[-1]))

    def at_rate(
        self, case: str, hub: Running, asked: Sequence[Asked], rate: float, *, connections: int, window_s: float
    ) -> HttpSample:
        """So many requests a second by the clock, whether or not the hub keeps up."""
        return self._built_in(case, hub, asked, connections=connections, window_s=window_s, rate=rate)

    def _built_in(
        self,
        case: str,
        hub: Running,
        asked: Sequence[Asked],
        *,
        connections: int,
        window_s: float,
        rate: float | None = None,
    ) -> HttpSample:
        plan = Plan(
            port=hub.port,
            requests=[one.text(hub.port) for one in asked],
            connections=connections,
            seconds=window_s,
            rate=rate,
        )
        before = hub.server.usage()
        counts = self._client.ask(
            within_s=window_s + 30, **{name: getattr(plan, name) for name in Plan.__struct_fields__}
        )
        return _sample(case, "built-in", hub.server, before, counts)


def wrk_binary() -> str | None:
    """`wrk` (Debian has it as a package), which costs a tenth of what the built-in client does."""
    return shutil.which("wrk")


def _sample(case: str, client: str, server: Process, before: Any, counts: dict[str, Any]) -> HttpSample:
    after = server.usage()
    if any(counts["refused"].values()) or not counts["answered"]:
        raise LoadError(f"{case}: {counts['answered']} answered, refused: {counts['refused']}")
    return HttpSample(
        case=case,
        client=client,
        answered=counts["answered"] / counts["seconds"],
        us_per_request=(after.cpu_s - before.cpu_s) / counts["answered"] * 1e6,
        cores=after.cores_since(before),
        waiting=after.waiting_since(before),
        p50_ms=counts["p50_ms"],
        p95_ms=counts["p95_ms"],
        p99_ms=counts["p99_ms"],
        max_ms=counts["max_ms"],
    )
