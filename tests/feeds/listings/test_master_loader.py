import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

import pytest

from feeds.errors import BadFile, ConnectionLost, VendorRefused
from feeds.instruments import Listing
from feeds.listings.instrument_store import InstrumentStore
from feeds.listings.master_loader import FIRST_PAUSE_S, LONGEST_PAUSE_S, MasterLoader, modified_day
from feeds.listings.masters import VENDORS, Vendor
from hub.database import engine_for, migrate
from schemas.market import IST
from tests.feeds.listings.masters import samples

FRIDAY, MONDAY, WEDNESDAY = date(2026, 11, 20), date(2026, 11, 23), date(2026, 11, 25)
HOLIDAY = date(2026, 11, 24)

Answer = Mapping[str, bytes] | Exception


def is_trading_day(day: date) -> bool:
    return day.weekday() < 5 and day != HOLIDAY


class Enough(Exception):
    """The test has seen what it wanted."""


class World:
    """A vendor's server, a clock that only sleeping moves, and the one who gets the listings."""

    def __init__(self, now: str, *answers: Answer, modified: str = "") -> None:
        self.answers = list(answers)
        self.modified = modified
        self.now = datetime.fromisoformat(now).replace(tzinfo=IST).timestamp()
        self.asked: list[str] = []
        self.slept: list[float] = []
        self.in_force: list[Sequence[Listing]] = []
        self.said: list[str] = []
        self.until = 0

    def clock(self) -> float:
        return self.now

    @property
    def time(self) -> str:
        return datetime.fromtimestamp(self.now, IST).strftime("%a %H:%M")

    async def fetch(self, url: str) -> tuple[bytes, Mapping[str, str]]:
        self.asked.append(f"{self.time} {url}")
        name = url.rpartition("/")[2]
        answer = self.answers[0]
        if isinstance(answer, Exception):
            self.answers.pop(0)
            raise answer
        left = [one for one in answer if url.endswith(one)]
        if len(left) != 1:
            raise VendorRefused("not found", status=404)
        if name == list(answer)[-1] and len(self.answers) > 1:
            self.answers.pop(0)
        return answer[name], {"Last-Modified": self.modified} if self.modified else {}

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        if len(self.in_force) >= self.until:
            raise Enough

    async def take(self, listings: Sequence[Listing]) -> None:
        self.in_force.append(listings)

    def loader(
        self, store: InstrumentStore | None = None, *, vendor: str = "kite", path: Path | None = None
    ) -> MasterLoader:
        return MasterLoader(
            VENDORS[vendor], store, fetch=self.fetch, on_listings=self.take, is_trading_day=is_trading_day, path=path,
            say=self.said.append, clock=self.clock, sleep=self.sleep, chance=lambda: 0.5,
        )  # fmt: skip

    async def run(self, loader: MasterLoader, *, until: int) -> None:
        """Runs the loader until so many lists were in force, and it sleeps."""
        self.until = until
        with pytest.raises(Enough):
            async with asyncio.timeout(10):
                await loader.run()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[InstrumentStore]:
    engine = engine_for("", tmp_path)
    await migrate(engine)
    yield InstrumentStore(engine)
    await engine.dispose()


def http_date(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%a, %d %b %Y %H:%M:%S GMT")


# -- which day -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-11-23T08:34:59", FRIDAY),
        ("2026-11-23T08:35:00", MONDAY),
        ("2026-11-23T23:59:00", MONDAY),
        ("2026-11-24T12:00:00", MONDAY),
        ("2026-11-25T08:00:00", MONDAY),
        ("2026-11-25T09:00:00", WEDNESDAY),
        ("2026-11-22T12:00:00", FRIDAY),
    ],
)
def test_a_list_is_of_the_last_trading_morning(now: str, day: date) -> None:
    assert World(now).loader().wanted_day() == day


@pytest.mark.parametrize(
    ("headers", "day"),
    [
        ({"last-modified": "Mon, 23 Nov 2026 03:05:00 GMT"}, MONDAY),
        ({"Last-Modified": "Sun, 22 Nov 2026 18:29:00 GMT"}, date(2026, 11, 22)),
        ({"Last-Modified": "Sun, 22 Nov 2026 18:31:00 GMT"}, MONDAY),
        ({"Last-Modified": "yesterday"}, None),
        ({}, None),
    ],
)
def test_last_modified_is_a_day_in_india(headers: dict[str, str], day: date | None) -> None:
    assert modified_day(headers) == day


# -- loading -------------------------------------------------------------------------------------------------------


async def test_the_first_start_fetches_and_keeps_the_list(store: InstrumentStore) -> None:
    world = World("2026-11-23T10:00:00", samples.kite())
    loader = world.loader(store)
    await world.run(loader, until=1)
    assert world.asked == ["Mon 10:00 https://api.kite.trade/instruments"]
    assert len(world.in_force) == 1
    assert len(world.in_force[0]) == 15
    assert {one.instrument.listed_on for one in world.in_force[0]} == {MONDAY}
    assert await store.by_vendor("kite") == world.in_force[0]
    assert loader.day == MONDAY
    assert world.said == [
        "kite: fetching the list of instruments",
        "kite: 15 instruments, 0 lines left out, 0.0 s",
    ]


async def test_a_later_start_of_the_same_day_asks_nobody(store: InstrumentStore) -> None:
    await World("2026-11-23T10:00:00", samples.kite()).loader(store).load()
    world = World("2026-11-24T20:00:00")
    await world.run(world.loader(store), until=1)
    assert world.asked == []
    assert [len(one) for one in world.in_force] == [15]


async def test_a_new_list_comes_each_trading_morning_before_the_pre_open(store: InstrumentStore) -> None:
    world = World("2026-11-20T10:00:00", samples.kite())
    await world.run(world.loader(store), until=3)
    assert [entry[:9] for entry in world.asked] == ["Fri 10:00", "Mon 08:36", "Wed 08:36"]
    assert max(world.slept) <= 900
    assert await store.loaded_for("kite") == WEDNESDAY


async def test_what_fails_is_tried_again_with_growing_pauses(
    store: InstrumentStore, caplog: pytest.LogCaptureFixture
) -> None:
    html = {"instruments": b"<html>maintenance</html>"}
    failures: list[Answer] = [ConnectionLost("nobody there"), VendorRefused("HTTP 503", status=503)]
    world = World("2026-11-23T08:40:00", *failures, html, {"instruments": b""}, samples.kite())
    with caplog.at_level(logging.WARNING, "tickhub.feeds.listings.master_loader"):
        await world.run(world.loader(store), until=1)
    assert world.slept[:4] == [0.75 * FIRST_PAUSE_S * 2**turn for turn in range(4)]
    assert [record.message for record in caplog.records] == ["master.refused"] * 4
    reasons = [record.reason for record in caplog.records]  # type: ignore[attr-defined]
    assert reasons == [
        "nobody there",
        "HTTP 503",
        "instruments is a web page, not a list of instruments",
        "instruments is empty",
    ]
    assert len(world.in_force) == 1


async def test_the_longest_pause_is_bounded() -> None:
    world = World("2026-11-23T08:40:00", *[ConnectionLost("nobody there")] * 12, samples.kite())
    await world.run(world.loader(), until=1)
    assert max(world.slept[:12]) == 0.75 * LONGEST_PAUSE_S


async def test_the_old_list_stays_in_force_while_there_is_no_new_one(store: InstrumentStore) -> None:
    await World("2026-11-20T10:00:00", samples.kite()).loader(store).load()
    world = World("2026-11-23T09:00:00", ConnectionLost("nobody there"))
    loader = world.loader(store)
    await world.run(loader, until=1)
    assert [len(one) for one in world.in_force] == [15]
    assert {one.instrument.listed_on for one in world.in_force[0]} == {FRIDAY}
    assert loader.day == FRIDAY
    assert await store.by_vendor("kite") == world.in_force[0]


async def test_a_list_of_yesterday_is_refused_where_there_is_another(store: InstrumentStore) -> None:
    await World("2026-11-20T10:00:00", samples.kite()).loader(store).load()
    world = World("2026-11-23T08:36:00", samples.kite(), modified=http_date("2026-11-20T03:00:00"))
    loader = world.loader(store)
    await loader.restore()
    with pytest.raises(BadFile, match="the list is of 2026-11-20, older than 2026-11-23"):
        await loader.load()
    assert loader.day == FRIDAY
    world.modified = http_date("2026-11-23T03:00:00")
    await loader.load()
    assert loader.day == MONDAY


async def test_an_old_list_is_better_than_none_but_a_newer_one_is_looked_for(
    store: InstrumentStore, caplog: pytest.LogCaptureFixture
) -> None:
    world = World("2026-11-23T08:40:00", samples.kite(), modified=http_date("2026-11-20T03:00:00"))
    loader = world.loader(store)
    with caplog.at_level(logging.WARNING, "tickhub.feeds.listings.master_loader"):
        await world.run(loader, until=1)
    assert len(world.in_force) == 1
    assert loader.day == FRIDAY
    assert world.slept == [0.75 * FIRST_PAUSE_S]
    assert [record.message for record in caplog.records] == ["master.loaded"]


async def test_a_list_that_is_made_the_evening_before_is_todays() -> None:
    shares = tuple(line.replace("2026-11-23", "2026-11-20") for line in samples.FYERS_LINES["NSE_CM.csv"])
    world = World("2026-11-23T08:36:00", samples.fyers(NSE_CM=shares))
    loader = world.loader(vendor="fyers")
    await loader.load()
    assert loader.day == MONDAY


async def test_a_much_smaller_list_is_refused(store: InstrumentStore) -> None:
    many = samples.kite(*(f"{number << 8},{number},S{number},S,0,,0,0.05,1,EQ,NSE,NSE" for number in range(1, 1_201)))
    await World("2026-11-20T10:00:00", many).loader(store).load()
    world = World("2026-11-23T10:00:00", samples.kite())
    loader = world.loader(store)
    await loader.restore()
    with pytest.raises(BadFile, match="kite: only 5 instruments of NSE, after 1200 the last time"):
        await loader.load()
    assert len(await store.by_vendor("kite")) == 1_200


async def test_without_a_database_the_listings_are_handed_on_all_the_same() -> None:
    world = World("2026-11-23T10:00:00", samples.kite())
    await world.run(world.loader(), until=1)
    assert {one.instrument.listed_on for one in world.in_force[0]} == {MONDAY}


async def test_while_the_database_is_away_the_listings_are_handed_on_and_kept_later(tmp_path: Path) -> None:
    world = World("2026-11-23 10:00", samples.kite())
    world.until = 2
    engine = engine_for("", tmp_path / "data")
    try:
        with pytest.raises(Enough):  # no tables yet
            await world.loader(InstrumentStore(engine)).run()
        assert len(world.in_force) == 2
        assert world.slept[0] <= FIRST_PAUSE_S
        await migrate(engine)
        loader = world.loader(InstrumentStore(engine))
        await loader.load()
        assert loader.day == MONDAY
        assert await InstrumentStore(engine).loaded_for("kite") == MONDAY
    finally:
        await engine.dispose()


async def test_a_file_that_may_be_missing_may_be_missing() -> None:
    files = {name: data for name, data in samples.fyers().items() if name != "index_hsm_mapping.json"}
    world = World("2026-11-23T10:00:00", files)
    await world.loader(vendor="fyers").load()
    assert len(world.in_force[0]) == 13


async def test_a_file_that_must_be_there_must_be_there() -> None:
    files = {name: data for name, data in samples.shoonya().items() if not name.startswith("BSE")}
    with pytest.raises(VendorRefused, match="not found"):
        await World("2026-11-23T10:00:00", files).loader(vendor="shoonya").load()


# -- local files ---------------------------------------------------------------------------------------------------


def written(vendor: Vendor, files: Mapping[str, bytes], where: Path) -> None:
    for name in vendor.urls:
        (where / name).write_bytes(files[name])


async def test_a_local_file_is_read_and_nobody_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(samples.kite()["instruments"])
    world = World("2026-11-23T10:00:00")
    await world.loader(path=path).load()
    assert (len(world.in_force[0]), world.asked) == (15, [])


async def test_a_directory_holds_the_files_of_a_vendor_that_has_several(tmp_path: Path) -> None:
    written(VENDORS["fyers"], samples.fyers(), tmp_path)
    world = World("2026-11-23T10:00:00")
    await world.loader(vendor="fyers", path=tmp_path).load()
    assert len(world.in_force[0]) == 13
    (tmp_path / "NSE_FO.csv").unlink()
    with pytest.raises(BadFile, match=r"NSE_FO.csv missing"):
        await world.loader(vendor="fyers", path=tmp_path).load()
    with pytest.raises(BadFile, match="has several files: name the directory"):
        await world.loader(vendor="fyers", path=tmp_path / "BSE_CM.csv").load()


async def test_a_missing_local_file_is_told_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    world = World("2026-11-23T10:00:00")
    await world.run(world.loader(path=path), until=0)
    assert world.in_force == []
    assert "No such file" in world.said[0]
