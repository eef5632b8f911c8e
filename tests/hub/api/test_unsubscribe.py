"""Links out of messages: one click unsubscribes, a look at the page doesn't, and nobody else's link can be made."""

import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.audit import Event
from auth.identity import LANGUAGES
from auth.preferences import Edit, Preference, Preferences
from hub import languages
from hub.api.unsubscribe import LinksApi
from notifiers.outbox.delivery import Kind
from notifiers.people.links import Acknowledging, Links
from notifiers.people.preferences import read
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.secret import Secret
from tests.hub.dispatched import dispatched

LINKS = Links(Secret("s" * 32), "http://hub")
ONE_CLICK = {"List-Unsubscribe": "One-Click"}

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests that ask nothing of the database which others don't."""


class House:
    """What the links reach."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.preferences = Preferences(engine, wall=lambda: 1.0)
        self.acknowledged: list[Acknowledging] = []
        self.noted: list[Event] = []
        self.away = False
        self.api = LinksApi(
            links=LINKS,
            preference_of=self.preferences.get,
            edit=self.edit,
            acknowledge=self.acknowledge,
            note=self.noted.append,
            tell=languages.tell,
        )

    async def edit(self, user: str, edit: Edit) -> Preference:
        if self.away:
            raise Unavailable("database", "away")
        return await self.preferences.edit(user, edit)

    async def acknowledge(self, link: Acknowledging) -> None:
        if link.trigger == 404:
            raise CommandError(ErrorCode.NOT_FOUND, "There is no trigger {trigger}", trigger=link.trigger)
        self.acknowledged.append(link)

    async def said_no(self, way: Way, kind: Kind) -> bool:
        return read((await self.preferences.get("7")).notifications).said_no(way, kind)


@pytest.fixture
def house(engine: AsyncEngine) -> House:
    return House(engine)


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with dispatched(house.api.endpoints, {}) as client:
        yield client


async def test_one_click_of_a_mail_program_unsubscribes(house: House, client: httpx2.AsyncClient) -> None:
    answer = await client.post(LINKS.unsubscribe("7", Way.EMAIL, "alert"), data=ONE_CLICK)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert await house.said_no(Way.EMAIL, Kind.ALERT)
    assert not await house.said_no(Way.EMAIL, Kind.NOTICE)
    assert not await house.said_no(Way.SMS, Kind.ALERT)
    (noted,) = house.noted
    assert (noted.action, noted.actor, noted.details) == (
        "notifications.unsubscribed", "7", {"channel": "email", "kind": "alert"},
    )  # fmt: skip


@pytest.mark.parametrize("way", ["multipart", "empty", "rubbish"])
@SQLITE
async def test_any_body_unsubscribes(house: House, client: httpx2.AsyncClient, way: str) -> None:
    link = LINKS.unsubscribe("7", Way.EMAIL)
    match way:
        case "multipart":
            answer = await client.post(link, files={"List-Unsubscribe": (None, "One-Click")})
        case "empty":
            answer = await client.post(link)
        case _:
            answer = await client.post(link, content=b"\xff\xfe&&&=")
    assert answer.status_code == 200
    assert await house.said_no(Way.EMAIL, Kind.DIGEST)


@SQLITE
async def test_looking_at_the_page_does_nothing(house: House, client: httpx2.AsyncClient) -> None:
    answer = await client.get(LINKS.unsubscribe("7", Way.EMAIL))
    assert answer.status_code == 200
    assert (await client.head(LINKS.unsubscribe("7", Way.EMAIL))).status_code == 200
    assert not await house.said_no(Way.EMAIL, Kind.ALERT)
    assert await house.preferences.get("7") == Preference()
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "<script" not in answer.text


async def test_the_buttons_of_the_pages_unsubscribe_and_undo_it(house: House, client: httpx2.AsyncClient) -> None:
    link = LINKS.unsubscribe("7", Way.SMS)
    page = await client.get(link)
    for expected in (True, False):
        action = re.search(r'<form method="post" action="([\w-]+)">', page.text)
        fields = dict(re.findall(r'name="([\w-]+)" value="([\w-]+)"', page.text))
        assert action is not None
        page = await client.post(link.rpartition("/")[0] + "/" + action[1], data=fields)
        assert page.status_code == 200
        assert await house.said_no(Way.SMS, Kind.ALERT) is expected
    assert "<form" not in page.text
    assert [one.action for one in house.noted] == ["notifications.unsubscribed", "notifications.subscribed"]


@pytest.mark.parametrize("language", LANGUAGES)
@SQLITE
async def test_the_pages_speak_the_users_language(house: House, client: httpx2.AsyncClient, language: str) -> None:
    await house.preferences.put("7", language=language)
    pages = [
        await client.get(LINKS.unsubscribe("7", Way.VOICE)),
        await client.post(LINKS.unsubscribe("7", Way.VOICE), data=ONE_CLICK),
        await client.post(LINKS.unsubscribe("7", Way.VOICE), data={"undo": "1"}),
        await client.get(LINKS.acknowledge("7", 1, Way.EMAIL)),
        await client.post(LINKS.acknowledge("7", 1, Way.EMAIL)),
    ]
    for page in pages:
        assert page.status_code == 200
        assert f'<html lang="{language}">' in page.text
        assert "{" not in page.text.partition("<main>")[2]
    texts = {re.search("<h1>(.+)</h1>", page.text)[1] for page in pages}  # type: ignore[index]
    assert len(texts) == 5


@SQLITE
async def test_a_link_that_is_not_ours_is_refused_on_a_page(house: House, client: httpx2.AsyncClient) -> None:
    good = LINKS.unsubscribe("7", Way.EMAIL).rpartition("/")[2]
    for bad in (
        "x",
        good[:-1],
        LINKS.acknowledge("7", 1, Way.EMAIL).rpartition("/")[2],
        "%22%3E%3Cscript%3E",
        "%00",
        "é",
    ):
        for method in ("GET", "POST"):
            answer = await client.request(method, f"/unsubscribe/{bad}")
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert "<script" not in answer.text
    assert await house.preferences.get("7") == Preference()


@SQLITE
async def test_while_the_database_is_away_it_can_be_tried_again(house: House, client: httpx2.AsyncClient) -> None:
    house.away = True
    answer = await client.post(LINKS.unsubscribe("7", Way.EMAIL), data=ONE_CLICK)
    assert answer.status_code == 503
    assert "try again" in answer.text
    house.away = False
    assert (await client.post(LINKS.unsubscribe("7", Way.EMAIL), data=ONE_CLICK)).status_code == 200


@SQLITE
async def test_a_body_that_is_too_long_is_refused(house: House, client: httpx2.AsyncClient) -> None:
    answer = await client.post(LINKS.unsubscribe("7", Way.EMAIL), content=b"x" * 100_000)
    assert answer.status_code == 422
    assert not await house.said_no(Way.EMAIL, Kind.ALERT)


@SQLITE
async def test_a_firing_is_acknowledged_by_the_button_alone(house: House, client: httpx2.AsyncClient) -> None:
    link = LINKS.acknowledge("7", 12, Way.PUSH)
    assert (await client.get(link)).status_code == 200
    assert house.acknowledged == []
    for _ in range(2):
        assert (await client.post(link, data={"seen": "1"})).status_code == 200
    assert house.acknowledged == [Acknowledging("7", 12, Way.PUSH)] * 2
    gone = await client.post(LINKS.acknowledge("7", 404, Way.PUSH))
    assert gone.status_code == 404
