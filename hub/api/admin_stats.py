"""`GET /api/v1/admin/stats`: how the whole installation does, told also while parts of it are away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from auth.account import AccountStatistics
from channels.broker import Clock
from hub.http.endpoint import Access, Call, Endpoint
from hub.http.health import Check, DependencyHealth, health_of
from hub.instances.fleet import Fleet
from hub.instances.stats import Figures, InstanceFigures, StatsAsked, summed
from schemas.errors import Unavailable

NEW_S = 7 * 86_400
"""For how long an account counts as new."""


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """The installation. `users` is null while the database is away; `registered` counts those of seven days.

    `missing` are instances that did not answer.
    """

    users: AccountStatistics | None
    total: Figures
    instances: list[InstanceFigures]
    missing: list[str]
    health: dict[str, DependencyHealth]
    feeds: dict[str, Any]
    """As `status:feeds` has it."""


class AdminStatsApi:
    """The endpoint of statistics.

    `users` counts accounts, and those since a time; `checks` do a round trip each and raise Unavailable; `feeds` are
    the fields of `status:feeds`; `wall` is Unix seconds.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        users: Callable[[int], Awaitable[AccountStatistics]],
        checks: Mapping[str, Check],
        feeds: Callable[[], dict[str, Any]],
        wall: Clock = time.time,
    ) -> None:
        self._fleet = fleet
        self._users = users
        self._checks = checks
        self._feeds = feeds
        self._wall = wall

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        return [Endpoint("GET", "/admin/stats", self.stats, access=Access.ADMIN)]

    async def stats(self, call: Call) -> Stats:
        """Show users, sockets, deliveries, health and feeds, of each instance and of all.

        Counts begin with the start of each process.
        """
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(self._fleet.ask("stats", StatsAsked(), InstanceFigures), name="stats.fleet")
            users = tasks.create_task(self._count_users(), name="stats.users")
            health = {
                name: tasks.create_task(health_of(check), name=f"stats.{name}") for name, check in self._checks.items()
            }
        told = asked.result()
        instances = [told.answers[name] for name in sorted(told.answers)]
        return Stats(
            users=users.result(),
            total=summed(instances),
            instances=instances,
            missing=list(told.missing),
            health={name: task.result() for name, task in health.items()},
            feeds=self._feeds(),
        )

    async def _count_users(self) -> AccountStatistics | None:
        try:
            return await self._users(int(self._wall()) - NEW_S)
        except Unavailable:  # the health of the database says so
            return None
