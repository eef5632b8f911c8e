"""Keeps one broker's instruments up to date: what is in force at the start, and a new list every trading morning.

A list that can't be fetched or makes no sense changes nothing: the one before stays in force, and it is tried again
with growing pauses. Each list is of a day: the last trading day on which it was past REFRESH_AT in India.
"""

import asyncio
import logging
import random
import time as clocks
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec

from feeds.errors import BadFile, ConnectionLost, VendorRefused
from feeds.instruments import Listing
from feeds.listings.instrument_changes import changes
from feeds.listings.instrument_store import InstrumentStore
from feeds.listings.masters import Master, Vendor, check_age, check_size, read_master
from feeds.waiting import Chance, Sleep
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.market import IST

Fetch = Callable[[str], Awaitable[tuple[bytes, Mapping[str, str]]]]
"""The body and the headers of a 200 answer. Raises VendorRefused or ConnectionLost."""

OnListings = Callable[[Sequence[Listing]], Awaitable[None]]
"""Takes what the broker lists from now on."""

Tell = Callable[[int, int, str], None]
"""Hears how much of how much is done, 0 where nobody counts, and what goes on."""

Watch = Callable[[str], AbstractContextManager[Tell]]
"""Shows somebody that work of this name goes on in the block."""

REFRESH_AT = time(8, 35)
"""Kite makes its list at about 08:30; the pre-open begins at 09:00."""
FETCH_TIMEOUT_S: Seconds = 120.0
FIRST_PAUSE_S: Seconds = 15.0
LONGEST_PAUSE_S: Seconds = 600.0
LONGEST_SLEEP_S: Seconds = 900.0
"""The clock is read again at least so often, for machines that were suspended."""
SPREAD_S: Seconds = 120.0
"""Not all hubs ask in the same second."""

_LONGEST_BREAK_DAYS = 30
_log = logging.getLogger("tickhub.feeds.listings.master_loader")


def _unwatched(_: str) -> AbstractContextManager[Tell]:
    return nullcontext(lambda *_: None)


class MasterLoader:
    """Loads one broker's master. `path` is a local file, or a directory of files by the vendor's names."""

    def __init__(
        self,
        vendor: Vendor,
        store: InstrumentStore | None,
        *,
        fetch: Fetch,
        on_listings: OnListings,
        is_trading_day: Callable[[date], bool],
        path: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
        watch: Watch = _unwatched,
        smallest: float = 0.5,
        clock: Callable[[], float] = clocks.time,
        sleep: Sleep = asyncio.sleep,
        chance: Chance = random.random,
    ) -> None:
        self._vendor = vendor
        self._store = store
        self._fetch = fetch
        self._on_listings = on_listings
        self._is_trading_day = is_trading_day
        self._path = path
        self._say = say
        self._watch = watch
        self._smallest = smallest
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._day: date | None = None

    @property
    def day(self) -> date | None:
        """The day of the list that is in force."""
        return self._day

    async def run(self) -> None:
        """Load at once, from the database if it has today's list, and then every morning; until cancelled.

        Raises only what `on_listings` raises.
        """
        pause_s = FIRST_PAUSE_S
        await self._try(self.restore)
        while True:
            if self._is_current():
                pause_s = FIRST_PAUSE_S
                await self._sleep(min(self._until_next_s(), LONGEST_SLEEP_S))
            elif not await self._try(self.load) or not self._is_current():
                await self._sleep(pause_s * (1 + self._chance()) / 2)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def restore(self) -> None:
        """Put the database's list in force, of whichever day, if it has one. Raises Unavailable."""
        if self._store is None or (day := await self._store.loaded_for(self._vendor.name)) is None:
            return
        listings = await self._store.by_vendor(self._vendor.name)
        if listings:
            await self._put_in_force(listings, day)
            _log.info("master.restored", extra=self._fields(instruments=len(listings), day=str(day)))

    async def load(self) -> None:
        """Fetch the list, read it, keep it, and put it in force.

        Raises VendorRefused, ConnectionLost, BadFile, OSError (a local file) or Unavailable (the database); what was
        in force before then stays so. Where nothing was, the list is in force without having been kept.
        """
        with self._watch(f"Loading the instruments of {self._vendor.name}") as tell:
            await self._load(tell)

    async def _load(self, tell: Tell) -> None:
        began = self._clock()
        day = self.wanted_day()
        tell(0, 0, "fetching the list")
        files, modified_on = await self._files()
        tell(0, 0, f"reading {sum(map(len, files.values())) / 1e6:.1f} MB")
        master = await asyncio.to_thread(read_master, self._vendor, files, today=day)
        master = msgspec.structs.replace(master, made_on=master.made_on or modified_on)
        tell(0, 0, f"storing {len(master.listings):,} instruments")
        try:
            listings, is_old = await self._checked_and_kept(master, day)
        except Unavailable:
            if self._day is None:  # prices flow without a database
                await self._on_listings(await _unkept(master, day))
            raise
        await self._put_in_force(listings, min(day, master.made_on or day) if is_old else day)
        self._tell(master, self._clock() - began)

    async def _checked_and_kept(self, master: Master, day: date) -> tuple[Sequence[Listing], bool]:
        """What is in force with a master, once it is in the database; and whether it is old."""
        before = {} if self._store is None else await self._store.counts(self._vendor.name)
        is_old = self._check(master, before, day)
        if self._store is None:
            return await _unkept(master, day), is_old
        return await self._store.update(self._vendor.name, master.listings, day), is_old

    def wanted_day(self) -> date:
        """The day of which a list should be in force now."""
        now = self._now()
        today = now.date()
        return today if self._is_due(now) else self._trading_day_before(today)

    def _check(self, master: Master, before: Mapping[str, int], day: date) -> bool:
        """Whether the list is older than it should be, where there is nothing newer. Raises BadFile for one of no use.

        Where no list is in force, an old one is better than none: what has expired is left out of it anyway.
        """
        check_size(master, before, smallest=self._smallest)
        since = self._trading_day_before(day) if self._vendor.made_the_day_before else day
        try:
            check_age(master, since=since)
        except BadFile:
            if self._day is not None:
                raise
            return True
        return False

    async def _files(self) -> tuple[dict[str, bytes], date | None]:
        """The files by name, and the newest day on which a server says that one of them was changed."""
        if self._path is not None:
            return await asyncio.to_thread(_read_local, self._vendor, self._path), None
        self._say(f"{self._vendor.name}: fetching the list of instruments")
        files: dict[str, bytes] = {}
        days: list[date] = []
        for name, url in self._vendor.urls.items():
            try:
                files[name], headers = await self._fetched(url)
            except (VendorRefused, ConnectionLost):
                if name not in self._vendor.optional:
                    raise
            else:
                if name not in self._vendor.optional and (day := modified_day(headers)):
                    days.append(day)
        return files, max(days, default=None)

    async def _fetched(self, url: str) -> tuple[bytes, Mapping[str, str]]:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                return await self._fetch(url)
        except TimeoutError as exc:
            raise ConnectionLost(f"no whole answer in {FETCH_TIMEOUT_S:g} s") from exc

    async def _try(self, attempt: Callable[[], Awaitable[None]]) -> bool:
        """Whether it worked; why not, is logged and said."""
        try:
            await attempt()
        except (VendorRefused, ConnectionLost, BadFile, Unavailable, OSError) as exc:
            in_force = "none" if self._day is None else str(self._day)
            _log.warning("master.refused", extra=self._fields(reason=str(exc), in_force=in_force))
            self._say(f"{self._vendor.name}: no new list of instruments: {exc}")
            return False
        return True

    async def _put_in_force(self, listings: Sequence[Listing], day: date) -> None:
        await self._on_listings(listings)
        self._day = day

    def _tell(self, master: Master, seconds: Seconds) -> None:
        left_out = sum(master.left_out.values())
        count = len(master.listings)
        fields = self._fields(
            instruments=count, left_out=dict(master.left_out), day=str(self._day), seconds=round(seconds, 1)
        )
        (_log.info if self._is_current() else _log.warning)("master.loaded", extra=fields)
        self._say(f"{self._vendor.name}: {count:,} instruments, {left_out:,} lines left out, {seconds:.1f} s")

    def _fields(self, **fields: object) -> dict[str, object]:
        return {"vendor": self._vendor.name, **fields}

    def _is_current(self) -> bool:
        return self._day is not None and self._day >= self.wanted_day()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC).astimezone(IST)

    def _is_due(self, now: datetime) -> bool:
        return now.time() >= REFRESH_AT and self._is_trading_day(now.date())

    def _trading_day_before(self, day: date) -> date:
        days = (day - timedelta(days=back) for back in range(1, _LONGEST_BREAK_DAYS))
        return next(filter(self._is_trading_day, days), day - timedelta(days=1))

    def _until_next_s(self) -> Seconds:
        """Until a little after the next REFRESH_AT."""
        now = self._now()
        due = datetime.combine(now.date(), REFRESH_AT, IST)
        if due <= now:
            due += timedelta(days=1)
        return (due - now).total_seconds() + self._chance() * SPREAD_S


def modified_day(headers: Mapping[str, str]) -> date | None:
    """The day in India of `Last-Modified`; None where it is missing or makes no sense."""
    text = next((value for name, value in headers.items() if name.lower() == "last-modified"), "")
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(IST).date()
    except (ValueError, OverflowError):
        return None


async def _unkept(master: Master, day: date) -> Sequence[Listing]:
    return (await asyncio.to_thread(changes, {}, master.listings, day)).listings


def _read_local(vendor: Vendor, path: Path) -> dict[str, bytes]:
    """The vendor's files in a directory, or the one file of a vendor that has only one. Raises OSError, BadFile."""
    if path.is_dir():
        return {name: (path / name).read_bytes() for name in vendor.urls if (path / name).is_file()}
    if len(vendor.urls) > 1:
        raise BadFile(f"{vendor.name} has several files: name the directory that holds {', '.join(vendor.urls)}")
    return {name: path.read_bytes() for name in vendor.urls}
