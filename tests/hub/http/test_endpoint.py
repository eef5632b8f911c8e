from typing import Any

import msgspec
import pytest
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from auth.identity import Identity
from hub.http.endpoint import Call, Endpoint, Nothing, Reply, encoded
from schemas.errors import CommandError, ErrorCode

SOMEONE = Identity(user="7", token_id="t", issued_at=0, expires_at=1)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is told."""


class Handlers:
    async def both(self, call: Call, query: Asked, body: Told) -> Reply[Told]:
        """Says what it does.

        And more.
        """
        raise NotImplementedError

    async def undescribed(self, call: Call) -> Told:
        raise NotImplementedError

    async def page(self, call: Call) -> HTMLResponse:
        raise NotImplementedError

    async def no_call(self, query: Asked) -> Told:
        raise NotImplementedError

    async def nothing(self) -> Told:
        raise NotImplementedError

    async def another_name(self, call: Call, payload: Told) -> Told:
        raise NotImplementedError


HANDLERS = Handlers()


def call(identity: Identity | None, headers: list[tuple[bytes, bytes]] = []) -> Call:  # noqa: B006 - never changed
    request = Request({"type": "http", "headers": headers, "path_params": {"id": 7}})
    return Call(request=request, identity=identity, address="127.0.0.1", language="en", request_id="r")


def test_a_signature_is_the_description() -> None:
    endpoint = Endpoint("POST", "/things", HANDLERS.both)
    assert (endpoint.query_type, endpoint.body_type, endpoint.answer_type) == (Asked, Told, Told)
    assert endpoint.description == "Says what it does.\n\nAnd more."
    assert not endpoint.raw


def test_a_handler_may_take_nothing_but_the_call() -> None:
    endpoint = Endpoint("GET", "/things", HANDLERS.undescribed)
    assert (endpoint.query_type, endpoint.body_type, endpoint.description) == (None, None, "")


def test_a_response_goes_out_as_it_is() -> None:
    assert Endpoint("GET", "/page", HANDLERS.page).raw


@pytest.mark.parametrize("handler", [HANDLERS.no_call, HANDLERS.nothing, HANDLERS.another_name])
def test_a_signature_that_describes_no_endpoint_is_refused(handler: Any) -> None:
    with pytest.raises(TypeError, match=handler.__name__):
        Endpoint("GET", "/things", handler)


def test_a_call_knows_its_caller_or_refuses() -> None:
    assert call(SOMEONE).caller is SOMEONE
    with pytest.raises(CommandError) as refused:
        _ = call(None).caller
    assert refused.value.code is ErrorCode.UNAUTHORIZED


def test_a_call_knows_its_path_and_who_the_client_says_it_is() -> None:
    assert call(None).path("id") == "7"
    assert call(None).user_agent == ""
    assert call(None, [(b"user-agent", b"x" * 300)]).user_agent == "x" * 256


def test_nothing_is_an_empty_object() -> None:
    assert msgspec.json.encode(Nothing()) == b"{}"


def test_what_is_encoded_names_its_struct() -> None:
    meta = encoded(Told)
    assert isinstance(meta, Meta)
    assert meta.extra == {"encodes": Told}
    assert meta.extra_json_schema == {"$ref": "#/components/schemas/Told"}


def test_a_reply_is_a_success_unless_it_says_otherwise() -> None:
    assert Reply(Told()).status == 200
    assert not issubclass(Reply, Response)
