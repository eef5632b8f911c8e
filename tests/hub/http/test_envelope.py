import json

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from auth.limits import Allowance, RateLimited
from hub.http.envelope import failure, on_command_error, on_http_exception, on_unavailable, success
from hub.logs import Asked
from schemas.errors import HTTP_STATUS, CommandError, ErrorCode, Unavailable

ASKED = Request({"type": "http", "method": "GET", "path": "/", "headers": []})


def test_a_good_answer_holds_its_data_and_when_it_was_given() -> None:
    answer = json.loads(success({"n": 1}, 201).body)
    assert answer.pop("timestamp").endswith("Z")
    assert answer == {"status": "success", "data": {"n": 1}}


def test_a_failure_names_the_request_where_there_is_one() -> None:
    assert json.loads(failure(ErrorCode.CONFLICT, "Taken").body)["error"] == {"code": "CONFLICT", "message": "Taken"}
    asked = Asked("r-1")
    error = json.loads(failure(ErrorCode.CONFLICT, "Taken", details={"field": "email"}).body)["error"]
    asked.name = ""
    assert error["details"] == {"field": "email", "request_id": "r-1"}


@pytest.mark.parametrize("code", list(ErrorCode))
async def test_each_code_has_its_status(code: ErrorCode) -> None:
    response = await on_command_error(ASKED, CommandError(code, "No {what}", what="way"))
    assert response.status_code == HTTP_STATUS[code]
    assert json.loads(response.body)["error"] == {"code": code, "message": "No way"}
    assert ("www-authenticate" in response.headers) is (response.status_code == 401)


async def test_too_many_requests_are_told_when_to_come_again() -> None:
    left = Allowance(rule="failures", limit=20, remaining=0, resets_in_s=12.3, window_s=900)
    response = await on_command_error(ASKED, RateLimited(left))
    assert response.status_code == 429
    assert response.headers["retry-after"] == "13"
    assert response.headers["ratelimit"] == '"failures";r=0;t=13'


async def test_what_is_away_is_worth_another_try() -> None:
    response = await on_unavailable(ASKED, Unavailable("Redis", "no answer"))
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "BAD_REQUEST"),
        (401, "UNAUTHORIZED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (405, "BAD_REQUEST"),
        (413, "BAD_REQUEST"),
        (500, "INTERNAL"),
    ],
)
async def test_refusals_of_the_router_get_the_envelope_and_keep_their_headers(status: int, code: str) -> None:
    response = await on_http_exception(ASKED, HTTPException(status, headers={"Allow": "GET"}))
    assert (response.status_code, response.headers["allow"]) == (status, "GET")
    assert json.loads(response.body)["error"]["code"] == code
