"""Alert rules and the board ask for figures that the hub really tells, and each alert leads to its instructions."""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.places import DEPLOY, GUIDES, program
from tests.hub.live import running

PROMETHEUS = DEPLOY / "prometheus"
GUIDE = GUIDES / "monitoring.md"
BOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
METRIC = re.compile(r"\b(?:tickhub|process|python)_\w+")
UPDATES = re.compile(r"^tickhub_feed_updates_total [1-9]", re.MULTILINE)
FAMILY = re.compile(r"^# TYPE (\w+) ", re.MULTILINE)

needs_promtool = pytest.mark.skipif(program("promtool") is None, reason="promtool is not installed here")


def panels() -> Iterator[dict[str, Any]]:
    """Those of the board that show something."""
    return (panel for panel in BOARD["panels"] if panel["type"] != "row")


def queries() -> Iterator[str]:
    """All that the rules, the board and its variables ask for."""
    yield from (rule["expr"] for rule in RULES)
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    yield from (variable["definition"] for variable in BOARD["templating"]["list"] if variable["type"] == "query")


async def told(folder: Path, redis_url: str) -> set[str]:
    """The names of all that a hub of all roles tells at /metrics."""
    async with running(folder, roles=("feeds", "alerts", "notifiers"), REDIS_URL=redis_url) as hub, asyncio.timeout(50):
        said = ""
        while not UPDATES.search(
            said
        ):  # by then every role has begun; one that is ended before leaves its database half open
            said = (await hub.get("/metrics")).body.decode()
        return set(FAMILY.findall(said))


async def test_every_figure_that_is_asked_for_is_told(tmp_path: Path, redis_url: str) -> None:
    asked = {name for query in queries() for name in METRIC.findall(query)}
    assert asked - await told(tmp_path, redis_url) == set()


@needs_promtool
@pytest.mark.parametrize(
    "words",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml")],
)
async def test_promtool_finds_nothing_to_object_to(words: tuple[str, ...]) -> None:
    done = await asyncio.to_thread(
        subprocess.run, [program("promtool") or "", *words], cwd=PROMETHEUS, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_of_its_firing() -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text())["tests"]
    fired = {one["alertname"] for test in tests for one in test.get("alert_rule_test", ()) if one.get("exp_alerts")}
    assert fired == {alert["alert"] for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"]["summary"]
    page, _, section = alert["annotations"]["runbook"].partition("#")
    assert page == "docs/guides/monitoring.md"
    assert section == alert["alert"].lower()
    assert f"\n### {alert['alert']}\n" in GUIDE.read_text()


def test_the_guide_explains_no_alert_that_is_gone() -> None:
    explained = re.findall(r"^### (Tickhub\w+)$", GUIDE.read_text(), re.MULTILINE)
    assert sorted(explained) == sorted(alert["alert"] for alert in ALERTS)


def test_the_board_takes_its_data_source_from_a_variable() -> None:
    assert (
        BOARD["templating"]["list"][0] | {"type": "datasource", "query": "prometheus", "name": "datasource"}
        == (BOARD["templating"]["list"][0])
    )
    for panel in panels():
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


def test_every_panel_is_titled_described_and_in_a_place_of_its_own() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    cells: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        here = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"]
        assert place["x"] + place["w"] <= 24
        assert not cells & here, panel["title"]
        cells |= here


def test_every_panel_goes_by_the_variables_of_the_board() -> None:
    for panel in panels():
        for target in panel["targets"]:
            assert '{job=~"$job", instance=~"$instance"' in target["expr"], panel["title"]
