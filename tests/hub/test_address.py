"""Links begin where the world reaches us, and connections where this machine does."""

import pytest

from hub.address import page_of, place_of
from schemas.settings import load


@pytest.mark.parametrize(
    ("environ", "page", "place"),
    [
        ({"PUBLIC_URL": "https://acme.example/hub/"}, "https://acme.example/hub", "127.0.0.1:8081"),
        ({}, "http://localhost:8081", "127.0.0.1:8081"),
        ({"HOST": "0.0.0.0", "PORT": "80"}, "http://localhost:80", "127.0.0.1:80"),
        ({"HOST": "::"}, "http://localhost:8081", "[::1]:8081"),
        ({"HOST": "192.0.2.7"}, "http://192.0.2.7:8081", "192.0.2.7:8081"),
        ({"HOST": "2001:db8::7"}, "http://[2001:db8::7]:8081", "[2001:db8::7]:8081"),
    ],
)
def test_the_address_is_told_as_each_may_use_it(environ: dict[str, str], page: str, place: str) -> None:
    settings = load(environ)
    assert (page_of(settings), place_of(settings)) == (page, place)
