import pytest
from starlette.requests import Request

from hub.http.refresh_cookie import NAME, RefreshCookie
from schemas.errors import CommandError, ErrorCode


def asked(**headers: str) -> Request:
    given = {"host": "hub.example"} | headers
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw})


def test_a_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    (value,) = RefreshCookie().header("abc", 60).values()
    assert value.split("; ") == [
        f"{NAME}=abc", "Max-Age=60", "Path=/api/v1/auth", "HttpOnly", "Secure", "SameSite=Strict",
    ]  # fmt: skip


@pytest.mark.parametrize("origin", [None, "https://hub.example", "https://app.example"])
def test_it_is_read_from_this_host_s_pages_and_named_ones(origin: str | None) -> None:
    cookie = RefreshCookie(["https://app.example"])
    headers = {"cookie": f"{NAME}=abc"} | ({"origin": origin} if origin else {})
    assert cookie.read(asked(**headers)) == "abc"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[", "https://hub.example.evil.example"])
@pytest.mark.parametrize("origins", [[], ["*"], ["https://app.example"]])
def test_it_is_not_read_from_any_other_page(origin: str, origins: list[str]) -> None:
    with pytest.raises(CommandError) as refused:
        RefreshCookie(origins).read(asked(cookie=f"{NAME}=abc", origin=origin))
    assert refused.value.code is ErrorCode.PERMISSION_DENIED


def test_without_one_there_is_none() -> None:
    assert RefreshCookie().read(asked(origin="https://evil.example")) is None
    assert RefreshCookie().read(asked(cookie=f"{NAME}=")) is None
