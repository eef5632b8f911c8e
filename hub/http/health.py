"""`/health` and `/health/detailed`: whether this process lives, and whether all that it depends on does."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from hub.http.envelope import success
from schemas.errors import Unavailable

Check = Callable[[], Awaitable[None]]
"""A round trip to something; raises Unavailable."""


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """This process turns; `uptime` is in seconds."""

    status: Literal["ok"]
    uptime: float


class DependencyHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One dependency: its round trip in milliseconds, or why there is none."""

    status: Literal["ok", "unavailable"]
    ms: float | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """Each dependency, and figures of this process."""

    status: Literal["ok", "degraded"]
    parts: dict[str, DependencyHealth]
    uptime: float


async def health_of(check: Check) -> DependencyHealth:
    """One dependency's answer to a question, or why there is none."""
    before = time.perf_counter()
    try:
        await check()
    except Unavailable as exc:
        return DependencyHealth(status="unavailable", reason=exc.why)
    return DependencyHealth(status="ok", ms=round((time.perf_counter() - before) * 1000, 2))


class Health:
    """`/health` says whether the process lives; `/health/detailed` also asks everything that it depends on."""

    def __init__(self, *, checks: dict[str, Check], facts: Callable[[], dict[str, Any]]) -> None:
        self._checks = checks
        self._facts = facts
        self._started = time.monotonic()

    async def health(self, _: Request) -> Response:
        """Alive: the loop turns and answers. Whether Redis does is no reason to restart this process."""
        return success(Alive(status="ok", uptime=self._uptime))

    async def detailed(self, _: Request) -> Response:
        """Each dependency with its round trip in milliseconds; 503 where one is away."""
        parts = {name: await health_of(check) for name, check in self._checks.items()}
        well = all(part.status == "ok" for part in parts.values())
        report = HealthReport(status="ok" if well else "degraded", parts=parts, uptime=self._uptime)
        return success(msgspec.structs.asdict(report) | self._facts(), 200 if well else 503)

    @property
    def _uptime(self) -> float:
        return round(time.monotonic() - self._started, 1)
