"""Whatever a client sends, it is told what is wrong with it, or served; nothing breaks, and no secret comes back."""

import logging
from collections.abc import AsyncIterator, Iterator
from itertools import count

import msgspec
import pytest

from auth.limits import Limit, Rule
from hub.http.endpoint import Access, Endpoint
from schemas.errors import HTTP_STATUS
from tests.hub.bad_input import GOOD, MARK, Case, bodies, ids, queries
from tests.hub.crowd import Browser, Crowd, all_of, browsing, hash_quickly
from tests.hub.live import Answer, Hub, bearer
from tests.hub.people import Person

FRESH = {"/auth/logout", "/users/api-keys"}
"""Where a request would change what the next ones are answered, each is another user's."""

LAST = ("DELETE", "/users/me")
"""Would end the account, so it is never sent the right password."""

FORMS = (b"token=x&token=y", b"token=%ff", b"&&&", b"=" * 100, b"a=b&" * 50, b"\xff\x00", b"token=" + b"x" * 70_000)


class Enemy:
    """An administrator with an account, who knows every route."""

    def __init__(self, hub: Hub, browser: Browser) -> None:
        self._hub = hub
        self._browser = browser
        self._numbers = count()
        self._account: dict[str, str] = {}
        self._victim = ""

    async def arrive(self) -> None:
        """Registers, and finds somebody else."""
        hash_quickly(self._hub)
        self._hub.web.api._limits.replace({Rule.FAILURES: Limit(10**9, 900)})
        crowd = Crowd(self._hub, self._browser)
        self._victim = (await crowd.person("victim")).id
        person = Person(self._hub, str(GOOD["email"]), str(GOOD["password"]))
        assert (await person.register()).status == 201
        await crowd.entitle(person, role="admin", plan="enterprise")
        self._account = person.bearer

    async def send(self, endpoint: Endpoint, case: Case) -> str | None:
        """What is wrong with the answer, None for nothing."""
        place = endpoint.path.replace("{symbol}", "TCS").replace(
            "{id}", self._victim if "users" in endpoint.path else "1"
        )
        answer = await self._ask(endpoint, place.replace("{client}", "0") + case.query, case.body)
        fault = _fault(endpoint, case, answer)
        return (
            fault
            and f"{endpoint.method} {endpoint.path} with {case.name}: {answer.status} {fault} {answer.body[:200]!r}"
        )

    async def reach(self, endpoint: Endpoint, name: str) -> str | None:
        """The same for a strange id in the path."""
        head, _, rest = endpoint.path.partition("{")
        tail = rest.partition("}")[2]
        answer = await self._ask(endpoint, head + name + tail, b"{}" if endpoint.body_type else None)
        fault = _fault(endpoint, Case(name=name), answer)
        return fault and f"{endpoint.method} {head}{name[:60]}{tail}: {answer.status} {fault} {answer.body[:200]!r}"

    async def _ask(self, endpoint: Endpoint, place: str, body: bytes | None) -> Answer:
        headers = self._account
        if body is not None and endpoint.path == "/auth/register":  # each somebody else, or the first is the last
            body = body.replace(b"crowd@", b"crowd%d@" % next(self._numbers))
        if body is not None and (endpoint.method, endpoint.path) == LAST:
            body = body.replace(str(GOOD["password"]).encode(), b"another-Tram-81")
        if endpoint.path in FRESH:
            headers = bearer(f"enemy-{next(self._numbers)}", role="admin")
        return await self._browser.ask(endpoint.method, place, raw=body, headers=headers)


def _fault(endpoint: Endpoint, case: Case, answer: Answer) -> str | None:
    """What is wrong with an answer: it is to be what is documented, and 400 where the endpoint's struct refuses."""
    refused = _refused(endpoint, case)
    if answer.status < 400:
        return "although it makes no sense" if refused else None
    if endpoint.raw and answer.headers["content-type"].startswith("text/html"):
        return None if answer.status in (400, 401, 404) else "as a page"
    if not _enveloped(answer):
        return "in no envelope"
    if MARK.encode() in answer.body:
        return "and echoes a secret"
    known = {400, 422} if refused else _documented(endpoint)
    return None if answer.status in known else f"instead of {known}"


def _documented(endpoint: Endpoint) -> set[int]:
    """What somebody whom an endpoint lets in may be answered, when nothing is wrong with the hub."""
    known = {400, 422, *(HTTP_STATUS[code] for code in endpoint.errors)}
    if "{" in endpoint.path:
        known.add(404)
    return known if endpoint.access is Access.PUBLIC else known | {403}


def _enveloped(answer: Answer) -> bool:
    try:
        error = answer.json["error"]
    except (ValueError, KeyError, TypeError):
        return False
    return bool(answer.code and error["details"]["request_id"] == answer.headers["x-request-id"])


def _refused(endpoint: Endpoint, case: Case) -> bool:
    """Whether the struct that an endpoint reads refuses a body."""
    if case.body is None or endpoint.body_type is None:
        return False
    try:
        msgspec.json.decode(case.body, type=endpoint.body_type)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True
    return False


@pytest.fixture
async def enemy(hub: Hub) -> AsyncIterator[Enemy]:
    async with browsing(hub) as browser:
        enemy = Enemy(hub, browser)
        await enemy.arrive()
        yield enemy


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No bug is logged, nor anything that was meant to stay secret."""
    caplog.set_level(logging.DEBUG, "tickhub")
    yield
    assert "http.bug" not in caplog.text
    assert MARK not in caplog.text


async def test_no_body_breaks_anything(hub: Hub, enemy: Enemy) -> None:
    """What a struct refuses never comes to a database, so it is sent before one of them only."""
    reading = [endpoint for endpoint in hub.web.api.endpoints if endpoint.body_type is not None]
    every = hub.engine.dialect.name == "sqlite"
    cases = [(one, case) for one in reading for case in bodies(one) if every or not _refused(one, case)]
    faults = await all_of(enemy.send(endpoint, case) for endpoint, case in cases)
    assert len(faults) > (3000 if every else 500)
    found = [fault for fault in faults if fault]
    assert not found, "\n".join(found)


async def test_no_query_breaks_anything(hub: Hub, enemy: Enemy) -> None:
    reading = [one for one in hub.web.api.endpoints if one.method == "GET" or one.query_type is not None]
    faults = await all_of(enemy.send(endpoint, case) for endpoint in reading for case in queries(endpoint))
    assert len(faults) > 500
    found = [fault for fault in faults if fault]
    assert not found, "\n".join(found)


async def test_no_id_breaks_anything(hub: Hub, enemy: Enemy) -> None:
    reading = [endpoint for endpoint in hub.web.api.endpoints if "{" in endpoint.path]
    faults = await all_of(enemy.reach(endpoint, name) for endpoint in reading for name in ids())
    found = [fault for fault in faults if fault]
    assert not found, "\n".join(found)


async def test_no_form_breaks_anything(hub: Hub, enemy: Enemy) -> None:
    forms = [one for one in hub.web.api.endpoints if one.path.endswith("/form")]
    assert {one.access for one in forms} == {Access.PUBLIC}
    cases = [Case(name=f"form {number}", body=form) for number, form in enumerate(FORMS)]
    faults = await all_of(enemy.send(endpoint, case) for endpoint in forms for case in cases)
    found = [fault for fault in faults if fault]
    assert not found, "\n".join(found)
