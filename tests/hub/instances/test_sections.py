"""Sections are read whole, or refused with every fault and its place."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.instances.sections import (
    READERS,
    LimitsSection,
    SectionFaults,
    read_limits,
    read_namespaces_section,
    read_plans,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**40) | st.sampled_from(["log", "latest", "15m", "none", "free"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["free", "NSE", "chat", "policy", "limits", "channels", "x y"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def faults(name: str, raw: bytes) -> list[str]:
    with pytest.raises(SectionFaults) as caught:
        READERS[name](raw)
    return caught.value.faults


def test_every_fault_of_every_plan_is_told_with_its_place() -> None:
    told = faults("plans", b'{"free":{"NSE":"soon","alerts":-1},"pro":{"colour":"red"},"gold":{}}')
    assert [fault.rpartition(" - at ")[2] for fault in told] == [
        "`$.plans.free.NSE`",
        "`$.plans.free.alerts`",
        "`$.plans.pro.colour`",
        "`$.plans.gold`",
    ]


def test_every_fault_of_every_namespace_is_told_with_its_place() -> None:
    told = faults("namespaces", b'{"market":{"policy":"log"},"a":{"policy":"new"},"b":{"policy":"log","x":1}}')
    assert [fault.rpartition(" - at ")[2] for fault in told] == [
        "`$.namespaces.market`",
        "`$.namespaces.a.policy`",
        "`$.namespaces.b`",
    ]


def test_what_is_right_is_read() -> None:
    (chat,) = read_namespaces_section(b'{"chat":{"policy":"log","history_age":"2d"}}')
    assert (chat.name, chat.history_age_s) == ("chat", 172_800.0)
    assert read_plans(b'{"free":{"NSE":"15m"}}').delays_s == {900}
    assert read_limits(b"{}") == LimitsSection()
    assert read_limits(b'{"rate_limit_time_window":"1d"}').rate_limit_time_window_s == 86_400.0


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("raw", [b"", b"[]", b"5", b"\xff", b"{", b'{"\xff":1}', b"[" * 100_000, b'{"a":' * 50_000])
def test_what_is_no_object_is_refused(name: str, raw: bytes) -> None:
    assert f"`$.{name}" in faults(name, raw)[0]


@given(name=st.sampled_from(list(READERS)), value=JSON)
def test_any_json_is_read_or_refused_with_a_place(name: str, value: object) -> None:
    told: list[str] | None = None
    try:
        READERS[name](msgspec.json.encode(value))
    except SectionFaults as exc:
        told = exc.faults
    assert told is None or (told and all(f"`$.{name}" in fault for fault in told))
