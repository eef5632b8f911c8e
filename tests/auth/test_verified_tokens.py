from hypothesis import given
from hypothesis import strategies as st

from auth.identity import Identity
from auth.verified_tokens import MAX_TOKENS, VerifiedToken, VerifiedTokens


def identity(user: str = "7") -> Identity:
    return Identity(user=user, token_id=f"of {user}", issued_at=0, expires_at=100)


def keep(tokens: VerifiedTokens, token: str) -> None:
    tokens.keep(token, identity(token), not_before=1.5, ends_at=99.5)


def test_what_was_kept_is_found_and_nothing_else() -> None:
    tokens = VerifiedTokens()
    keep(tokens, "a.b.c")
    assert tokens.find("a.b.c") == VerifiedToken(identity("a.b.c"), 1.5, 99.5)
    assert tokens.find("a.b.d") is None
    assert tokens.find("") is None


def test_nothing_is_known_after_clearing() -> None:
    tokens = VerifiedTokens()
    keep(tokens, "a.b.c")
    tokens.clear()
    assert tokens.find("a.b.c") is None
    assert len(tokens) == 0


def test_the_one_used_longest_ago_makes_room() -> None:
    tokens = VerifiedTokens(3)
    for token in ("a", "b", "c"):
        keep(tokens, token)
    assert tokens.find("a") is not None
    keep(tokens, "d")
    assert tokens.find("b") is None
    assert [token for token in "abcd" if tokens.find(token) is not None] == ["a", "c", "d"]


@given(st.lists(st.sampled_from("abcdefgh")), st.integers(1, 5))
def test_there_are_never_more_than_the_bound(used: list[str], bound: int) -> None:
    tokens = VerifiedTokens(bound)
    for token in used:
        if tokens.find(token) is None:
            keep(tokens, token)
    assert len(tokens) <= bound
    latest = list(dict.fromkeys(reversed(used)))[:bound]
    assert all(tokens.find(token) is not None for token in latest)


def test_a_token_that_is_verified_again_takes_no_second_place() -> None:
    tokens = VerifiedTokens(2)
    for token in ("a", "b", "b", "b"):
        keep(tokens, token)
    assert tokens.find("a") is not None


def test_the_bound_is_some_thousands() -> None:
    tokens = VerifiedTokens()
    for number in range(MAX_TOKENS + 10):
        keep(tokens, f"token {number}")
    assert len(tokens) == MAX_TOKENS


def test_a_token_itself_stands_nowhere_in_memory() -> None:
    tokens = VerifiedTokens()
    tokens.keep("eyJ.a-secret-token", identity(), not_before=0, ends_at=1)
    ((digest, known),) = tokens._tokens.items()
    assert len(digest) == 32
    assert "secret" not in repr((digest, known))
