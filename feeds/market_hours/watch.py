"""Keeps the sessions up to date: the calendar's holidays at the start, overrides while we run."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from feeds.configuration import Configuration
from feeds.errors import BadFile
from feeds.market_hours.holidays import load_calendar
from feeds.market_hours.overrides import CONFIGURATION_KEY, NO_OVERRIDES, Overrides, OverridesFile, read_json
from feeds.market_hours.sessions import Sessions
from schemas.durations import Seconds
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.feeds.market_hours.watch")


class SessionWatch:
    """Watches the file and the administrators' overrides for one process, either of which may be absent."""

    POLL_S: Seconds = 5.0

    def __init__(
        self,
        sessions: Sessions,
        *,
        file: OverridesFile | None = None,
        configuration: Configuration | None = None,
        sleep: Callable[[Seconds], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sessions = sessions
        self._file = file
        self._configuration = configuration
        self._sleep = sleep
        self._set: Overrides = NO_OVERRIDES
        self._away = False

    async def run(self) -> None:
        """Loads the calendar, then looks for overrides every POLL_S until cancelled.

        Until the calendar is there, and if it can't be loaded, the sessions keep the one they have.
        """
        await self._load()
        while True:
            await self.poll()
            await self._sleep(self.POLL_S)

    async def poll(self) -> None:
        """Looks once, and tells the sessions if anything is new."""
        from_file = self._file is not None and await self._file.poll()
        from_database = await self._poll_configuration()
        if from_file or from_database:
            said = self._file.overrides if self._file is not None else NO_OVERRIDES
            self._sessions.use(overrides=[said, self._set])

    async def _load(self) -> None:
        try:
            self._sessions.use(calendar=await asyncio.to_thread(load_calendar))
        except (ImportError, AttributeError) as exc:  # a release of the package that has moved things
            log.warning("sessions.no_calendar", extra={"why": str(exc), "hint": "holidays of 2026 only"})

    async def _poll_configuration(self) -> bool:
        if self._configuration is None:
            return False
        try:
            changed = await self._configuration.poll(CONFIGURATION_KEY, self._apply)
        except BadFile as exc:
            log.error("sessions.bad_configuration", extra={"why": str(exc)})  # noqa: TRY400 - a text, not a bug
            return False
        except Unavailable as exc:
            if not self._away:
                log.warning("sessions.database_away", extra={"why": exc.why})
            self._away = True
            return False
        self._away = False
        return changed

    def _apply(self, value: str | None) -> None:
        self._set = NO_OVERRIDES if value is None else read_json(value)
