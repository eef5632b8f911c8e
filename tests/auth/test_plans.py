"""Plans say what of each exchange may be heard, and how late."""

from pathlib import Path

import pytest

from auth.identity import Identity, Plan, Role
from auth.plans import Plans
from schemas.errors import CommandError, ErrorCode

FILE = """
[free]
default = "15m"
MCX = "none"

[basic]
NSE = "1m"
BSE = "realtime"
"""


def bearer(plan: Plan, role: Role = Role.USER) -> Identity:
    return Identity(user="7", plan=plan, role=role, token_id="t", issued_at=0, expires_at=1)


@pytest.fixture
def plans(tmp_path: Path) -> Plans:
    (tmp_path / "plans.toml").write_text(FILE)
    return Plans.load(tmp_path / "plans.toml")


@pytest.mark.parametrize("plan", Plan)
def test_without_a_file_everything_is_in_real_time(plan: Plan) -> None:
    assert Plans().delay_s(bearer(plan), "NSE") == 0
    assert Plans().delays_s == frozenset()


def test_a_file_says_what_is_delayed(plans: Plans) -> None:
    assert plans.delay_s(bearer(Plan.FREE), "NSE") == 900
    assert plans.delay_s(bearer(Plan.BASIC), "NSE") == 60
    assert plans.delay_s(bearer(Plan.BASIC), "BSE") == 0
    assert plans.delay_s(bearer(Plan.BASIC), "MCX") == 0
    assert plans.delay_s(bearer(Plan.PRO), "NSE") == 0
    assert plans.delays_s == {900, 60}


def test_what_a_plan_does_not_have_is_refused(plans: Plans) -> None:
    with pytest.raises(CommandError) as refused:
        plans.delay_s(bearer(Plan.FREE), "MCX")
    assert refused.value.code is ErrorCode.PERMISSION_DENIED
    assert "free" in refused.value.message
    assert "MCX" in refused.value.message


@pytest.mark.parametrize("role", [Role.ADMIN, Role.PUBLISHER])
def test_who_runs_the_hub_has_everything(plans: Plans, role: Role) -> None:
    assert plans.delay_s(bearer(Plan.FREE, role), "MCX") == 0


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("[gold]\nNSE = '15m'", ["[gold]"]),
        ("free = '15m'", ["[free]"]),
        ("[free]\nNYSE = '15m'\nNSE = '2d'\nBSE = 15\nMCX = 'soon'", ["NYSE", "NSE", "BSE", "MCX"]),
        ("[free]\nNSE = '1500ms'", ["whole seconds"]),
        ("[free", ["plans.toml"]),
    ],
)
def test_every_fault_of_a_file_is_told(tmp_path: Path, text: str, faults: list[str]) -> None:
    path = tmp_path / "plans.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"\S") as told:
        Plans.load(path)
    lines = str(told.value).splitlines()
    assert len(lines) == len(faults)
    assert all(fault in line for fault, line in zip(faults, lines, strict=True))


def test_whoever_lacks_an_exchange_is_known(plans: Plans) -> None:
    assert plans.withholds(bearer(Plan.FREE))
    assert not plans.withholds(bearer(Plan.BASIC))
    assert not plans.withholds(bearer(Plan.FREE, Role.ADMIN))
