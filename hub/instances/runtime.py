"""What administrators set at run time, followed by every process that shares the database.

Once a second, and when a bell rings, one query asks for all sections. One that has changed is read and handed to
whoever goes by it; without one, what files and settings say counts again. A value that can't be read (someone wrote it
into the table by hand) is logged and passed over: what counted before goes on.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from auth.plans import Plans
from channels.channel import ChannelNames
from channels.registry import Registry
from feeds.configuration import Configuration
from hub.instances.sections import LimitsSection, SectionFaults, read_limits, read_namespaces_section, read_plans
from schemas.durations import Seconds
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.hub.instances.runtime")

POLL_S: Seconds = 1.0

T = TypeVar("T")


class Runtime:
    """Follows the sections that it is told to, before it is run. One for a process, whatever its roles."""

    def __init__(self, configuration: Configuration) -> None:
        self.on_applied: list[Callable[[], None]] = []
        """Called after sections have been applied, such as to apply sockets' rights again. They must not wait."""
        self._configuration = configuration
        self._rung = asyncio.Event()
        self._sections: dict[str, Callable[[str | None], None]] = {}
        self._seen: dict[str, str] = {}
        self._away = False

    def follow(self, name: str, read: Callable[[bytes], T], apply: Callable[[T | None], None]) -> None:
        """Hand a section to `apply` whenever it changes, None where none is set any more. Neither may wait."""

        def take(text: str | None) -> None:
            apply(None if text is None else read(text.encode()))

        self._sections[name] = take

    def follow_namespaces(self, names: ChannelNames, registry: Registry) -> None:
        """Let the section add to the namespaces that `names` has now, and count over those of the same name."""
        from_files = names.namespaces

        def apply(added: Any) -> None:
            names.replace(from_files.with_added(added or ()))
            registry.renew(names)

        self.follow("namespaces", read_namespaces_section, apply)

    def follow_plans(self, plans: Plans) -> None:
        """Let the section count instead of the table that `plans` is now."""
        from_files = Plans(plans.rules)

        def apply(read: Plans | None) -> None:
            plans.replace(read or from_files)

        self.follow("plans", read_plans, apply)

    def follow_limits(self, apply: Callable[[LimitsSection], None]) -> None:
        """Hand over the limits that are set; those that are None are the settings'."""
        self.follow("limits", read_limits, lambda read: apply(read or LimitsSection()))

    def ring(self, _section: str = "") -> None:
        """Somebody has set a section: look at once."""
        self._rung.set()

    async def run(self) -> NoReturn:
        """Follow until cancelled. A database that is away changes nothing."""
        while True:
            self._rung.clear()
            try:
                await self.poll()
                self._away = False
            except Unavailable as exc:
                if not self._away:
                    log.warning("config.unread", extra={"what": exc.what, "why": exc.why})
                self._away = True
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._rung.wait()

    async def poll(self) -> bool:
        """Look once; whether something has changed, which then has been applied. Raises Unavailable."""
        entries = await self._configuration.get_all(self._sections)
        texts = {name: entry.value for name, entry in entries.items()}
        changed = [name for name in self._sections if texts.get(name) != self._seen.get(name)]
        self._seen = texts
        applied = [self._apply(name, texts.get(name)) for name in changed]
        if not any(applied):
            return False
        for told in self.on_applied:
            told()
        return True

    def _apply(self, name: str, text: str | None) -> bool:
        try:
            self._sections[name](text)
        except SectionFaults as exc:
            log.warning("config.unreadable", extra={"section": name, "why": str(exc)[:500]})
            return False
        log.info("config.applied", extra={"section": name, "set": text is not None})
        return True
