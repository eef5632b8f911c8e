import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.outbox.tokens import DeliveryTokens, Reference

SECRET = "x" * 32


@given(delivery_id=st.integers(1, 2**63 - 1), attempt=st.integers(1, 10**9 - 1))
def test_a_token_says_what_was_signed(delivery_id: int, attempt: int) -> None:
    token = DeliveryTokens(SECRET).sign(delivery_id, attempt)
    assert DeliveryTokens(SECRET).read(token) == Reference(delivery_id, attempt)
    assert DeliveryTokens("y" * 32).read(token) is None
    assert len(token) <= 64


def test_a_token_is_the_same_each_time_and_fits_a_url() -> None:
    token = DeliveryTokens(SECRET).sign(12, 3)
    assert token == DeliveryTokens(SECRET).sign(12, 3)
    assert token.startswith("12.3.")
    assert all(letter.isalnum() or letter in "._-" for letter in token)


@given(place=st.integers(0, 40), letter=st.characters(codec="utf-8"))
def test_a_changed_token_is_none(place: int, letter: str) -> None:
    token = DeliveryTokens(SECRET).sign(12, 3)
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    assert DeliveryTokens(SECRET).read(changed) == (None if changed != token else Reference(12, 3))


@pytest.mark.parametrize("token", ["", ".", "1.1", "1.1.", "0.1." + "A" * 22, "\u0661.1." + "A" * 22, "1" * 10**5])
def test_what_was_never_signed_is_none(token: str) -> None:
    assert DeliveryTokens(SECRET).read(token) is None
