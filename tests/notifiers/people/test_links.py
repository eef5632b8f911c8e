"""A link says who and what, and nobody can make or change one without the secret."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.people.links import Acknowledging, Links, Unsubscribing
from notifiers.people.preferences import Unsubscribed
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode
from schemas.secret import Secret

LINKS = Links(Secret("s" * 32), "https://hub.example")


def token(url: str) -> str:
    return url.rpartition("/")[2]


@given(user=st.text(min_size=1, max_size=128), way=st.sampled_from(Way))
def test_what_was_signed_is_read(user: str, way: Way) -> None:
    try:
        user.encode()
    except UnicodeEncodeError:
        return
    link = LINKS.unsubscribe(user, way, "alert")
    assert link.startswith("https://hub.example/api/v1/unsubscribe/")
    assert LINKS.read_unsubscribe(token(link)) == Unsubscribing(user, way, "alert")


def test_a_link_may_be_for_all_that_a_channel_brings() -> None:
    read = LINKS.read_unsubscribe(token(LINKS.unsubscribe("7", Way.SMS)))
    assert read.wish == Unsubscribed(channel=Way.SMS)


def test_an_acknowledgement_names_its_trigger() -> None:
    link = LINKS.acknowledge("7", 2**53 + 1, Way.EMAIL)
    assert LINKS.read_acknowledge(token(link)) == Acknowledging("7", 2**53 + 1, Way.EMAIL)


def test_no_other_token_passes() -> None:
    good = token(LINKS.unsubscribe("7", Way.EMAIL))
    octets = base64.urlsafe_b64decode(good + "=" * (-len(good) % 4))
    changed = [octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :] for at in range(len(octets))]
    forged = [base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in changed]
    others = [
        token(Links(Secret("t" * 32), "").unsubscribe("7", Way.EMAIL)),
        token(LINKS.acknowledge("7", 1, Way.EMAIL)),
        good[:-4], good + "AAAA", "", "a", "é", "'; DROP TABLE x;--", "A" * 5000, "../../etc",
    ]  # fmt: skip
    for bad in (*forged, *others):
        with pytest.raises(CommandError) as caught:
            LINKS.read_unsubscribe(bad)
        assert caught.value.code is ErrorCode.NOT_FOUND
