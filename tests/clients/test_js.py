"""The browser SDK in Node, against a real hub: `clients/js/test/` holds the tests, here is what they need."""

import asyncio
import base64
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.hub.live import ROOT, SECRET, Hub, running, serving, token
from tests.servers import free_port

CLIENT = ROOT / "clients" / "js"
NODE = Path(sys.executable).parent / "node"


def node(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Node in the client's directory, to the end; blocks."""
    return subprocess.run(
        [NODE, *words],
        cwd=CLIENT,
        env={"PATH": str(NODE.parent)} | environ,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


class Restarts:
    """A hub that the tests in Node stop and start, by `POST /stop` and `POST /start`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = contextlib.AsyncExitStack()
        self.port = str(free_port())
        self.app = Starlette(
            routes=[Route("/start", self._start, methods=["POST"]), Route("/stop", self._stop, methods=["POST"])]
        )

    async def _start(self, _: Request) -> Response:
        await self._running.enter_async_context(running(self._folder, PORT=self.port))
        return Response()

    async def _stop(self, _: Request) -> Response:
        await self.aclose()
        return Response()

    async def aclose(self) -> None:
        """Stop it, where it runs."""
        await self._running.aclose()


@pytest.mark.timeout(120)
async def test_every_test_of_the_client_passes_against_a_real_hub(tmp_path: Path) -> None:
    other = Restarts(tmp_path / "other")
    async with running(tmp_path / "shared") as hub, serving(other.app) as control, contextlib.aclosing(other):
        hub.web.connections._services = msgspec.structs.replace(hub.web.connections._services, heartbeat_s=1.0)
        done = await asyncio.to_thread(
            node,
            "--test",
            "--test-reporter=tap",
            "--test-timeout=30000",
            *sorted(f"test/{path.name}" for path in CLIENT.glob("test/*.test.js")),
            TICKHUB_PLACE=hub.place,
            TICKHUB_SECRET=SECRET,
            TICKHUB_OTHER=f"127.0.0.1:{other.port}",
            TICKHUB_CONTROL=control,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# skipped 0" in done.stdout


def _number(digits: str) -> float:
    """A number as JavaScript means it, which writes large ones without a point."""
    exact = int(digits)
    return exact if abs(exact) < 2**53 else float(digits)


class Echo:
    """A Node process that unpacks what it is given and packs it again."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [NODE, "test/echo.js"], cwd=CLIENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, packed: bytes) -> tuple[Any, bytes]:
        """What was understood, and how Node packs it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(base64.b64encode(packed).decode() + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline(), parse_int=_number)
        return answer["value"], base64.b64decode(answer["again"])

    def close(self) -> None:
        """End the process; it ends with its input."""
        self._process.communicate(timeout=10)


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    """One process for all examples."""
    process = Echo()
    yield process
    process.close()


TEXTS = st.text(max_size=80)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=40) | st.dictionaries(TEXTS, inner, max_size=40), max_leaves=60
)


@given(value=VALUES)
def test_what_the_server_packs_the_client_understands_and_the_other_way_round(echo: Echo, value: object) -> None:
    understood, again = echo(msgspec.msgpack.encode(value))
    assert understood == value
    assert msgspec.msgpack.decode(again) == value


EXAMPLES = re.findall(r"^```js\n(.*?)^```", (CLIENT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub with a price and two signals."""
    async with running(tmp_path) as hub:
        await hub.publish("market:RELIANCE", price=2500.5)
        for symbol in ("TCS", "INFY"):
            await hub.publish("signals:generated", symbol=symbol, signal_type="BUY", confidence=71.5)
        yield hub


@pytest.mark.parametrize(
    ("number", "printed"),
    [(0, "market:NSE:RELIANCE 2500.5"), (1, "TCS BUY\nINFY BUY\n1 0"), (2, "PERMISSION_DENIED false")],
    ids=["prices", "logs", "connection"],
)
async def test_the_examples_of_the_readme_run(hub: Hub, number: int, printed: str) -> None:
    program = EXAMPLES[number].replace("http://localhost:8081", hub.url).replace('"tickhub"', '"./tickhub.js"')
    done = await asyncio.to_thread(node, "--input-type=module", "--eval", program, TICKHUB_TOKEN=token())
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


def test_the_readme_has_no_further_examples() -> None:
    assert len(EXAMPLES) == 3
