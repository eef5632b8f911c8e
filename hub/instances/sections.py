"""The sections of the run-time configuration: what each may say, and every fault of one with its place."""

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from auth.plans import Plans
from channels.namespace import Namespace, NamespaceFaults, read_namespaces
from feeds.errors import BadFile
from feeds.market_hours.overrides import CONFIGURATION_KEY, read_json
from schemas.durations import Seconds, parse_duration

_LONGEST_WINDOW_S = 86_400.0
_MOST = 1_000_000_000

_PLAN_FAULT = re.compile(r"\[(\w+)\] (?:(\w+): )?(.*)")
"""How `Plans.read` words a fault: `[free] NSE: expected …`."""


class SectionFaults(ValueError):
    """A section that makes no sense: every fault, each with its place such as `$.plans.free.NSE`."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "; ".join(self.faults)


class LimitsSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section `limits`: what counts instead of the settings of the same name; null: the setting."""

    rate_limit_max: Annotated[int, Meta(ge=1, le=_MOST)] | None = None
    rate_limit_time_window: Annotated[str, Meta(max_length=16)] | None = None
    """A duration such as `15m`, from 1s to 1d."""
    login_rate_limit_max: Annotated[int, Meta(ge=1, le=_MOST)] | None = None
    max_connections_per_user: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    """Sockets of one user in one process; 0: without limit."""

    @property
    def rate_limit_time_window_s(self) -> Seconds | None:
        """The window in seconds."""
        return None if self.rate_limit_time_window is None else parse_duration(self.rate_limit_time_window)


def read_sessions(raw: bytes) -> None:
    """Check the section `sessions`; see `feeds.market_hours.overrides`. Raises SectionFaults."""
    try:
        read_json(raw.decode())
    except (BadFile, UnicodeDecodeError, RecursionError) as exc:
        raise SectionFaults([_placed(str(exc), "sessions")]) from exc


def read_namespaces_section(raw: bytes) -> list[Namespace]:
    """The section `namespaces`: tables by name, as NAMESPACES_FILE has them. Raises SectionFaults."""
    try:
        return read_namespaces(_object(raw, "namespaces"))
    except NamespaceFaults as exc:
        raise SectionFaults([_placed(fault, f"namespaces.{name[:64]}") for name, fault in exc.faults]) from exc


def read_plans(raw: bytes) -> Plans:
    """The section `plans`: tables by plan, as PLANS_FILE has them. Raises SectionFaults."""
    try:
        return Plans.read(_object(raw, "plans"))
    except ValueError as exc:
        if isinstance(exc, SectionFaults):
            raise
        raise SectionFaults([_plan_fault(line) for line in str(exc).splitlines()]) from exc


def read_limits(raw: bytes) -> LimitsSection:
    """The section `limits`. Raises SectionFaults."""
    try:
        limits = msgspec.json.decode(raw, type=LimitsSection)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise SectionFaults([_placed(str(exc), "limits")]) from exc
    try:
        window_s = limits.rate_limit_time_window_s
    except ValueError as exc:
        raise SectionFaults([_placed(str(exc), "limits.rate_limit_time_window")]) from exc
    if window_s is not None and not 1 <= window_s <= _LONGEST_WINDOW_S:
        raise SectionFaults([_placed("Expected 1s to 1d", "limits.rate_limit_time_window")])
    return limits


READERS: dict[str, Callable[[bytes], object]] = {
    CONFIGURATION_KEY: read_sessions,
    "namespaces": read_namespaces_section,
    "plans": read_plans,
    "limits": read_limits,
}
"""What reads, and so checks, each section."""


def _object(raw: bytes, section: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise SectionFaults([_placed(str(exc), section)]) from exc


def _placed(fault: str, place: str) -> str:
    """A fault's text with its place in the whole; msgspec's words have their place in the part."""
    return fault.replace("`$", f"`$.{place}") if "`$" in fault else f"{fault} - at `$.{place}`"


def _plan_fault(line: str) -> str:
    worded = _PLAN_FAULT.fullmatch(line)
    if worded is None:
        return _placed(line, "plans")
    plan, name, fault = worded.groups()
    return _placed(fault, f"plans.{plan}.{name}" if name else f"plans.{plan}")
