"""The load client: one process, plain sockets, epoll. Started by `bench.load`, steered by JSON lines on stdin.

It must be cheaper than the servers that it measures, so it makes no object for a message. Two kinds of connection:

- Sinks are read into one reused buffer, and only their bytes are counted.
- Probes (16 of 1,000) walk every frame and time every message by the timestamp inside it. They have an epoll of their
  own that is looked at between sinks, so that a message doesn't wait in the client for a thousand other reads.

All sockets of a run hear messages of the same form, so the probes' bytes a message turn the sinks' bytes into messages.
Sockets are looked at once a millisecond, by the clock. A client that sleeps in epoll is woken by each single write to
one of ten thousand sockets, and waking a sleeping core costs the sender more than the write: it would be this client's
habit that is measured. Every latency, of every system, is up to a millisecond longer for it.

`count` in the plan makes every sink count messages too, which is how the tests check that the two agree.
"""

import errno
import json
import os
import re
import resource
import select
import socket
import sys
import time
from array import array
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import wire
from bench.dialects import OPENINGS, Opening
from bench.peers.publisher import STAMP_OFFSET_US
from bench.workload import Workload

_LOOK_EVERY_S = 0.001

_STAMP = re.compile(rb'"total_buy_quantity":(\d{16})')
_MISSED = re.compile(rb'"missed":(\d+)')
_END_OF_MESSAGE = b"}"
"""Stands once in each price, at its end."""

_BUFFER_BYTES = 512 * 1024
_SINKS_BETWEEN_PROBES = 32
_SETUP_DEADLINE_S = 60.0
_PONG_INTERVAL_S = 10.0


@dataclass(kw_only=True)
class Counts:
    """What one window of measuring saw. Latencies in microseconds."""

    seconds: float = 0.0
    sink_bytes: int = 0
    sink_messages: int = 0
    probe_bytes: int = 0
    probe_messages: int = 0
    missed: int = 0
    reads: int = 0
    closed: int = 0
    latencies: "array[int]" = field(default_factory=lambda: array("q"))


class Handshake:
    """One socket on its way from `connect` to its last expected word."""

    def __init__(self, sock: socket.socket, number: int, opening: Opening, request: bytes) -> None:
        self.sock = sock
        self.number = number
        self._request = request
        self._steps = deque(opening.steps)
        self._heard = bytearray()
        self._upgraded = False

    def connected(self) -> None:
        """The TCP connection stands: ask for the upgrade."""
        self.sock.send(self._request)

    def readable(self) -> bool:
        """Read what came and answer it; True once the last expected word is there. Raises ConnectionError."""
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError(f"closed after {bytes(self._heard[-200:])!r}")
        self._heard += data
        if not self._upgraded:
            if wire.HEADERS_END not in self._heard:
                return False
            if not self._heard.startswith(wire.UPGRADED):
                raise ConnectionError(f"refused: {bytes(self._heard[:200])!r}")
            self._upgraded = True
        while self._steps and self._steps[0].expect in self._heard:
            answer = self._steps.popleft().answer
            if answer is not None:
                self.sock.send(answer)
        return not self._steps


class LoadClient:
    """All sockets of one client process."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._workload = Workload(**plan["workload"])
        self._epoll = select.epoll()
        self._probe_epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._probe_rest: dict[int, bytes] = {}
        self._stalled: set[int] = set()
        self._buffer = bytearray(_BUFFER_BYTES)
        self._counts = Counts()
        self._window_ends: float | None = None
        self._window_began = 0.0
        self._next_pong = 0.0

    def connect(self) -> dict[str, Any]:
        """Open all sockets, some at a time; answers with how many stand and how long it took."""
        assignments = self._workload.assignments()
        opening = OPENINGS[self._plan["dialect"]]
        waiting = deque(enumerate(assignments))
        under_way: dict[int, Handshake] = {}
        setup = select.epoll()
        failures: list[str] = []
        began = time.monotonic()
        while waiting or under_way:
            while waiting and len(under_way) < self._plan["concurrency"]:
                number, symbols = waiting.popleft()
                handshake = self._begin(number, opening(symbols, self._plan["token"]))
                under_way[handshake.sock.fileno()] = handshake
                setup.register(handshake.sock, select.EPOLLOUT)
            for fd, events in setup.poll(1.0):
                handshake = under_way[fd]
                try:
                    if events & select.EPOLLOUT and not events & (select.EPOLLERR | select.EPOLLHUP):
                        setup.modify(fd, select.EPOLLIN)
                        handshake.connected()
                        continue
                    if not handshake.readable():
                        continue
                    setup.unregister(fd)
                    self._adopt(handshake)
                except OSError as exc:
                    setup.unregister(fd)
                    handshake.sock.close()
                    failures.append(str(exc))
                del under_way[fd]
            if time.monotonic() - began > _SETUP_DEADLINE_S:
                failures += ["no answer in time"] * (len(under_way) + len(waiting))
                break
        seconds = time.monotonic() - began
        return {
            "connected": len(self._sockets),
            "seconds": seconds,
            "failed": len(failures),
            "why": failures[0] if failures else "",
        }

    def _begin(self, number: int, opening: Opening) -> Handshake:
        host, port = self._plan["host"], self._plan["port"]
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex((host, port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        return Handshake(sock, number, opening, wire.upgrade_request(host, port, opening.path))

    def _adopt(self, handshake: Handshake) -> None:
        fd = handshake.sock.fileno()
        self._sockets[fd] = handshake.sock
        if self._is_probe(handshake.number):
            self._probe_rest[fd] = b""
            self._probe_epoll.register(fd, select.EPOLLIN)
        else:
            self._epoll.register(fd, select.EPOLLIN)

    def _is_probe(self, number: int) -> bool:
        """Probes are spread evenly, for a server may serve its sockets in the order in which they came."""
        probes, sockets = self._workload.probes, self._workload.sockets
        return (number * probes) // sockets != ((number + 1) * probes) // sockets

    def run(self) -> None:
        """Read and count until stdin ends."""
        control = sys.stdin.fileno()
        self._epoll.register(control, select.EPOLLIN)
        self._epoll.register(self._probe_epoll, select.EPOLLIN)
        set_aside = {control, self._probe_epoll.fileno()}
        self._next_pong = time.monotonic() + _PONG_INTERVAL_S
        read_sinks = self._count_sinks if self._plan["count"] else self._drain_sinks
        while True:
            time.sleep(_LOOK_EVERY_S)
            ready = self._epoll.poll(0, len(self._sockets) + 2)
            sinks = [fd for fd, _ in ready if fd not in set_aside]
            self._read_probes()
            for start in range(0, len(sinks), _SINKS_BETWEEN_PROBES):
                read_sinks(sinks[start : start + _SINKS_BETWEEN_PROBES])
                self._read_probes()
            if any(fd == control for fd, _ in ready) and not self._obey():
                return
            self._by_the_clock()

    def _drain_sinks(self, fds: list[int]) -> None:
        counts, buffers, readv = self._counts, [self._buffer], os.readv
        for fd in fds:
            try:
                size = readv(fd, buffers)
            except BlockingIOError:
                continue
            except OSError:
                size = 0
            if not size:
                self._lose(fd, self._epoll)
            counts.sink_bytes += size
        counts.reads += len(fds)

    def _count_sinks(self, fds: list[int]) -> None:
        for fd in fds:
            before = self._counts.sink_bytes
            self._drain_sinks([fd])
            size = self._counts.sink_bytes - before
            self._counts.sink_messages += self._buffer.count(_END_OF_MESSAGE, 0, size)

    def _read_probes(self) -> None:
        for fd, _ in self._probe_epoll.poll(0):
            try:
                data = os.read(fd, _BUFFER_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                self._time(fd, data)
            else:
                self._lose(fd, self._probe_epoll)

    def _time(self, fd: int, data: bytes) -> None:
        now_us = STAMP_OFFSET_US + int(time.monotonic() * 1e6)
        counts = self._counts
        counts.probe_bytes += len(data)
        data = self._probe_rest[fd] + data
        end = 0
        for opcode, payload, position in wire.server_frames(data):
            end = position
            if opcode == wire.PING:
                self._sockets[fd].send(wire.client_frame(payload, wire.PONG))
                continue
            for stamp in _STAMP.findall(payload):
                counts.probe_messages += 1
                counts.latencies.append(now_us - int(stamp))
            if b'"missed":' in payload:
                counts.missed += sum(int(number) for number in _MISSED.findall(payload))
        self._probe_rest[fd] = data[end:]

    def _lose(self, fd: int, epoll: select.epoll) -> None:
        self._counts.closed += 1
        epoll.unregister(fd)
        self._probe_rest.pop(fd, None)
        self._sockets.pop(fd).close()

    def _obey(self) -> bool:
        line = sys.stdin.readline()
        if not line:
            return False
        command = json.loads(line)
        if "measure" in command:
            self._counts = Counts()
            self._window_began = time.monotonic()
            self._window_ends = self._window_began + command["measure"]
        if "stall" in command:
            sinks = [fd for fd in self._sockets if fd not in self._probe_rest]
            self._stalled = set(sinks[:: max(len(sinks) // command["stall"], 1)][: command["stall"]])
            for fd in self._stalled:
                self._epoll.unregister(fd)
            _answer({"stalled": len(self._stalled)})
        return True

    def _by_the_clock(self) -> None:
        now = time.monotonic()
        if self._window_ends is not None and now >= self._window_ends:
            self._window_ends = None
            self._counts.seconds = now - self._window_began
            _answer(_result(self._counts, len(self._sockets), len(self._probe_rest)))
        if now >= self._next_pong:
            self._next_pong = now + _PONG_INTERVAL_S
            self._reassure()

    def _reassure(self) -> None:
        """Sinks never look for pings, so they send pongs unasked (RFC 6455 §5.5.3)."""
        pong = wire.client_frame(b"", wire.PONG)
        for fd, sock in self._sockets.items():
            if fd not in self._probe_rest and fd not in self._stalled:
                try:
                    sock.send(pong)
                except OSError:
                    continue  # the next read tells


def _result(counts: Counts, sockets: int, probes: int) -> dict[str, Any]:
    latencies = sorted(counts.latencies)
    result = asdict(counts) | {"sockets": sockets, "probes": probes}
    del result["latencies"]
    return result | {
        "p50_us": _percentile(latencies, 0.50),
        "p99_us": _percentile(latencies, 0.99),
        "max_us": latencies[-1] if latencies else None,
    }


def _percentile(ordered: list[int], share: float) -> int | None:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


def _answer(result: dict[str, Any]) -> None:
    print(json.dumps(result), flush=True)


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Read the plan, connect, and measure as told."""
    _raise_descriptor_limit()
    client = LoadClient(json.loads(sys.stdin.readline()))
    _answer(client.connect())
    client.run()


if __name__ == "__main__":
    main()
