"""The browser SDK in Node, against a real hub: `clients/js/test/` holds the tests, here is what they need."""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.live import ROOT, SECRET, environment, running

CLIENT = ROOT / "clients" / "js"
NODE = Path(sys.executable).parent / "node"


async def node(*words: str, **environ: str) -> tuple[int, str]:
    """Run Node in the client's directory: the exit code, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        NODE,
        *words,
        cwd=CLIENT,
        env={"PATH": str(NODE.parent)} | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(50):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def test_every_test_of_the_client_passes_against_a_real_hub(tmp_path: Path) -> None:
    own = {
        "command": [sys.executable, "-m", "hub", "web"],
        "folder": str(tmp_path),
        "env": environment(tmp_path / "own") | {"PYTHONPATH": str(ROOT), "PATH": str(NODE.parent)},
    }
    async with running(tmp_path / "shared") as hub:
        hub.web.connections._services = msgspec.structs.replace(hub.web.connections._services, heartbeat_s=1.0)
        code, printed = await node(
            "--test",
            "--test-reporter=tap",
            "test/pure.test.js",
            "test/live.test.js",
            TICKHUB_PLACE=hub.place,
            TICKHUB_SECRET=SECRET,
            TICKHUB_OWN=json.dumps(own),
        )
    assert code == 0, printed
    assert "# fail 0" in printed
    assert "# skipped 0" in printed


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
        answer = json.loads(self._process.stdout.readline())
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
