"""Processes that the benchmarks start: talked to in JSON lines, measured through /proc, always ended."""

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "bench" / "results" / "logs"

_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ProcessEndedError(RuntimeError):
    """A process that was needed ended or did not answer; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Usage:
    """What a process has used so far, all its threads together."""

    cpu_s: float
    waited_s: float
    """Time in which a thread could have run and no core was free for it."""
    rss_bytes: int
    at_s: float

    def cores_since(self, before: "Usage") -> float:
        """How many cores the process kept busy between two readings."""
        return (self.cpu_s - before.cpu_s) / (self.at_s - before.at_s)

    def waiting_since(self, before: "Usage") -> float:
        """The share of time in which the process waited for a core; over all threads, so it may exceed 1."""
        return (self.waited_s - before.waited_s) / (self.at_s - before.at_s)


class Process:
    """One child: `ask` sends a JSON line and waits for the answering one."""

    def __init__(self, name: str, command: Sequence[str], popen: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.command = command
        self._popen = popen
        self._log = log
        self._heard = b""

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._popen.pid

    def usage(self) -> Usage:
        """CPU and resident memory now. Raises ProcessEndedError where the process is gone."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            raise self._ended() from None
        return Usage(
            cpu_s=(int(fields[11]) + int(fields[12])) / _CLOCK_TICKS,
            waited_s=self._waited_s(),
            rss_bytes=int(fields[21]) * _PAGE_BYTES,
            at_s=time.monotonic(),
        )

    def _waited_s(self) -> float:
        waited_ns = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with suppress(
                FileNotFoundError, ProcessLookupError
            ):  # the thread has ended, or the kernel keeps no account
                waited_ns += int((task / "schedstat").read_text().split()[1])
        return waited_ns / 1e9

    def open_files(self) -> int:
        """How many file descriptors the process holds."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - the names are all that is wanted

    def tell(self, **command: object) -> None:
        """Send one JSON line."""
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(json.dumps(command).encode() + b"\n")
            self._popen.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def ask(self, *, within_s: float = 60.0, **command: object) -> dict[str, Any]:
        """Send one JSON line and wait for the answer. Raises ProcessEndedError where none comes in time."""
        self.tell(**command)
        return self.answer(within_s=within_s)

    def answer(self, *, within_s: float = 60.0) -> dict[str, Any]:
        """The next JSON line that the process says. Raises ProcessEndedError where none comes in time."""
        assert self._popen.stdout is not None
        out, deadline = self._popen.stdout.fileno(), time.monotonic() + within_s
        while b"\n" not in self._heard:
            ready, _, _ = select.select([out], [], [], max(deadline - time.monotonic(), 0))
            data = os.read(out, 65536) if ready else b""
            if not data:
                raise self._ended()
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told

    def wait_for_port(self, port: int, *, within_s: float = 20.0) -> None:
        """Return once something listens on the port. Raises ProcessEndedError where nothing does in time."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and self._popen.poll() is None:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise self._ended()

    def end(self) -> None:
        """Ask the process to end, and kill it where it does not within three seconds."""
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                stream.close()
        for sign, patience_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0)):
            if self._popen.poll() is not None:
                return
            self._popen.send_signal(sign)
            try:
                self._popen.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue

    def _ended(self) -> ProcessEndedError:
        lines = self._log.read_text(errors="replace").strip().splitlines()[-8:]
        state = "does not answer" if self._popen.poll() is None else f"ended with {self._popen.returncode}"
        return ProcessEndedError("\n  ".join([f"{self.name} {state}; see {self._log}", *lines]))


@contextmanager
def started(
    name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Process]:
    """A child process that ends with the block. What it writes to stderr goes to `bench/results/logs/<name>.log`."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    with log.open("wb") as errors:
        popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=cwd or ROOT,
            env={**os.environ, **(env or {})},
        )
    process = Process(name, command, popen, log)
    try:
        yield process
    finally:
        process.end()


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
