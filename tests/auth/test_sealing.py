"""What is sealed opens with its key, in its place, unchanged; or not at all."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from auth import sealing as module
from auth.sealing import TOTP_SECRET, Resealed, Sealer, Unsealable, reseal
from schemas.tables import accounts

OLD, NEW, OTHER = (letter.encode() * 32 for letter in "onx")
old, new, both = Sealer([OLD]), Sealer([NEW]), Sealer([NEW, OLD])

texts = st.text(st.characters(codec="utf-8"), max_size=200)


def refused(sealer: Sealer, sealed: str, context: str = "totp:u_1") -> Unsealable:
    with pytest.raises(Unsealable) as caught:
        sealer.open(sealed, context)
    assert caught.value.__cause__ is None
    assert len(sealed) < 8 or sealed[:8] not in str(caught.value)
    return caught.value


@given(texts, texts)
def test_any_text_opens_in_its_context(text: str, context: str) -> None:
    sealed = old.seal(text, context)
    assert old.open(sealed, context) == both.open(sealed, context) == text
    assert sealed.isascii()


@given(texts, texts, texts)
def test_no_text_opens_in_another_context(text: str, context: str, other: str) -> None:
    if other != context:
        assert refused(old, old.seal(text, context), other).known_key


_sealed = old.seal("JBSWY3DPEHPK3PXP", "totp:u_1")


@given(place=st.integers(0, len(_sealed) - 1), letter=st.characters())
def test_a_sealed_value_with_any_letter_changed_never_opens(place: int, letter: str) -> None:
    changed = _sealed[:place] + letter + _sealed[place + 1 :]
    if changed != _sealed:
        refused(old, changed)


@given(place=st.integers(0, 43), bit=st.integers(0, 7))
def test_a_sealed_value_with_any_bit_flipped_never_opens(place: int, bit: int) -> None:
    key_id, _, body = _sealed.partition(".")
    raw = bytearray(base64.urlsafe_b64decode(body))
    assert len(raw) == 44
    raw[place] ^= 1 << bit
    assert refused(old, f"{key_id}.{base64.urlsafe_b64encode(raw).decode()}").known_key


def test_bits_that_nothing_decodes_must_be_as_they_were() -> None:
    assert _sealed.endswith("=")
    opened = []
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/":
        try:
            old.open(f"{_sealed[:-2]}{letter}=", "totp:u_1")
        except Unsealable:
            continue
        opened.append(letter)
    assert opened == [_sealed[-2]]


@given(st.integers(0, len(_sealed) - 1), texts)
def test_a_sealed_value_cut_short_or_grown_never_opens(length: int, more: str) -> None:
    refused(old, _sealed[:length])
    if more:
        refused(old, _sealed + more)


@given(texts)
def test_what_nobody_sealed_never_opens(text: str) -> None:
    refused(old, text)


def test_the_same_text_never_looks_the_same() -> None:
    assert len({old.seal("a", "b") for _ in range(100)}) == 100


def test_the_text_and_the_key_do_not_show() -> None:
    assert "JBSWY" not in _sealed
    assert OLD not in base64.urlsafe_b64decode(_sealed.partition(".")[2])
    assert "oooo" not in repr(old)


def test_another_key_does_not_open_and_says_so() -> None:
    unsealable = refused(new, _sealed)
    assert not unsealable.known_key
    assert "key" in str(unsealable)


def test_the_first_key_seals_and_all_open() -> None:
    assert both.open(_sealed, "totp:u_1") == "JBSWY3DPEHPK3PXP"
    sealed = both.seal("a", "c")
    assert new.open(sealed, "c") == "a"
    refused(old, sealed, "c")


def test_what_another_key_sealed_is_outdated() -> None:
    assert both.outdated(_sealed)
    assert not both.outdated(both.seal("a", "c"))
    assert not old.outdated(_sealed)


def test_a_key_that_is_named_twice_is_one_key() -> None:
    assert not Sealer([OLD, NEW, OLD]).outdated(_sealed)


@pytest.mark.parametrize("keys", [[], [b"short"], [OLD, b"x" * 31]])
def test_too_short_a_key_or_none_is_refused_without_being_repeated(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32") as caught:
        Sealer(keys)
    assert "short" not in str(caught.value)


async def fill(engine: AsyncEngine, sealed: dict[str, str | None]) -> None:
    async with engine.begin() as connection:
        for user, value in sealed.items():
            row = {"id": user, "email": user, "email_key": user, "name": user, "totp_secret": value}
            row |= {"plan": "free", "role": "user", "status": "active", "created_at": 1, "updated_at": 1}
            await connection.execute(insert(accounts).values(row))


async def stored(engine: AsyncEngine) -> dict[str, str]:
    async with engine.connect() as connection:
        rows = (await connection.execute(select(accounts.c.id, accounts.c.totp_secret))).all()
    return {row.id: row.totp_secret for row in rows}


async def test_everything_is_sealed_with_the_first_key_once(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 2)
    users = [f"u_{number}" for number in range(7)]
    await fill(engine, {user: old.seal(f"secret of {user}", f"totp:{user}") for user in users} | {"u_off": None})
    assert await reseal(engine, both) == Resealed(resealed=7, unsealable=0)
    values = await stored(engine)
    assert [new.open(values[user], TOTP_SECRET.context(user)) for user in users] == [f"secret of {u}" for u in users]
    assert values["u_off"] is None
    assert await reseal(engine, both) == Resealed(resealed=0, unsealable=0)
    assert await stored(engine) == values


async def test_what_no_key_opens_is_counted_and_left_alone(engine: AsyncEngine) -> None:
    lost, moved = Sealer([OTHER]).seal("a", "totp:u_1"), new.seal("a", "totp:u_1")
    await fill(engine, {"u_1": lost, "u_2": old.seal("b", "totp:u_2"), "u_3": moved})
    assert await reseal(engine, both) == Resealed(resealed=1, unsealable=2)
    values = await stored(engine)
    assert (values["u_1"], values["u_3"]) == (lost, moved)
    assert new.open(values["u_2"], "totp:u_2") == "b"


async def test_a_value_that_its_owner_changes_meanwhile_stays_changed(engine: AsyncEngine) -> None:
    await fill(engine, {"u_1": old.seal("before", "totp:u_1")})
    after = old.seal("after", "totp:u_1")
    (found,) = (await stored(engine)).values()
    async with engine.begin() as connection:
        await connection.execute(update(accounts).values(totp_secret=after))
    assert await module._reseal_one(engine, both, TOTP_SECRET, "u_1", found) == 0
    assert await stored(engine) == {"u_1": after}
