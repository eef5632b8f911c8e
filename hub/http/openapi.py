"""OpenAPI 3.1 of everything that HTTP answers, written from the endpoints themselves.

Structs become schemas, queries parameters, docstrings texts; whatever the `Dispatcher` does for every endpoint (the
envelope, the errors, the headers) is said for every endpoint.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
from msgspec import inspect
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.routing import compile_path

from hub.http.endpoint import SCHEMAS, Access, Endpoint
from hub.http.health import Alive, HealthReport
from schemas.errors import HTTP_STATUS, ErrorCode

Schema = dict[str, Any]

PREFIX = "/api/v1"

_DESCRIPTION = """\
Prices, candles, indicators and signals of Indian markets, accounts, and a way to publish.

Success is `{"status": "success", "data": …, "timestamp": …}`, failure
`{"status": "error", "error": {"code", "message", "details"}, "timestamp": …}`; decide on `code`, never on `message`.
A query parameter that is not described is refused. Live data comes over the socket `/ws`, described as AsyncAPI in
[/asyncapi.json](/asyncapi.json)."""

_TAGS = {
    "auth": "Logging in and out, tokens and tickets.",
    "users": "One's own account, preferences, devices and API keys.",
    "market": "Prices, candles, indicators and instruments.",
    "signals": "Trading signals.",
    "plans": "What each plan may do.",
    "alerts": "Alerts and what became of them.",
    "admin": "For administrators.",
    "publish": "For servers that have something to say.",
    "webhooks": "Called by providers, signed by them.",
    "unsubscribe": "Links out of messages.",
    "acknowledge": "Links out of messages.",
    "system": "How this instance is doing, and these documents.",
}

_SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token; an API key is taken here too, where the operation names a scope.",
    },
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key, for operations whose scope it has.",
    },
}

_HEADERS: dict[str, tuple[str, str]] = {
    "X-Request-ID": ("The request's id, as in the log and in `error.details.request_id`.", "string"),
    "RateLimit-Policy": ('The limit in force: `"default";q=100;w=900` is 100 requests in 900 seconds.', "string"),
    "RateLimit": ('What is left of it: `"default";r=42;t=300` is 42 requests for the next 300 seconds.', "string"),
    "Retry-After": ("After so many seconds it is worth trying again.", "integer"),
    "WWW-Authenticate": ("What is asked for.", "string"),
    "Location": ("Where to go on.", "string"),
}
_ALWAYS = ("X-Request-ID", "RateLimit-Policy", "RateLimit")
_BY_STATUS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}

_COMMON = (ErrorCode.BAD_REQUEST, ErrorCode.RATE_LIMITED, ErrorCode.INTERNAL, ErrorCode.NOT_AVAILABLE)
"""What every endpoint may answer; BAD_REQUEST for a query that it doesn't know."""


def openapi(endpoints: Sequence[Endpoint], *, public_url: str | None = None) -> bytes:
    """The document as JSON. `public_url` is where the world reaches this server."""
    schemas = _Schemas(endpoints)
    paths: dict[str, dict[str, Schema]] = {}
    for endpoint in endpoints:
        path, parameters = _path(endpoint.path)
        operation = _operation(endpoint, parameters, schemas)
        paths.setdefault(PREFIX + path, {})[endpoint.method.lower()] = operation
    paths |= _system_paths(schemas)
    used = {tag for operations in paths.values() for operation in operations.values() for tag in operation["tags"]}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "tickhub", "version": program_version(), "description": _DESCRIPTION},
        "servers": [{"url": public_url or "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items() if name in used],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": _SECURITY,
            "headers": {
                name: {"description": text, "schema": {"type": kind}} for name, (text, kind) in _HEADERS.items()
            },
        },
    }
    return msgspec.json.encode(document)


def program_version() -> str:
    """That of the installed distribution; 0 where the program runs out of a folder alone."""
    try:
        return version("tickhub")
    except PackageNotFoundError:
        return "0"


class _Schemas:
    """The JSON schemas of all that goes in and out. Queries are taken apart into parameters."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        described = [kind for one in endpoints for kind in _kinds(one)]
        beside = [model for kind in described for model in _encoded(inspect.type_info(kind))]
        kinds = [*described, *beside, Alive, HealthReport]
        shown, components = msgspec.json.schema_components(kinds, ref_template=SCHEMAS + "{name}")
        self._shown = list(zip(kinds, shown, strict=True))
        queries = {one.query_type for one in endpoints if one.query_type is not None}
        self._queries: dict[Any, Schema] = {
            kind: components.pop(self.of(kind)["$ref"].removeprefix(SCHEMAS)) for kind in queries
        }
        self.components: dict[str, Schema] = components

    def failure(self, codes: Sequence[ErrorCode]) -> Schema:
        """The schema of a failure with one of these codes: `FailureNotFound`, as others have the same."""
        name = "Failure" + "".join(word.capitalize() for code in codes for word in code.split("_"))
        self.components.setdefault(name, _failure(codes))
        return {"$ref": SCHEMAS + name}

    def of(self, kind: Any) -> Schema:
        """The schema of a type that some endpoint names; of a union of structs without tags, too."""
        if len(parts := _parts(kind)) > 1:
            return {"anyOf": [self.of(part) for part in parts]}
        return next(schema for known, schema in self._shown if known == kind)

    def parameters(self, kind: Any) -> Iterator[Schema]:
        """A query's fields; what may be left out is no null there."""
        query = self._queries[kind]
        for name, schema in query["properties"].items():
            required = name in query.get("required", ())
            yield {"name": name, "in": "query", "required": required, "schema": _without_null(schema)}


def _kinds(endpoint: Endpoint) -> list[Any]:
    answer = () if endpoint.raw else _parts(endpoint.answer_type)
    return [kind for kind in (endpoint.query_type, endpoint.body_type, *answer) if kind is not None]


def _parts(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _encoded(kind: inspect.Type) -> Iterator[type]:
    """The structs that `hub.http.endpoint.encoded` promises anywhere in an answer."""
    match kind:
        case inspect.Metadata():
            if kind.extra and "encodes" in kind.extra:
                yield kind.extra["encodes"]
            yield from _encoded(kind.type)
        case inspect.StructType():
            for field in kind.fields:
                yield from _encoded(field.type)
        case inspect.ListType():
            yield from _encoded(kind.item_type)
        case _:
            return


def _without_null(schema: Schema) -> Schema:
    schema = {name: value for name, value in schema.items() if not (name == "default" and value is None)}
    if "anyOf" not in schema:
        return schema
    left = [one for one in schema.pop("anyOf") if one != {"type": "null"}]
    return {**schema, **left[0]} if len(left) == 1 else {**schema, "anyOf": left}


# -- operations --------------------------------------------------------------------------------------------------------


def _path(route: str) -> tuple[str, list[Schema]]:
    """A route of Starlette's as OpenAPI writes it, and its parameters."""
    _, path, converters = compile_path(route)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in converters
    ]
    return path, parameters


def _operation(endpoint: Endpoint, parameters: list[Schema], schemas: _Schemas) -> Schema:
    summary, _, text = endpoint.description.partition("\n")
    queried = schemas.parameters(endpoint.query_type) if endpoint.query_type is not None else ()
    operation: Schema = {
        "tags": [endpoint.path.split("/")[1]],
        "operationId": _operation_id(endpoint),
        "summary": summary.removesuffix(".").replace("`", ""),  # viewers show it as it is
        "description": "\n\n".join(filter(None, (text.strip(), _access_text(endpoint)))),
        "security": _security(endpoint),
        "parameters": [*parameters, *queried],
        "responses": _successes(endpoint, schemas) | _failures(endpoint, schemas, in_path=bool(parameters)),
    }
    if endpoint.body_type is not None:
        operation["requestBody"] = {
            "required": _must_come(endpoint.body_type),
            "content": {"application/json": {"schema": schemas.of(endpoint.body_type)}},
        }
    elif endpoint.form:
        operation["requestBody"] = _form(endpoint.form)
    return operation


def _form(fields: Sequence[str]) -> Schema:
    """The body that a page's form sends."""
    texts = {name: {"type": "string"} for name in fields}
    schema = {"type": "object", "required": list(fields), "properties": texts, "additionalProperties": False}
    return {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": schema}}}


def _operation_id(endpoint: Endpoint) -> str:
    """From method and path, which are unique: `getMarketPricesBySymbol`."""
    words = compile_path(endpoint.path)[1].replace("{", "by-").replace("}", "").replace("/", "-").split("-")
    return endpoint.method.lower() + "".join(word[:1].upper() + word[1:] for word in words)


def _access_text(endpoint: Endpoint) -> str:
    match endpoint.access:
        case Access.PUBLIC:
            return "Needs no token."
        case Access.ADMIN:
            return "For administrators; API keys are not taken."
        case _ if endpoint.scope is None:
            return "API keys are not taken."
        case _:
            return f"API keys need the scope `{endpoint.scope}`."


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    if endpoint.access is Access.PUBLIC:
        return []
    if endpoint.access is Access.ADMIN or endpoint.scope is None:
        return [{"token": []}]
    return [{"token": []}, {"key": [endpoint.scope]}]


def _must_come(body: Any) -> bool:
    """No body is read as an empty object."""
    info = inspect.type_info(body)
    return not isinstance(info, inspect.StructType) or any(field.required for field in info.fields)


# -- answers -----------------------------------------------------------------------------------------------------------


def _successes(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Schema]:
    return {str(status): _success(endpoint, status, schemas) for status in (endpoint.status, *endpoint.also)}


def _success(endpoint: Endpoint, status: int, schemas: _Schemas) -> Schema:
    answer: Schema = {"description": HTTPStatus(status).phrase, "headers": _headers(_ALWAYS)}
    if not endpoint.raw:
        answer["content"] = {"application/json": {"schema": _envelope(schemas.of(endpoint.answer_type))}}
    elif 300 <= status < 400 or issubclass(endpoint.answer_type, RedirectResponse):
        answer["headers"] |= _headers(("Location",))
    elif status != HTTPStatus.NO_CONTENT:
        answer["content"] = {_media_type(endpoint): {}}
    return answer


def _media_type(endpoint: Endpoint) -> str:
    if endpoint.media_type is not None:
        return endpoint.media_type
    if issubclass(endpoint.answer_type, HTMLResponse | PlainTextResponse):
        return f"{endpoint.answer_type.media_type}; charset=utf-8"
    return "*/*"


def _failures(endpoint: Endpoint, schemas: _Schemas, *, in_path: bool) -> dict[str, Schema]:
    codes = {*_COMMON, *endpoint.errors}
    if endpoint.access is not Access.PUBLIC:
        codes |= {ErrorCode.UNAUTHORIZED, ErrorCode.PERMISSION_DENIED}
    if ErrorCode.UNAUTHORIZED in codes:
        codes.add(ErrorCode.TOKEN_EXPIRED)
    if in_path:
        codes.add(ErrorCode.NOT_FOUND)
    if endpoint.body_type is not None or endpoint.form:
        codes.add(ErrorCode.LIMIT_EXCEEDED)
    statuses: dict[int, list[ErrorCode]] = {}
    for code in ErrorCode:
        if code in codes:
            statuses.setdefault(HTTP_STATUS[code], []).append(code)
    page: Schema = {}
    if endpoint.raw and issubclass(endpoint.answer_type, HTMLResponse):
        page[_media_type(endpoint)] = {}
    return {
        str(status): _refusal(status, found, {**_json(schemas.failure(found)), **page})
        for status, found in sorted(statuses.items())
    }


def _refusal(status: int, codes: Iterable[ErrorCode], content: Schema) -> Schema:
    """What is refused by a page is told there; what never came so far, in the envelope."""
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}",
        "headers": _headers((*_ALWAYS, *_BY_STATUS.get(status, ()))),
        "content": content,
    }


def _headers(names: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


_TIMESTAMP = {"type": "string", "format": "date-time"}


def _envelope(data: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["status", "data", "timestamp"],
        "properties": {"status": {"const": "success"}, "data": data, "timestamp": _TIMESTAMP},
        "additionalProperties": False,
    }


_DETAILS: Schema = {
    "request_id": {"type": "string"},
    "column": {"type": "integer", "description": "Where a text can't be read: its character, from 1."},
}


def _failure(codes: Sequence[ErrorCode]) -> Schema:
    error = {
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": {"enum": [str(code) for code in codes]},
            "message": {"type": "string", "description": "For people, in their language; never decide on it."},
            "details": {"type": "object", "properties": _DETAILS},
        },
        "additionalProperties": False,
    }
    return {
        "title": "Failure",
        "description": "What a failure says.",
        "type": "object",
        "required": ["status", "error", "timestamp"],
        "properties": {"status": {"const": "error"}, "error": error, "timestamp": _TIMESTAMP},
        "additionalProperties": False,
    }


# -- beside the API ----------------------------------------------------------------------------------------------------


def _system_paths(schemas: _Schemas) -> dict[str, dict[str, Schema]]:
    report = _json(_envelope(schemas.of(HealthReport)))
    document = _json({"type": "object"})
    return {
        "/health": _plain("Whether this process lives", {200: _json(_envelope(schemas.of(Alive)))}),
        "/health/detailed": _plain(
            "Whether everything that this process depends on does its work", {200: report, 503: report}
        ),
        "/metrics": _plain("Metrics in Prometheus' text format", {200: {"text/plain": {"schema": {"type": "string"}}}}),
        "/openapi.json": _plain("This document", {200: document}),
        "/asyncapi.json": _plain("The socket's protocol, as AsyncAPI 3.0", {200: document}),
    }


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _plain(summary: str, answers: Mapping[int, Schema]) -> dict[str, Schema]:
    """One `GET` without a token, of which only the answer is to be told."""
    responses = {
        str(status): {"description": HTTPStatus(status).phrase, "content": content}
        for status, content in answers.items()
    }
    return {"get": {"tags": ["system"], "summary": summary, "security": [], "responses": responses}}
