"""Every block in the documents is what it looks like; what can be run is run, here or in `test_documents.py`."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from auth.identity import Plan
from auth.plans import Plans
from channels.namespace import Namespaces
from feeds.market_hours.overrides import read_toml
from notifiers.providers.dlt import Dlt
from schemas.commands import AnyCommand
from schemas.dotenv import parse_dotenv
from schemas.settings import load
from tests.hub.live import ROOT, SECRET
from tests.test_documents import FENCED, of_kind

NODE = Path(sys.executable).parent / "node"

DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))

WALKED = {
    *("tutorial.md", "api.md", "alerts.md", "several-instances.md", "http.md", "notifications.md", "redis.md"),
    "guides/backup.md",  # by the tests of deploy/
}
"""Pages whose `sh` blocks are typed into a shell, from the first to the last."""

SHOWN = {
    "console": "needs an account, a machine or minutes that a test has not",
    "sql": "typed by a database's administrator; the tests' own database is made so",
    "": "what a program prints, or a drawing",
    "text": "what stands on a terminal; a line with `$` was typed",
}
"""Kinds of blocks that nothing runs, and why."""
READ = {"json", "toml", "env", "dlt", "js", "python", "condition", "plain", "ticks", "preferences", "escalation"}
"""Kinds that tests read as the hub does, and run where there is something to run."""

COMMAND = re.compile(r"^(curl|redis-cli|python|make|npm|npx|docker|wscat|export|pip|git|kubectl) ", re.MULTILINE)


def blocks(*kinds: str) -> Iterator[tuple[str, str, str]]:
    """Page, kind and text of all blocks of these kinds, or of all."""
    for page in PAGES:
        for kind, block in FENCED.findall((DOCS / page).read_text(encoding="utf-8")):
            if not kinds or kind in kinds:
                yield page, kind, block


def named(found: Iterator[tuple[str, str, str]]) -> list[Any]:
    """Blocks as parameters, named by page and place."""
    return [pytest.param(block, id=f"{page}-{number}") for number, (page, _, block) in enumerate(found)]


# -- none is left out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_each_block_of_a_page_is_run_or_read_or_said_not_to_be(page: str) -> None:
    kinds = {kind for one, kind, _ in blocks() if one == page}
    assert kinds <= {"sh", *READ, *SHOWN}
    assert "sh" not in kinds or page in WALKED, "add the page to WALKED, and a test that types it"


def test_what_is_only_shown_does_not_look_like_something_to_type() -> None:
    assert [(page, block) for page, _, block in blocks("") if COMMAND.search(block)] == []


def test_each_kind_that_is_named_here_is_in_the_documents() -> None:
    assert {kind for _, kind, _ in blocks()} == {"sh", *READ, *SHOWN}


# -- what is read ----------------------------------------------------------------------------------------------------


def values(block: str) -> Iterator[Any]:
    """The JSON values that stand in a block, one after another."""
    while block := block.lstrip():
        value, end = json.JSONDecoder().raw_decode(block)
        yield value
        block = block[end:]


@pytest.mark.parametrize("block", named(blocks("json")))
def test_json_is_json_and_its_commands_are_taken(block: str) -> None:
    for value in values(block):
        if "action" in value:
            msgspec.convert(value, AnyCommand)


def test_the_plans_of_the_documents_can_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "plans.toml").write_text(of_kind("accounts.md", "toml")[0])
    assert Plans.load(tmp_path / "plans.toml").of(Plan.FREE).delay_s("BSE") == 900
    (tmp_path / "plans.toml").write_text(of_kind("feeds.md", "toml")[1])
    assert Plans.load(tmp_path / "plans.toml").of(Plan.BASIC).delay_s("NSE") == 0


def test_the_sessions_of_the_document_can_be_read() -> None:
    found = read_toml(of_kind("feeds.md", "toml")[0].encode())
    assert (len(found.holidays), len(found.halts)) == (1, 1)


def test_the_namespaces_of_the_document_can_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "namespaces.toml").write_text(of_kind("channels.md", "toml")[0])
    loaded = {namespace.name for namespace in Namespaces.load(tmp_path / "namespaces.toml")}
    assert {"orders", "news", "room", "bot"} <= loaded


@pytest.mark.parametrize("block", named(blocks("env")))
def test_settings_of_the_documents_are_settings(block: str) -> None:
    given, faults = parse_dotenv(block)
    assert given
    assert faults == []
    load({"JWT_SECRET": SECRET} | given)


@pytest.mark.parametrize("block", named(blocks("dlt")))
def test_templates_of_the_documents_can_be_loaded(block: str, tmp_path: Path) -> None:
    (tmp_path / "dlt.toml").write_text(block, encoding="utf-8")
    Dlt.load(tmp_path / "dlt.toml")


@pytest.mark.parametrize("block", named(blocks("python")))
def test_python_is_python(block: str) -> None:
    """What readers are to use is run in `test_documents.py`; essays show, without a frame, what is not to be done."""
    compile(block, "block", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("block", named(blocks("js")))
def test_javascript_is_javascript(block: str, tmp_path: Path) -> None:
    (tmp_path / "block.mjs").write_text(block, encoding="utf-8")
    subprocess.run([NODE, "--check", tmp_path / "block.mjs"], check=True, timeout=20)
