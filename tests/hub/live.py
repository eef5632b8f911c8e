"""A whole hub for tests, and clients that talk to it over real sockets.

`Hub` runs in the test's own event loop, so that a test can look inside and hand in short times. `HubProcess` is
`python -m hub …` as a user starts it, with an environment and a directory of its own. `Client` speaks the native
protocol and never waits without a deadline.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.typing import Subprotocol

from auth.identity import Plan, Role
from auth.tokens import TokenIssuer
from hub import database
from hub.process import names_of, plans_of
from hub.roles import Roles, Shared, broker_of
from hub.server import Server, listen, server_for
from hub.sockets.connections import Limits
from schemas.commands import Position
from schemas.settings import Settings, load
from tests.servers import Server as ServerProcess
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
SECRET = "a-signing-secret-for-tests-alone-" + "0123456789" * 4
WAIT_S = 8.0
"""How long anything may take that should take milliseconds, on a machine that is busy with something else."""

NAMESPACES = """
[chat]
policy = "log"
publish = "subscribers"
history_size = 20

[short]
policy = "log"
history_size = 3

[quick]
policy = "latest"
publish = "subscribers"

[orders]
policy = "log"
access = "owner"

[staff]
policy = "latest"
access = "admin"

[hidden]
policy = "latest"
presence = false
"""
"""What `NAMESPACES_FILE` holds in every test."""

Message = dict[str, Any]


def token(
    user: str = "7", plan: str = "pro", role: str = "user", *, expires_in_s: float = 3600, secret: str = SECRET
) -> str:
    """A token that the hubs of the tests take."""
    return TokenIssuer(secret, 900).issue(user, Plan(plan), Role(role), expires_in_s)


def bearer(*args: Any, **kwargs: Any) -> dict[str, str]:
    """The header that brings such a token."""
    return {"Authorization": f"Bearer {token(*args, **kwargs)}"}


async def until(true: Callable[[], object], within_s: float = WAIT_S) -> None:
    """Returns once `true()` holds. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 - what is waited for belongs to the hub, which has no event for tests
            await asyncio.sleep(0.005)


class Answer(msgspec.Struct, frozen=True):
    """What an HTTP request was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        assert self.json["status"] == "success", self.json
        return self.json["data"]

    @property
    def code(self) -> str:
        """The error's code, of an envelope that is one."""
        envelope = self.json
        assert envelope.keys() == {"status", "error", "timestamp"}, envelope
        assert envelope["status"] == "error"
        assert envelope["timestamp"].endswith("Z")
        assert envelope["error"]["message"]
        return str(envelope["error"]["code"])


def request(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    """One HTTP request. Blocks."""
    asked = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=WAIT_S) as answer:
            return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
    except urllib.error.HTTPError as exc:
        with exc:
            return Answer(exc.code, {k.lower(): v for k, v in exc.headers.items()}, exc.read())


class Client:
    """One socket. What is heard and not asked for yet waits in `backlog`, in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.backlog: list[Message] = []
        self.bytes_in = 0
        self.flushed: Callable[[], bool] = lambda: True
        """Whether the hub has written all that was published; a reply may overtake what waits for the next flush."""
        self._packed = socket.subprotocol == "msgpack"
        self._ids = 0

    async def send(self, message: Message) -> None:
        """Say any object, in the dialect of this socket."""
        packed = msgspec.msgpack.encode(message) if self._packed else msgspec.json.encode(message).decode()
        await self.socket.send(packed)

    async def say(self, action: str, **fields: Any) -> None:
        """Say a command and wait for nothing."""
        await self.send({"action": action, **fields})

    async def ask(self, action: str, **fields: Any) -> Message:
        """Say a command and return its reply, whichever it is."""
        self._ids += 1
        await self.say(action, id=self._ids, **fields)
        return await self.hear(id=self._ids)

    async def subscribe(self, *channels: str, **options: Any) -> Message:
        """Subscribe; all must be granted."""
        reply = await self.ask("subscribe", channels=list(channels), **options)
        assert reply["type"] == "subscribed", reply
        assert reply["failed"] == []
        return reply

    async def receive(self, within_s: float = WAIT_S) -> Message:
        """The next message as it comes, past the backlog. Raises ConnectionClosed."""
        async with asyncio.timeout(within_s):
            data = await self.socket.recv()
        self.bytes_in += len(data)
        assert isinstance(data, bytes if self._packed else str)
        message: Message = msgspec.msgpack.decode(data) if isinstance(data, bytes) else json.loads(data)
        assert isinstance(message["type"], str)
        return message

    async def hear(self, type: str | None = None, *, within_s: float = WAIT_S, **fields: Any) -> Message:  # noqa: A002
        """The first message of that type with those fields, heard already or to come; the others wait."""

        def wanted(message: Message) -> bool:
            return type in (None, message["type"]) and all(
                name in message and message[name] == value for name, value in fields.items()
            )

        for place, message in enumerate(self.backlog):
            if wanted(message):
                return self.backlog.pop(place)
        async with asyncio.timeout(within_s):
            while True:
                message = await self.receive(within_s)
                if wanted(message):
                    return message
                self.backlog.append(message)

    async def hear_many(self, count: int, type: str | None = None, **fields: Any) -> list[Message]:  # noqa: A002
        """So many such messages."""
        return [await self.hear(type, **fields) for _ in range(count)]

    async def settled(self) -> list[Message]:
        """All that has been heard and not asked for, once all that was published has come."""
        await until(self.flushed)
        await self.ask("ping")
        heard, self.backlog = self.backlog, []
        return heard

    async def close_code(self, within_s: float = WAIT_S) -> int:
        """The code that the hub closes with; what it says before waits in the backlog."""
        async with asyncio.timeout(within_s):
            while True:
                try:
                    self.backlog.append(await self.receive(within_s))
                except websockets.ConnectionClosed as exc:
                    return exc.rcvd.code if exc.rcvd is not None else 1006


@contextlib.asynccontextmanager
async def client_of(
    place: str, *, protocol: str | None = None, welcomed: bool = True, query: str | None = None, **options: Any
) -> AsyncIterator[Client]:
    """A socket to `host:port`. `options` are a token's, or `headers` and `query` to bring one in another way."""
    headers = options.pop("headers", None)
    if query is None and headers is None:
        query = f"?token={token(**options)}"
    async with open_socket(
        f"ws://{place}/ws{query or ''}",
        additional_headers=headers,
        subprotocols=[Subprotocol(protocol)] if protocol else None,
        compression=None,
        max_size=None,
        ping_interval=None,
        close_timeout=2,
    ) as socket:
        client = Client(socket)
        if welcomed:
            await client.hear("welcome")
        yield client


class _PromptServer(Server):
    """Looks ten times as often whether it is to end."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # noqa: ASYNC110 - as the original, which waits longer
            await asyncio.sleep(0.01)


class Hub:
    """The role web and, where asked for, others in the running loop. See `running`."""

    def __init__(
        self,
        settings: Settings,
        *,
        limits: Limits | None = None,
        roles: Sequence[str] = (),
        environ: dict[str, str] | None = None,
    ) -> None:
        self.settings = settings
        self.environ = environ or {}
        """What brokers' credentials are read from; may change while it runs."""
        self.place = f"127.0.0.1:{settings.port}"
        self.url = f"http://{self.place}"
        self.names = names_of(settings)
        self.broker = broker_of(settings, self.names)
        url = settings.database_url
        self._migrates = url is None
        self.engine = database.engine_for(url.reveal() if url else "", settings.data_dir)
        shared = Shared(
            settings=settings,
            secret=SECRET,
            broker=self.broker,
            names=self.names,
            engine=self.engine,
            plans=plans_of(settings),
            environ=lambda: self.environ,
        )
        self.roles = Roles(shared, ("web", *roles))
        assert self.roles.web is not None
        self.web = self.roles.web
        self.feeds = self.roles.feeds
        if limits is not None:
            self.web.connections._limits = limits
        self.parts = self.roles.parts
        self.server = _PromptServer(server_for(self.web.app, grace_s=1).config)
        self._listening = listen(settings.host, settings.port)
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once the tables are there. Who connects before the server runs waits in the listening socket."""
        if self._migrates:
            await database.migrate(self.engine)
        await self.roles.open()
        self._task = asyncio.create_task(self._run(), name="hub")

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part(), name=name) for name, part in self.parts]
            serving = group.create_task(self.server.serve(sockets=[self._listening]), name="web.server")
            await self._stop.wait()
            await self.web.connections.drain(2)
            self.server.should_exit = True
            await serving
            for task in tasks:
                task.cancel()

    async def stop(self) -> None:
        """Drain and end; raises what a part of it raised. Safe to call twice."""
        self._stop.set()
        task, self._task = self._task, None
        try:
            if task is not None:
                await task
        finally:
            await self.broker.close()
            await self.engine.dispose()

    async def publish(self, name: str, *, key: str | None = None, **data: Any) -> int:
        """Publish as a server would; returns the offset."""
        channel = self.names.parse(name)
        payload = channel.namespace.normalise(msgspec.json.encode(data))
        return (await self.broker.publish(channel, payload, key=key)).offset

    @contextlib.asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Client]:
        """See `client_of`."""
        async with client_of(self.place, **options) as client:
            client.flushed = self._flushed
            yield client

    def _flushed(self) -> bool:
        fanout = self.web.fanout
        return not fanout._dirty and fanout._flush_timer is None

    async def get(self, path: str, **headers: str) -> Answer:
        """`GET path`."""
        return await asyncio.to_thread(request, self.url + path, "GET", None, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        """`POST path` with a JSON body, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        return await asyncio.to_thread(request, self.url + path, "POST", data, **headers)


class Raw:
    """A TCP connection that has upgraded and answers nothing by itself; reads when told to."""

    def __init__(self, hub: Hub, *, receive_buffer: int = 0) -> None:
        self._hub = hub
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setblocking(False)
        self.data = b""

    async def __aenter__(self) -> "Raw":
        loop = asyncio.get_running_loop()
        host, port = self._hub.place.split(":")
        await loop.sock_connect(self.socket, (host, int(port)))
        request = (
            f"GET /ws?token={token('raw')} HTTP/1.1\r\nHost: {self._hub.place}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await loop.sock_sendall(self.socket, request.encode())
        await self.read_until(b'"type":"welcome"')
        return self

    async def __aexit__(self, *_: object) -> None:
        self.socket.close()

    async def read_until(self, words: bytes, within_s: float = WAIT_S) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(within_s):
            while words not in self.data:
                chunk = await loop.sock_recv(self.socket, 65536)
                if not chunk:
                    raise EOFError(self.data)
                self.data += chunk

    async def read_to_end(self, within_s: float = WAIT_S) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(within_s):
            while chunk := await loop.sock_recv(self.socket, 65536):
                self.data += chunk

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def say(self, text: bytes) -> None:
        await self.send(masked(0x81, text))


def masked(first: int, payload: bytes) -> bytes:
    """One frame as clients write them, under a mask of zeros."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return bytes([first]) + length + bytes(4) + payload


def environment(folder: Path, **environ: str) -> dict[str, str]:
    """The settings that every hub of the tests shares, and those of this one."""
    folder.mkdir(parents=True, exist_ok=True)
    namespaces = folder / "namespaces.toml"
    if not namespaces.exists():
        namespaces.write_text(NAMESPACES)
    return {
        "PORT": str(free_port()),
        "DATA_DIR": str(folder / "data"),
        "JWT_SECRET": SECRET,
        "NAMESPACES_FILE": str(namespaces),
        "RATE_LIMIT_MAX": "1000000",  # tests of limits set their own
        "LOGIN_RATE_LIMIT_MAX": "1000000",
        "SIMULATOR_SEED": "7",  # a market that repeats itself begins without a past
    } | environ


@contextlib.asynccontextmanager
async def running(
    folder: Path, *, limits: Limits | None = None, feeds: bool = False, roles: Sequence[str] = (), **environ: str
) -> AsyncIterator[Hub]:
    """A hub that is there inside the block. `environ` are its settings."""
    settings = load(environment(folder, **environ))
    hub = await asyncio.to_thread(
        Hub, settings, limits=limits, roles=["feeds", *roles] if feeds else roles, environ=environ
    )
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Any application over HTTP, served as the hub serves its own; the address, as `host:port`."""
    port = free_port()
    server = _PromptServer(server_for(app, grace_s=1).config)
    task = asyncio.create_task(server.serve(sockets=[listen("127.0.0.1", port)]), name="server")
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


def position(reply: Message) -> dict[str, Any]:
    """Where the only log channel of a `subscribed` reply stands, as `recover` wants it."""
    (entry,) = reply["subscribed"]
    place: dict[str, Any] = msgspec.to_builtins(Position(entry["epoch"], entry["offset"]))
    return place


class HubProcess(ServerProcess):
    """`python -m hub` with some words behind it, as a child process."""

    name = "hub"

    def __init__(self, *words: str, program: str | None = None, **environ: str) -> None:
        super().__init__()
        self.words = words
        self._program = program
        self.environ = environment(self.folder, PORT=str(self.port), **environ)

    @property
    def place(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address for HTTP."""
        return f"http://{self.place}"

    def client(self, **options: Any) -> contextlib.AbstractAsyncContextManager[Client]:
        """See `client_of`."""
        return client_of(self.place, **options)

    def run(self, timeout_s: float = 20.0) -> tuple[int, str]:
        """Run to the end: the exit code and all that was printed."""
        with (self.folder / "log").open("ab") as log:
            self._process = self._spawn(log)
        return self.wait(timeout_s), self.log()

    def wait(self, timeout_s: float = 15.0) -> int:
        """The exit code, once the process has ended."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def _command(self) -> list[str]:
        start = ["-c", self._program] if self._program else ["-m", "hub"]
        return [sys.executable, *start, *self.words]

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        path = os.environ.get("PATH", "")
        return subprocess.Popen(
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.folder,
            env={"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"} | self.environ,
            start_new_session=True,
        )

    def _answers(self) -> bool:
        if self.words and self.words[0] != "web":
            return self.running
        try:
            return request(f"{self.url}/health").status == 200
        except OSError:
            return False


@contextlib.contextmanager
def one_command(*words: str, **environ: str) -> Iterator[HubProcess]:
    """A command that ends by itself; its directory is there inside the block."""
    process = HubProcess(*words, **environ)
    try:
        yield process
    finally:
        process.close()
