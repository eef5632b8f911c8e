"""The image, as far as it can be tried without an engine: what goes in, what comes out, and how it is run."""

import asyncio
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.roles import ROLES
from schemas.durations import parse_duration
from schemas.settings import SETTINGS
from tests.deploy.places import DEPLOY, ROOT, program
from tests.hub.live import HubProcess, request

DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
PACKAGES = ("auth", "channels", "feeds", "hub", "notifiers", "schemas")
DRAIN_TIMEOUT_S = parse_duration(next(one.default for one in SETTINGS if one.name == "DRAIN_TIMEOUT"))
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")


def compose(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "docker" / name).read_text())
    return document


def let_in() -> list[str]:
    """What `.dockerignore` lets into the build."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert lines[-2:] == ["**/__pycache__", "**/*.pyc"]
    assert all(line.startswith("!") for line in lines[1:-2])
    return [line[1:] for line in lines[1:-2]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installed wheel, built from nothing but what the build of the image sees."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed here")
    source, built, unpacked = (tmp_path_factory.mktemp(name) for name in ("source", "built", "unpacked"))
    for name in let_in():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=IGNORED)
        else:
            shutil.copy(ROOT / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=50,
    )
    (found,) = built.glob("*.whl")
    with zipfile.ZipFile(found) as archive:
        archive.extractall(unpacked)
    return unpacked


def test_the_linter_finds_nothing_to_object_to() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else program("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed here")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_nobody_and_is_told_to_end_as_the_hub_understands_it() -> None:
    text = DOCKERFILE.read_text()
    last = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (?!0|root)", last, re.MULTILINE)
    assert "\nSTOPSIGNAL SIGTERM\n" in last
    assert last.rstrip().endswith('ENTRYPOINT ["tickhub"]')
    assert "/health'" in re.search(r"HEALTHCHECK.*\n.*CMD \[.*\]", last)[0]  # type: ignore[index]
    assert "--requirement requirements.lock" in text


def test_nothing_secret_goes_into_the_build() -> None:
    assert set(let_in()) >= {*PACKAGES, "pyproject.toml", "requirements.lock"}
    assert not {".env", "data", ".git", "tests", "deploy"} & set(let_in())


@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_has_every_file_of_each_package(wheel: Path, package: str) -> None:
    files = [path for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert files
    for path in files:
        packed = wheel / path.relative_to(ROOT)
        assert packed.is_file(), packed
        assert not packed.is_symlink()
        assert packed.read_bytes() == path.read_bytes()


class InstalledHub(HubProcess):
    """A hub of which nothing lies in the checkout."""

    def __init__(self, wheel: Path, *words: str, **environ: str) -> None:
        super().__init__(*words, PYTHONPATH=str(wheel), **environ)


async def test_a_hub_from_the_wheel_migrates_serves_its_pages_and_carries_prices(wheel: Path) -> None:
    hub = InstalledHub(wheel)
    try:
        await asyncio.to_thread(hub.start)
        pages = {
            path: (await asyncio.to_thread(request, hub.url + path)).body.decode()
            for path in ("/", "/docs", "/openapi.json")
        }
        assets = re.findall(r'(?:src|href)="(/[^"#]+)"', pages["/"])
        assert assets
        for path in assets:
            assert (await asyncio.to_thread(request, hub.url + path)).status == 200, path
        async with hub.client() as client:
            await client.subscribe("market:RELIANCE")
            assert (await client.hear("market:update"))["price"] > 0
    finally:
        await asyncio.to_thread(hub.close)


@pytest.mark.parametrize("name", ["compose.yaml", "compose.roles.yaml"])
def test_every_container_of_the_hub_is_confined_and_has_time_to_drain(name: str) -> None:
    services = [one for one in compose(name)["services"].values() if one["image"] == "tickhub"]
    assert services
    for one in services:
        assert parse_duration(one["stop_grace_period"]) > 3 * DRAIN_TIMEOUT_S
        assert one["read_only"] is True
        assert one["cap_drop"] == ["ALL"]
        assert one["build"] == {"context": "../..", "dockerfile": "deploy/docker/Dockerfile"}
        assert one["environment"].keys() <= {setting.name for setting in SETTINGS}
        for port in one.get("ports", ()):
            assert port.startswith("127.0.0.1:")  # without TLS, for this machine alone


def test_each_role_has_a_container_that_waits_for_its_servers() -> None:
    services = compose("compose.roles.yaml")["services"]
    assert {name: one["command"] for name, one in services.items() if one["image"] == "tickhub"} == {
        name: [name] for name in (*ROLES, "migrate")
    }
    for role in ROLES:
        assert services[role]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "redis": {"condition": "service_healthy"},
            "postgres": {"condition": "service_healthy"},
        }
        assert ("healthcheck" in services[role]) is (role != "web")  # the image's asks at PORT, where only web answers


def test_every_secret_has_to_be_given() -> None:
    text = (DEPLOY / "docker" / "compose.roles.yaml").read_text()
    for name in ("JWT_SECRET", "ENCRYPTION_KEYS", "POSTGRES_PASSWORD"):
        assert re.findall(rf"\$\{{{name}(.)", text) == [":"] * text.count(f"${{{name}")
        assert f"\n{name}=\n" in (DEPLOY / "docker" / "compose.env.example").read_text()
