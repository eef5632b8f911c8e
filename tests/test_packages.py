"""The six flat packages are ours, and importing them does nothing else."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PACKAGES

ROOT = Path(__file__).resolve().parent.parent

_IMPORT_ALL = """
import asyncio, logging, os, signal, sys, threading

def forbidden(event, args):
    # opening source and libraries for reading is what an import is; a socket, a child or a written file is not
    written = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if event == "os.putenv" and args[0] in {b"OPENBLAS_MAIN_FREE", b"GOTOBLAS_MAIN_FREE"}:
        return  # numpy's, for as long as its own import lasts
    if event == "socket.bind" and args[1] == ("::1", 0):
        return  # how urllib3, which Twilio's package imports, finds out whether there is IPv6
    if event in {"socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.putenv"} or written:
        raise SystemExit(f"importing caused {event} {args}")

before = (dict(os.environ), logging.getLogger().handlers[:], [signal.getsignal(s) for s in signal.valid_signals()])
sys.dont_write_bytecode = True
sys.addaudithook(forbidden)
for name in sys.argv[1:]:
    __import__(name)
after = (dict(os.environ), logging.getLogger().handlers[:], [signal.getsignal(s) for s in signal.valid_signals()])
assert after == before, "importing changed the environment, the root logger or the signal handlers"
assert threading.enumerate() == [threading.main_thread()], "importing started a thread"
"""


def _modules(package: str) -> list[str]:
    paths = [str(ROOT / package)]
    found = [module.name for module in pkgutil.walk_packages(paths, f"{package}.")]
    return [package, *(name for name in found if not name.endswith("__main__") and ".migrations" not in name)]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_resolves_inside_the_checkout(package: str) -> None:
    """Another distribution's `channels` does not stand in for ours."""
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve().parent == ROOT / package


@pytest.mark.parametrize("package", PACKAGES)
def test_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_has_no_side_effects(package: str) -> None:
    """An import opens no connection, starts no process or thread, writes no file and sets nothing process-wide."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _IMPORT_ALL, *_modules(package)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
