import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub import database
from tests.hub.live import Hub, environment, running


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The settings of the tests in this process' environment, and no others."""
    for name in list(os.environ):
        if name not in {"PATH", "HOME", "PYTEST_CURRENT_TEST"}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
async def hub(database_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub whose tables are there, on each database in turn."""
    environ = {"DATABASE_URL": database_url} if database_url else {}
    async with running(tmp_path, **environ) as hub:
        await database.migrate(hub.engine)
        yield hub
