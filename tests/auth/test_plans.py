"""Plans say what of each exchange may be heard, how late, and how much of everything else may be had."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.identity import Identity, Plan, Role
from auth.plans import BUILT_IN, MAX_DELAY_S, PlanRules, Plans
from schemas.errors import CommandError, ErrorCode
from schemas.market import EXCHANGES

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
        ("[free]\nconnections = -1\nchannels = 0\nalerts = 1.5", ["connections", "channels", "alerts"]),
        ("[free]\nchannels = 3001\nprice = true\nrequests = 0", ["3000", "price", "requests"]),
        ("[free]\nsms_per_month = '5'\napi_metrics = 1\nnse = '15m'", ["sms_per_month", "api_metrics", "nse"]),
        ("[free]\nwithheld = 'depth'\n[pro]\nwithheld = [5]\nnonsense = 1", ["list", "[pro] withheld", "nonsense"]),
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


def test_the_built_in_table_is_what_the_price_list_says() -> None:
    plans = Plans()
    assert [plans.of(plan).price for plan in Plan] == [0, 499, 1499, None]
    assert [plans.of(plan).alerts for plan in Plan] == [10, 50, 500, 10_000]
    assert [plans.of(plan).sms_per_month for plan in Plan] == [0, 50, 500, 10_000]
    assert [plans.of(plan).api_metrics for plan in Plan] == [False, False, True, True]
    assert {(one.connections, one.channels, one.requests, one.withheld) for one in BUILT_IN.values()} == {
        (0, 3000, None, ())
    }


def test_what_a_document_does_not_name_stays_as_built_in() -> None:
    plans = Plans.read({"basic": {"connections": 2, "NSE": "15m", "withheld": ["depth"]}, "pro": {"requests": None}})
    assert plans.of(Plan.FREE) == BUILT_IN[Plan.FREE]
    assert plans.of(Plan.PRO) == BUILT_IN[Plan.PRO]
    basic = plans.of(Plan.BASIC)
    assert (basic.connections, basic.withheld, basic.prices) == (2, ("depth",), {"NSE": 900})
    assert (basic.alerts, basic.price, basic.channels) == (50, 499, 3000)


def test_a_table_that_is_replaced_is_another_one_for_all_who_hold_it(plans: Plans) -> None:
    held = Plans()
    held.replace(plans)
    assert held.delay_s(bearer(Plan.FREE), "NSE") == 900
    assert held.delays_s == {900, 60}
    held.replace(Plans())
    assert held.delay_s(bearer(Plan.FREE), "MCX") == 0
    assert held.delays_s == frozenset()


numbers = st.integers(0, 10**9)
tables = st.fixed_dictionaries(
    {},
    optional={
        "price": st.none() | numbers,
        "connections": numbers,
        "channels": st.integers(1, 3000),
        "alerts": numbers,
        "sms_per_month": numbers,
        "requests": st.none() | st.integers(1, 10**9),
        "api_metrics": st.booleans(),
        "withheld": st.lists(st.text(max_size=8), max_size=3),
    }
    | {
        name: st.sampled_from(["realtime", "none"]) | st.integers(1, MAX_DELAY_S).map(lambda n: f"{n}s")
        for name in ["default", *sorted(EXCHANGES)]
    },
)


@given(st.dictionaries(st.sampled_from([str(plan) for plan in Plan]), tables))
def test_a_table_is_read_again_from_its_own_document(document: dict[str, Any]) -> None:
    plans = Plans.read(document)
    again = Plans.read(msgspec.json.decode(msgspec.json.encode(plans.as_document())))
    assert again.as_document() == plans.as_document()
    for plan in Plan:
        for exchange in EXCHANGES:
            assert again.of(plan).delay_s(exchange) == plans.of(plan).delay_s(exchange)
        assert _without_prices(again.of(plan)) == _without_prices(plans.of(plan))


def _without_prices(rules: PlanRules) -> PlanRules:
    return msgspec.structs.replace(rules, prices={})


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8) | st.sampled_from(["free", "pro"]), _ANYTHING, max_size=4))
def test_any_document_is_read_or_refused_with_its_faults(document: dict[str, Any]) -> None:
    faults = ""
    try:
        Plans.read(document)
    except ValueError as exc:
        faults = str(exc)
    assert all(line.startswith("[") for line in faults.splitlines())
