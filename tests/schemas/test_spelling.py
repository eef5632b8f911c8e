import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.spelling import distance, meant

WORDS = st.text("ABC", max_size=6)


@pytest.mark.parametrize(
    ("first", "second", "slips"),
    [
        ("", "", 0),
        ("", "AB", 2),
        ("REDIS_URL", "REDIS_URL", 0),
        ("REDIS_ULR", "REDIS_URL", 1),
        ("REDISURL", "REDIS_URL", 1),
        ("RDIS_ULR", "REDIS_URL", 2),
        ("CA", "ABC", 3),
    ],
)
def test_counts_slips(first: str, second: str, slips: int) -> None:
    assert distance(first, second) == slips


@given(WORDS, WORDS)
def test_is_a_symmetric_count(first: str, second: str) -> None:
    slips = distance(first, second)
    assert slips == distance(second, first)
    assert (slips == 0) == (first == second)
    assert abs(len(first) - len(second)) <= slips <= max(len(first), len(second))


@given(st.text("ABCDEFGH", min_size=2, max_size=10), st.data())
def test_each_kind_of_slip_costs_one(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word) - 2))
    assert distance(word[:at] + word[at + 1 :], word) == 1
    assert distance(word[:at] + "Z" + word[at:], word) == 1
    assert distance(word[:at] + "Z" + word[at + 1 :], word) == 1
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    assert distance(swapped, word) == (word[at] != word[at + 1])


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("REDIS_ULR", "REDIS_URL"),
        ("RDIS_ULR", "REDIS_URL"),
        ("PROT", "PORT"),
        ("FEEDS", "FEED"),
        ("SEED", None),
        ("HOME", None),
        ("PATH", None),
        ("REDIS_HOST", None),
    ],
)
def test_finds_what_a_slip_meant_and_leaves_other_words_alone(name: str, known: str | None) -> None:
    assert meant(name, ["REDIS_URL", "PORT", "HOST", "FEED"]) == known


def test_prefers_the_nearest() -> None:
    assert meant("SMTP_PORTS", ["SMTP_HOST", "SMTP_PORT"]) == "SMTP_PORT"
