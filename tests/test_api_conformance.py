"""Whether every route does what `/openapi.json` says of it, whatever it is sent: schemathesis over a running hub."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.hub.live import HubProcess, request, token

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(900)]

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)

DISRUPTIVE = ("postAuthLogout", "postAdminConfigUpdate")
"""What spoils a run for all others: the token that it goes by ends, or the rate limits become low. Each has its own."""

TREES = ("postAlerts", "putAlertsById", "postAlertsPreview", "postAlertsBacktest")
"""Bodies that may hold a condition as a tree, which schemathesis makes for minutes each; `tests/hub/test_bad_input.py`
makes thousands of them."""

PLENTY = "100000000"


@pytest.fixture
def hub() -> Iterator[HubProcess]:
    with HubProcess(RATE_LIMIT_MAX=PLENTY, LOGIN_RATE_LIMIT_MAX=PLENTY, LOG_LEVEL="warning") as process:
        yield process


def operations(hub: HubProcess) -> set[str]:
    """What there is to be called, but for health and documents."""
    paths = request(f"{hub.url}/openapi.json").json["paths"].values()
    return {one["operationId"] for entry in paths for one in entry.values() if "operationId" in one}


def check(
    hub: HubProcess,
    bearer: str,
    *,
    examples: int,
    only: Iterable[str] = (),
    without: Iterable[str] = (),
) -> None:
    """Fails with all that schemathesis found, each with a curl line."""
    chosen = [word for name in only for word in ("--include-operation-id", name)]
    chosen += [word for name in without for word in ("--exclude-operation-id", name)]
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{hub.url}/openapi.json",
        "--header", f"Authorization: Bearer {bearer}",
        "--checks", ",".join(CHECKS), "--continue-on-failure", "--request-timeout", "20",
        "--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--generation-deterministic",
        "--suppress-health-check", "all", "--warnings", "off", "--no-color", *chosen,
    ]  # fmt: skip
    ended = subprocess.run(command, cwd=hub.folder, capture_output=True, text=True, timeout=880, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "http.bug" not in hub.log()


def administrator() -> str:
    return token("fuzz", plan="enterprise", role="admin")


def account(hub: HubProcess) -> str:
    """The token of somebody who has registered."""
    body = {"email": "fuzz@example.com", "password": "Correct-Horse-7-Battery"}
    header = {"Content-Type": "application/json"}
    answer = request(f"{hub.url}/api/v1/auth/register", "POST", json.dumps(body).encode(), **header)
    return str(answer.data["access_token"])


def test_every_route_answers_as_documented(hub: HubProcess) -> None:
    check(hub, administrator(), examples=100, without=(*DISRUPTIVE, *TREES))


def test_what_belongs_to_an_account_answers_its_owner_as_documented(hub: HubProcess) -> None:
    own = {name for name in operations(hub) if "Users" in name or "Auth" in name} - {*DISRUPTIVE}
    check(hub, account(hub), examples=50, only=sorted(name for name in own if "Admin" not in name))


@pytest.mark.parametrize("name", DISRUPTIVE)
def test_what_spoils_a_run_answers_as_documented(hub: HubProcess, name: str) -> None:
    check(hub, administrator(), examples=20, only=[name])
