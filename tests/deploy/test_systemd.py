"""The units: systemd reads them without complaint, and they end and restart the hub as it wants to be."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hub.exit_codes import EXIT_BUG, EXIT_SETTINGS
from hub.roles import ROLES
from schemas.durations import parse_duration
from schemas.settings import SETTINGS
from tests.deploy.places import DEPLOY, program

UNITS = DEPLOY / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
LASTING = [path for path in SERVICES if path.stem != "tickhub-migrate"]
DRAIN_TIMEOUT_S = parse_duration(next(one.default for one in SETTINGS if one.name == "DRAIN_TIMEOUT"))

needs_systemd = pytest.mark.skipif(program("systemd-analyze") is None, reason="systemd-analyze is not installed here")


def settings_of(path: Path) -> dict[str, list[str]]:
    """What a unit says, by name; a name may come several times."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units with a program that is there, and one web instance."""
    (tmp_path / "tickhub").write_text("#!/bin/sh\n")
    (tmp_path / "tickhub").chmod(0o755)
    for unit in (*SERVICES, *UNITS.glob("*.target")):
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/tickhub/bin/tickhub", f"{tmp_path}/tickhub"))
    shutil.copy(tmp_path / "tickhub-web@.service", tmp_path / "tickhub-web@8081.service")
    return tmp_path


def analyze(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("systemd-analyze") or "", *words], cwd=folder, capture_output=True, text=True, timeout=50, check=False
    )


@needs_systemd
def test_systemd_finds_nothing_to_object_to(installed: Path) -> None:
    units = [f"./{path.name}" for path in installed.glob("tickhub*.*") if "@." not in path.name]
    done = analyze(installed, "verify", "--man=no", *units)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_the_units_expose_little(installed: Path) -> None:
    for unit in installed.glob("*.service"):
        if "@." not in unit.name:
            done = analyze(installed, "security", "--offline=true", "--threshold=20", f"./{unit.name}")
            assert done.returncode == 0, done.stdout[-300:]


def test_all_units_are_confined_alike() -> None:
    confined = {
        path.read_text().partition("# What it may touch")[2].partition("\n\n[Install]")[0].strip() for path in SERVICES
    }
    assert len(confined) == 1


def test_there_is_a_unit_for_each_role_and_one_for_all() -> None:
    words = {path.stem: settings_of(path)["ExecStart"][0].rpartition("/tickhub")[2].strip() for path in SERVICES}
    assert words == {"tickhub": "", "tickhub-web@": "web", "tickhub-migrate": "migrate"} | {
        f"tickhub-{role}": role for role in ROLES if role != "web"
    }


@pytest.mark.parametrize("path", LASTING, ids=lambda path: path.stem)
def test_a_unit_gives_the_hub_time_to_drain_and_heeds_its_exit_codes(path: Path) -> None:
    said = settings_of(path)
    assert parse_duration(said["TimeoutStopSec"][0]) > 3 * DRAIN_TIMEOUT_S
    assert said["Restart"] == ["on-failure"]
    assert said["RestartPreventExitStatus"] == [str(EXIT_SETTINGS)]
    assert str(EXIT_BUG) not in said.get("SuccessExitStatus", [])
    assert int(said["LimitNOFILE"][0]) > 1024


def test_the_example_of_settings_has_no_name_that_the_hub_lacks() -> None:
    names = re.findall(r"^(?:# )?([A-Z_]+)=", (UNITS / "tickhub.env.example").read_text(), re.MULTILINE)
    ours = {one.name for one in SETTINGS}
    assert {name for name in names if not name.startswith("KITE_")} <= ours
    assert "PORT" not in names  # it would win over the instance's
