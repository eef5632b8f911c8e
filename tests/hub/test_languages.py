"""Who is spoken to in which language, over HTTP and on a socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from auth.identity import LANGUAGES, Identity
from auth.tokens import TokenIssuer
from hub.http.envelope import on_bug, on_command_error, on_unavailable
from hub.languages import MAX_HEADER, SCOPE, language_at, language_of, say, tell
from schemas.errors import CommandError, ErrorCode, Unavailable, UnsubscribeCode
from schemas.phrases import Phrase
from tests.hub.live import SECRET, Answer, Client, Hub, request, running, token
from tests.hub.people import Person

MARATHI = "mr-IN,mr;q=0.9,en;q=0.5"
NOTHING = {"hi": "नहीं मिला", "mr": "सापडले नाही", "gu": "મળ્યું નથી", "kn": "ಸಿಗಲಿಲ್ಲ", "en": "Not Found"}


def who(language: str | None) -> Identity:
    return Identity(user="7", token_id="t", issued_at=0, expires_at=1, language=language)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("mr", "mr"),
        ("MR-in", "mr"),
        ("kn-Knda-IN", "kn"),
        ("fr", "en"),
        ("fr, gu;q=0.3", "gu"),
        ("en;q=0.4, hi;q=0.8", "hi"),
        ("hi;q=0.8, mr;q=0.8", "hi"),
        ("hi;q=0, kn;q=0.1", "kn"),
        ("hi;q=0", "en"),
        ("en;q=0, gu", "gu"),
        ("*, hi;q=0.5", "en"),
        ("*;q=0.1, hi;q=0.5", "hi"),
        ("mr ; q=1.000 , en", "mr"),
        ("mr;q=7", "en"),
        ("mr;q=nan", "en"),
        ("mr;q=0.5;q=0.9", "en"),
        ("mr;", "en"),
        ("mrmrmrmrmrmr", "en"),
        (";;;,,,q=1", "en"),
        ("en-US,en;q=0.9,hi;q=0.8", "en"),
        ("x" * MAX_HEADER + ", mr", "en"),
    ],
)
def test_a_header_s_wishes_are_weighed(header: str | None, language: str) -> None:
    assert language_of(header) == language


def test_a_user_s_own_wish_wins_over_the_header() -> None:
    assert language_of("hi", who("kn")) == "kn"
    assert language_of("hi", who("en")) == "en"


@pytest.mark.parametrize("language", [None, "xx", ""])
def test_an_identity_without_a_language_leaves_it_to_the_header(language: str | None) -> None:
    assert language_of("hi", who(language)) == "hi"


@given(st.text() | st.text(alphabet="enhimr-*;q=.01, \t", max_size=60))
def test_no_header_is_too_odd(header: str) -> None:
    assert language_of(header) in LANGUAGES


@pytest.mark.parametrize("language", ["xx", "../../etc/passwd", ""])
def test_an_unknown_language_is_answered_in_english(language: str) -> None:
    assert say(Phrase("Not Found"), language) == "Not Found"


@pytest.mark.parametrize(("language", "words"), NOTHING.items())
def test_a_text_is_said_in_each_language(language: str, words: str) -> None:
    assert say(Phrase("Not Found"), language) == words


def test_a_text_that_a_catalogue_lacks_is_said_in_english() -> None:
    assert tell(CommandError(ErrorCode.CONFLICT, "Not {yet} translated", yet="ever"), "mr") == "Not ever translated"
    assert tell(CommandError(ErrorCode.CONFLICT, "{braces} alone"), "mr") == "{braces} alone"


def test_a_phrase_in_a_phrase_is_said_in_the_same_language() -> None:
    fault = Phrase("Expected `{expected}`, got `{got}`", {"expected": "str", "got": "int"})
    error = CommandError(ErrorCode.BAD_REQUEST, "{fault} - at {place}", fault=fault, place="`$.channel`")
    assert tell(error, "mr") == "`str` हवे, मिळाले `int` - `$.channel` मध्ये"
    assert tell(error, "en") == error.message


def test_what_failed_within_is_not_told_in_other_languages() -> None:
    refusal = Unavailable("database", "connection refused").refusal
    assert tell(refusal, "hi") == "डेटाबेस फ़िलहाल उपलब्ध नहीं है; कृपया थोड़ी देर में फिर कोशिश करें"


# -- the envelope -----------------------------------------------------------------------------------------------------


def asked(header: str | None = None, language: str | None = None) -> Request:
    headers = [] if header is None else [(b"accept-language", header.encode())]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    return Request(scope if language is None else {**scope, SCOPE: language})


def test_a_request_s_language_is_what_its_scope_says_else_its_header() -> None:
    assert language_at(asked("hi", "gu")) == "gu"
    assert language_at(asked("hi")) == "hi"
    assert language_at(asked()) == "en"


async def test_an_envelope_says_in_which_language_it_is() -> None:
    refused = await on_command_error(asked("kn"), CommandError(ErrorCode.NOT_FOUND, "No such user"))
    assert (refused.headers["content-language"], refused.headers["vary"]) == ("kn", "Accept-Language")
    assert json.loads(refused.body)["error"]["message"] == "ಅಂತಹ ಬಳಕೆದಾರರು ಇಲ್ಲ"


async def test_what_is_away_and_what_broke_are_told_in_the_language_too() -> None:
    away = await on_unavailable(asked("gu"), Unavailable("broker", "no answer"))
    assert json.loads(away.body)["error"]["message"].startswith("બ્રોકર હાલમાં ઉપલબ્ધ નથી")
    assert away.headers["retry-after"] == "2"
    broken = await on_bug(asked("mr"), ValueError("inner"))
    assert json.loads(broken.body)["error"]["message"] == "आमच्याकडे काहीतरी चूक झाली"


# -- a whole hub ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running(tmp_path) as hub:
        yield hub


async def get(hub: Hub, path: str, **headers: str) -> Answer:
    return await asyncio.to_thread(request, f"{hub.url}{path}", **headers)


def message(answer: Answer) -> str:
    return str(answer.json["error"]["message"])


def spoken(language: str | None) -> str:
    return TokenIssuer(SECRET, 900).issue("7", who(None).plan, who(None).role, 600, language=language)


async def test_a_refusal_over_http_follows_the_header(hub: Hub) -> None:
    path = "/api/v1/market/prices/NOSUCH"
    answer = await get(hub, path, Authorization=f"Bearer {token()}", **{"Accept-Language": MARATHI})
    assert (answer.status, answer.code) == (404, "INVALID_SYMBOL")
    assert message(answer) == "NSE:NOSUCH हे इंस्ट्रुमेंट अस्तित्वात नाही"
    assert answer.headers["content-language"] == "mr"
    assert "Accept-Language" in answer.headers["vary"]


async def test_a_refusal_over_http_follows_the_user_before_the_header(hub: Hub) -> None:
    path = "/api/v1/market/prices/NOSUCH"
    answer = await get(hub, path, Authorization=f"Bearer {spoken('gu')}", **{"Accept-Language": MARATHI})
    assert message(answer) == "NSE:NOSUCH નામનું કોઈ ઇન્સ્ટ્રુમેન્ટ નથી"


async def test_who_is_not_known_yet_is_refused_in_the_header_s_language(hub: Hub) -> None:
    answer = await get(hub, "/api/v1/users/me", Authorization="Bearer nonsense", **{"Accept-Language": "hi"})
    assert (answer.code, message(answer)) == ("UNAUTHORIZED", "यह टोकन नहीं है")


@pytest.mark.parametrize("header", ["xx-YY", ";;q=", "mr;q=2", "é"])
async def test_a_header_that_helps_nobody_means_english(hub: Hub, header: str) -> None:
    answer = await get(hub, "/nowhere", **{"Accept-Language": header})
    assert (answer.status, message(answer), answer.headers["content-language"]) == (404, "Not Found", "en")


async def test_a_route_that_is_none_is_told_in_the_header_s_language(hub: Hub) -> None:
    answer = await get(hub, "/nowhere", **{"Accept-Language": "kn"})
    assert message(answer) == NOTHING["kn"]


async def test_a_saved_preference_counts_from_the_next_login(hub: Hub) -> None:
    person = Person(hub, **{"Accept-Language": "hi"})
    await person.register()
    assert (await person.ask("PUT", "users/preferences", {"language": "mr"})).status == 200
    await person.login()
    answer = await person.ask("GET", "users/me?x=1")
    assert message(answer) == "`?x` नावाचे पॅरामीटर नाही"


async def test_a_body_that_is_wrong_is_told_with_its_place(hub: Hub) -> None:
    person = Person(hub, **{"Accept-Language": "hi"})
    answer = await person.ask("POST", "auth/login", {"email": 7, "password": "x"})
    assert message(answer) == "`str` चाहिए, मिला `int` - `$.email` में"


async def refusals(client: Client) -> list[str]:
    """What a socket says of a bad command and of a channel that is not to be had."""
    error = await client.ask("subscribe", channel=7)
    assert (error["type"], error["code"]) == ("error", "BAD_REQUEST")
    failed = (await client.ask("subscribe", channel="nosuch:x"))["failed"][0]
    assert failed["code"] == "UNKNOWN_CHANNEL"
    return [error["message"], failed["message"]]


MARATHI_REFUSALS = ["`str` हवे, मिळाले `int` - `$.channel` मध्ये", "'nosuch' नावाची नेमस्पेस नाही"]


async def test_a_socket_follows_its_handshake(hub: Hub) -> None:
    headers = {"Accept-Language": MARATHI, "Authorization": f"Bearer {token()}"}
    async with hub.client(headers=headers) as client:
        assert await refusals(client) == MARATHI_REFUSALS


async def test_a_socket_follows_the_user_before_its_handshake(hub: Hub) -> None:
    headers = {"Accept-Language": "hi", "Authorization": f"Bearer {spoken('mr')}"}
    async with hub.client(headers=headers) as client:
        assert await refusals(client) == MARATHI_REFUSALS


async def test_a_newer_token_may_bring_another_language(hub: Hub) -> None:
    async with hub.client(headers={"Authorization": f"Bearer {spoken('kn')}"}) as client:
        await client.ask("refresh", token=spoken("mr"))
        assert await refusals(client) == MARATHI_REFUSALS


async def test_a_socket_that_wishes_nothing_hears_english(hub: Hub) -> None:
    async with hub.client() as client:
        assert await refusals(client) == ["Expected `str`, got `int` - at `$.channel`", "No namespace 'nosuch'"]


async def test_who_has_said_no_token_yet_is_told_in_the_handshake_s_language(hub: Hub) -> None:
    async with hub.client(query="", headers={"Accept-Language": "mr"}, welcomed=False) as client:
        assert (await client.ask("ping"))["message"] == "कृपया आधी टोकनसह `auth` पाठवा"


async def test_why_a_channel_ended_is_told_in_the_language(hub: Hub) -> None:
    async with hub.client(headers={"Authorization": f"Bearer {spoken('hi')}"}) as client:
        await client.subscribe("market:TCS")
        reason = Phrase("the account carries at most {count} instruments", {"count": 3})
        hub.web.registry.end_instrument("NSE", "TCS", UnsubscribeCode.NOT_CARRIED, reason)
        told = await client.hear("unsubscribed")
        assert (told["code"], told["reason"]) == (2004, "खाते में अधिकतम 3 इंस्ट्रूमेंट चल सकते हैं")
