"""What a chain shows, and that two entries never look alike to it."""

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.audit_chain import GENESIS, Entry, canonical, hash_of, seal, verify

texts = st.text(st.characters(min_codepoint=1), max_size=20)
some_text = st.one_of(st.none(), texts)
numbers = st.integers(0, 2**53)
entries = st.builds(
    Entry,
    id=numbers,
    at_ms=numbers,
    level=texts,
    action=texts,
    actor=some_text,
    target=some_text,
    address=some_text,
    user_agent=some_text,
    request_id=some_text,
    risk=st.one_of(st.none(), st.integers(0, 100)),
    details=texts,
)
COLUMNS = [name for name in Entry.__struct_fields__ if name not in ("previous_hash", "hash")]


def chain(count: int = 5) -> list[Entry]:
    made: list[Entry] = []
    for number in range(1, count + 1):
        draft = Entry(at_ms=number, level="info", action="login.failed", actor=f"u_{number}", risk=number)
        made.append(seal(draft, entry_id=number * 10, previous_hash=made[-1].hash if made else GENESIS))
    return made


def changed(entry: Entry, **values: Any) -> Entry:
    return msgspec.structs.replace(entry, **values)


@given(entries, entries)
def test_two_entries_that_differ_never_have_the_same_bytes(one: Entry, other: Entry) -> None:
    assert (canonical(one) == canonical(other)) == (one == other)


@given(entries, st.sampled_from(COLUMNS), st.one_of(st.none(), texts, numbers, st.binary(max_size=8)))
def test_no_column_can_take_another_value_unseen(entry: Entry, column: str, value: Any) -> None:
    other = changed(entry, **{column: value})
    same = type(value) is type(getattr(entry, column)) and value == getattr(entry, column)
    assert (canonical(other) == canonical(entry)) == same


@given(entries)
def test_the_form_is_one_that_any_language_can_make(entry: Entry) -> None:
    said = {name: getattr(entry, name) for name in COLUMNS if getattr(entry, name) is not None}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert canonical(entry) == text.encode()
    assert hash_of(entry, GENESIS) == hashlib.sha256(b"0" * 64 + text.encode()).hexdigest()


def test_a_chain_holds_from_its_beginning_and_from_any_anchor() -> None:
    whole = chain()
    assert verify([]) is None
    assert verify(whole) is None
    assert verify(whole[2:], whole[1].hash) is None
    assert verify(whole[2:]) == whole[2].id


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("column", Entry.__struct_fields__)
def test_any_change_of_any_entry_shows_at_that_entry(place: int, column: str) -> None:
    whole = chain()
    value = getattr(whole[place], column)
    whole[place] = changed(whole[place], **{column: value + 1 if isinstance(value, int) else f"{value or ''}x"})
    assert verify(whole) == whole[place].id


def test_an_entry_that_was_changed_and_hashed_again_shows_at_the_next() -> None:
    whole = chain()
    forged = changed(whole[1], actor="u_other")
    whole[1] = changed(forged, hash=hash_of(forged, forged.previous_hash))
    assert verify(whole) == whole[2].id


def test_a_gap_and_another_order_show() -> None:
    whole = chain()
    assert verify(whole[:2] + whole[3:]) == whole[3].id
    assert verify(whole[1:]) == whole[1].id
    assert verify([whole[0], whole[2], whole[1], *whole[3:]]) == whole[2].id
    assert verify([*whole[:3], whole[2], *whole[3:]]) == whole[2].id
