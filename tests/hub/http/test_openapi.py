import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, compile_path

from hub.http.endpoint import Access, Call, Endpoint, Reply, encoded
from hub.http.openapi import PREFIX, openapi
from schemas.errors import ErrorCode
from tests.hub.live import running

PAGES = re.compile(r"/|/(worker|tickhub)\.js|/dashboard/.*|/docs(/.*)?")
"""What people read: pages and their files."""


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """What there is."""

    name: str


class Other(msgspec.Struct, frozen=True, kw_only=True):
    """What there is instead."""

    count: int


class Things(msgspec.Struct, frozen=True, kw_only=True):
    """Several."""

    items: list[Annotated[msgspec.Raw, encoded(Thing)]]


class ThingQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query."""

    q: Annotated[str, Meta(max_length=5)]
    limit: Annotated[int, Meta(ge=1, le=9)] | None = None
    since: str | None = msgspec.field(name="from", default=None)
    order: str = "asc"


class ThingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body that must come."""

    name: str


class PartBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body that may stay away."""

    name: str | UnsetType = UNSET


class Handlers:
    async def one(self, call: Call, query: ThingQuery) -> Thing:
        """One thing.

        With more to say.
        """
        raise NotImplementedError

    async def many(self, call: Call) -> Things:
        """All of them."""
        raise NotImplementedError

    async def make(self, call: Call, body: ThingBody) -> Reply[Thing]:
        """Make one."""
        raise NotImplementedError

    async def change(self, call: Call, body: PartBody) -> Thing | Other:
        """Change one."""
        raise NotImplementedError

    async def marked(self, call: Call) -> Thing:
        """Do what `GET others` says."""
        raise NotImplementedError

    async def page(self, call: Call) -> HTMLResponse:
        """A page."""
        raise NotImplementedError

    async def text(self, call: Call) -> PlainTextResponse:
        """A text."""
        raise NotImplementedError

    async def file(self, call: Call) -> Response:
        """A file."""
        raise NotImplementedError

    async def away(self, call: Call) -> RedirectResponse:
        """Elsewhere."""
        raise NotImplementedError


def described(method: str = "GET", path: str = "/things", handler: str = "many", **options: Any) -> dict[str, Any]:
    """The document of one endpoint."""
    document: dict[str, Any] = json.loads(openapi([Endpoint(method, path, getattr(Handlers(), handler), **options)]))
    OPENAPI_31_VALIDATOR.validate(document)
    return document


def operation(method: str = "GET", path: str = "/things", handler: str = "many", **options: Any) -> dict[str, Any]:
    """What a document says of one endpoint."""
    (entry,) = described(method, path, handler, **options)["paths"][PREFIX + compile_path(path)[1]].values()
    return dict(entry)


def data(answer: dict[str, Any]) -> Any:
    return answer["content"]["application/json"]["schema"]["properties"]["data"]


# -- one endpoint -----------------------------------------------------------------------------------------------------


def test_a_docstring_becomes_summary_and_description() -> None:
    told = operation("GET", "/things/{id}", "one", scope="things")
    assert told["summary"] == "One thing"
    assert told["description"] == "With more to say.\n\nAPI keys need the scope `things`."
    assert (told["operationId"], told["tags"]) == ("getThingsById", ["things"])


def test_a_query_becomes_parameters_with_their_bounds() -> None:
    told = operation("GET", "/things/{id:path}", "one")
    assert told["parameters"] == [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}},
        {"name": "q", "in": "query", "required": True, "schema": {"type": "string", "maxLength": 5}},
        {
            "name": "limit",
            "in": "query",
            "required": False,
            "schema": {"type": "integer", "minimum": 1, "maximum": 9},
        },
        {"name": "from", "in": "query", "required": False, "schema": {"type": "string"}},
        {"name": "order", "in": "query", "required": False, "schema": {"type": "string", "default": "asc"}},
    ]
    assert "ThingQuery" not in described("GET", "/things/{id:path}", "one")["components"]["schemas"]


@pytest.mark.parametrize(("handler", "required"), [("make", True), ("change", False)])
def test_a_body_must_come_where_something_of_it_must(handler: str, required: bool) -> None:
    assert operation("POST", handler=handler)["requestBody"]["required"] is required


def test_an_answer_stands_in_the_envelope() -> None:
    answer = operation("POST", handler="make", status=201, also=(200,))["responses"]
    assert data(answer["201"]) == data(answer["200"]) == {"$ref": "#/components/schemas/Thing"}


def test_one_of_two_answers_is_either() -> None:
    assert data(operation("PUT", handler="change")["responses"]["200"]) == {
        "anyOf": [{"$ref": "#/components/schemas/Thing"}, {"$ref": "#/components/schemas/Other"}]
    }


def test_what_is_encoded_already_is_described_as_what_it_encodes() -> None:
    schemas = described()["components"]["schemas"]
    assert schemas["Things"]["properties"]["items"]["items"] == {"$ref": "#/components/schemas/Thing"}
    assert schemas["Thing"]["properties"].keys() == {"name"}


@pytest.mark.parametrize(
    ("handler", "options", "media"),
    [
        ("page", {}, "text/html; charset=utf-8"),
        ("text", {}, "text/plain; charset=utf-8"),
        ("file", {"media_type": "text/csv"}, "text/csv"),
        ("file", {}, "*/*"),
    ],
)
def test_what_has_no_envelope_is_described_by_its_media_type(handler: str, options: Any, media: str) -> None:
    assert operation(handler=handler, **options)["responses"]["200"]["content"] == {media: {}}


def test_a_page_may_refuse_as_a_page() -> None:
    assert operation(handler="page")["responses"]["400"]["content"].keys() == {
        "application/json",
        "text/html; charset=utf-8",
    }
    assert operation(handler="text")["responses"]["400"]["content"].keys() == {"application/json"}


def test_a_redirect_says_where_to() -> None:
    answer = operation(handler="away", status=302)["responses"]["302"]
    assert "Location" in answer["headers"]
    assert "content" not in answer


@pytest.mark.parametrize(
    ("options", "security"),
    [
        ({"access": Access.PUBLIC}, []),
        ({}, [{"token": []}]),
        ({"scope": "market"}, [{"token": []}, {"key": ["market"]}]),
        ({"access": Access.ADMIN, "scope": "market"}, [{"token": []}]),
    ],
    ids=["public", "tokens", "keys", "administrators"],
)
def test_it_is_told_who_may_call(options: Any, security: Any) -> None:
    assert operation(**options)["security"] == security


@pytest.mark.parametrize(
    ("place", "options", "statuses"),
    [
        (("GET", "/things", "many"), {"access": Access.PUBLIC}, {400, 429, 500, 503}),
        (
            ("GET", "/things", "many"),
            {"access": Access.PUBLIC, "errors": (ErrorCode.UNAUTHORIZED,)},
            {400, 401, 429, 500, 503},
        ),
        (("GET", "/things", "many"), {}, {400, 401, 403, 429, 500, 503}),
        (("GET", "/things/{id}", "many"), {}, {400, 401, 403, 404, 429, 500, 503}),
        (("POST", "/things", "make"), {"errors": (ErrorCode.CONFLICT,)}, {400, 401, 403, 409, 422, 429, 500, 503}),
    ],
    ids=["public", "refused", "tokens", "path", "body"],
)
def test_every_failure_is_told_with_its_status(place: Any, options: Any, statuses: set[int]) -> None:
    answers = operation(*place, **options)["responses"]
    assert {int(status) for status in answers} - {200} == statuses
    if 401 in statuses:
        assert answers["401"]["description"] == "Unauthorized: `UNAUTHORIZED`, `TOKEN_EXPIRED`"
    assert answers["429"]["headers"].keys() >= {"Retry-After", "X-Request-ID", "RateLimit"}


def test_a_failure_has_just_the_codes_that_come_with_its_status() -> None:
    document = described("GET", "/things/{id}", "many", errors=(ErrorCode.INVALID_SYMBOL,))
    answers = document["paths"][f"{PREFIX}/things/{{id}}"]["get"]["responses"]
    codes = {}
    for status in set(answers) - {"200"}:
        name = answers[status]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        failure = document["components"]["schemas"][name]
        codes[status] = failure["properties"]["error"]["properties"]["code"]["enum"]
    assert codes == {
        "400": ["BAD_REQUEST"],
        "401": ["UNAUTHORIZED", "TOKEN_EXPIRED"],
        "403": ["PERMISSION_DENIED"],
        "404": ["INVALID_SYMBOL", "NOT_FOUND"],
        "429": ["RATE_LIMITED"],
        "500": ["INTERNAL"],
        "503": ["NOT_AVAILABLE"],
    }


def test_a_page_s_form_has_its_fields() -> None:
    told = operation("POST", handler="page", form=("token", "password"))
    (media,) = told["requestBody"]["content"].items()
    assert media[0] == "application/x-www-form-urlencoded"
    assert media[1]["schema"]["required"] == list(media[1]["schema"]["properties"]) == ["token", "password"]
    assert "422" in told["responses"]


def test_a_summary_has_no_markup() -> None:
    assert operation(handler="marked")["summary"] == "Do what GET others says"


@pytest.mark.parametrize(("given", "told"), [(None, "/"), ("https://hub.example.com", "https://hub.example.com")])
def test_the_server_is_where_the_world_reaches_it(given: str | None, told: str) -> None:
    assert json.loads(openapi([], public_url=given))["servers"] == [{"url": told}]


# -- the whole --------------------------------------------------------------------------------------------------------


def routed(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every method and path that an application answers."""
    for route in routes:
        if isinstance(route, Mount):
            yield from routed(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            path = prefix + compile_path(route.path)[1]
            yield from ((method, path) for method in (route.methods or {"GET"}) - {"HEAD"})


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == "$ref")
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


async def test_the_document_and_the_routes_are_equal(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        document = (await hub.get("/openapi.json")).json
        there = {entry for entry in routed(hub.web.app.routes) if not PAGES.fullmatch(entry[1])}
    OPENAPI_31_VALIDATOR.validate(document)
    assert {(method.upper(), path) for path, entry in document["paths"].items() for method in entry} == there
    ids = [one["operationId"] for entry in document["paths"].values() for one in entry.values() if "operationId" in one]
    assert len(set(ids)) == len(ids)
    tags = {tag["name"] for tag in document["tags"]}
    assert {tag for entry in document["paths"].values() for one in entry.values() for tag in one["tags"]} == tags
    for reference in references(document):
        part = document
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]
