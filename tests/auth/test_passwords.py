"""Which passwords are taken, and that keeping and comparing them costs the same for everyone and never the loop."""

import asyncio
import threading
import time

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from auth import passwords as module
from auth.passwords import AT_ONCE, Cost, Passwords, check_password
from schemas.errors import CommandError, ErrorCode

CHEAP = Cost(memory_kib=64, passes=1)
GOOD = "Test-Password-42x"


def refusal(password: str, *about: str) -> str:
    with pytest.raises(CommandError) as caught:
        check_password(password, about=about)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert caught.value.message.endswith("- at `$.password`")
    assert "{" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "Kx7-mond",
        "kx7-mond",
        "correct horse battery staple",
        "मेरागुप्तशब्द१!",
        "Größe-7-Äpfel",
        "<script>alert(1)</script>A",
        "'; DROP TABLE accounts;--1A",
        "xK4!" * 32,
    ],
)
def test_a_password_of_mixed_kinds_is_taken(password: str) -> None:
    check_password(password, about=("Asha Patel", "asha@example.com"))


@pytest.mark.parametrize("password", ["", "Ab1-xyz", "xK4!" * 32 + "x", "aB1-" * 100_000, "\ufdfa" * 100])
def test_a_password_has_8_to_128_characters(password: str) -> None:
    assert "8 to 128" in refusal(password)


@pytest.mark.parametrize(
    "password", ["lowercasexyz", "UPPERCASEXYZ", "8264910375", "lowercase264", "Uppercasexyz", "!!!!????////", "a" * 40]
)
def test_a_password_has_three_kinds_of_characters(password: str) -> None:
    assert "three out of" in refusal(password)


def test_twenty_characters_need_two_kinds_and_nineteen_three() -> None:
    check_password("mango river stone 4 "[:19].strip() + "zzz")
    check_password("mangoo river stoneee")
    assert "three out of" in refusal("mangoo river stonee")


@pytest.mark.parametrize(
    "password",
    [
        "Password1!",
        "P@ssw0rd123",
        "Qwerty@123",
        "PASSWORD-1",
        "!Password1",
        "Pa$$word2026!",
        "Sunsh1ne!99",
        "Trustno1!",
        "Iloveyou@1",
        "Abc@12345",
        "1qaz2wsX",
        "\uff30\uff41\uff53\uff53\uff57\uff4f\uff52\uff44\uff11\uff01",
        "PaSsWoRd123456789!",
    ],
)
def test_a_common_password_in_disguise_is_refused(password: str) -> None:
    assert "commonly used" in refusal(password)


@pytest.mark.parametrize("password", ["Compaq12", "Ncc1701D", "ncc1701D"])
def test_the_long_list_counts_in_any_case(password: str) -> None:
    assert password.casefold() in module._COMMON
    assert "commonly used" in refusal(password)


@pytest.mark.parametrize(
    ("password", "about"),
    [
        ("Asha-mond-42x", "Asha Patel"),
        ("x42-PATEL-mond", "Asha Patel"),
        ("Mond-asha.p-42", "asha.p@example.com"),
        ("Mond-ashap99-X", "ASHAP99@example.com"),
        ("\uff21\uff53\uff48\uff41-mond-42x", "Asha"),
        ("आशाजी-mond-42X", "आशाजी"),
    ],
)
def test_a_password_holds_nothing_of_its_owners_name(password: str, about: str) -> None:
    assert "your name" in refusal(password, about)
    check_password(password)


@pytest.mark.parametrize("about", ["Bo Li", "bo@example.com", "x@mond.example", "", "@", "---"])
def test_short_names_and_domains_may_stand_in_a_password(about: str) -> None:
    check_password("Bo-Li-mond-42", about=(about,))


@pytest.mark.parametrize("sign", ["\x00", "\n", "\x1b", "\ud800"])
def test_a_password_holds_no_control_characters(sign: str) -> None:
    assert "control" in refusal(GOOD + sign)


def test_a_refusal_names_the_place_and_never_the_password() -> None:
    with pytest.raises(CommandError) as caught:
        check_password("Password1!", place="$.new_password")
    assert caught.value.message.endswith("- at `$.new_password`")
    assert "Password1!" not in str(caught.value)


@given(st.text(st.characters(), max_size=140), st.text(st.characters(), max_size=40))
def test_any_text_is_taken_or_refused(password: str, about: str) -> None:
    try:
        check_password(password, about=(about,))
    except CommandError:
        return
    password.encode()


async def test_a_password_is_the_one_that_was_hashed() -> None:
    passwords = Passwords(CHEAP)
    hashed = await passwords.hash(GOOD)
    assert GOOD not in hashed
    assert hashed.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert await passwords.verify(GOOD, hashed)
    for wrong in (GOOD.lower(), GOOD + " ", "", "\x00", GOOD + "\x00", "\ud800", "x" * 100_000):
        assert not await passwords.verify(wrong, hashed)


async def test_the_same_password_has_another_hash_each_time() -> None:
    passwords = Passwords(CHEAP)
    assert await passwords.hash(GOOD) != await passwords.hash(GOOD)


async def test_a_password_typed_on_another_keyboard_is_the_same() -> None:
    passwords = Passwords(CHEAP)
    assert await passwords.verify("Ame\u0301lie-42-x", await passwords.hash("Amélie-42-x"))


async def test_without_a_hash_no_password_is_right() -> None:
    passwords = Passwords(CHEAP)
    for password in (GOOD, "", "\ud800"):
        assert not await passwords.verify(password, None)


@pytest.mark.parametrize("odd", ["x", "$2b$12$bcrypt", "plain text"])
async def test_a_hash_that_is_none_matches_nothing(odd: str) -> None:
    assert not await Passwords(CHEAP).verify("x", odd)


async def test_an_unknown_user_costs_what_a_known_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords(CHEAP)
    hashed = await passwords.hash(GOOD)
    verified: list[str] = []
    hasher = PasswordHasher(memory_cost=CHEAP.memory_kib, time_cost=CHEAP.passes, parallelism=CHEAP.lanes)

    class Recording:
        def verify(self, kept: str, password: bytes) -> bool:
            verified.append(kept)
            return hasher.verify(kept, password)

    monkeypatch.setattr(passwords, "_hasher", Recording())
    await passwords.verify("wrong", hashed)
    await passwords.verify("wrong", None)
    known, nobodys = verified
    assert [len(part) for part in known.split("$")] == [len(part) for part in nobodys.split("$")]
    assert known.split("$")[:4] == nobodys.split("$")[:4]


async def test_a_hash_of_other_parameters_is_outdated_and_still_good() -> None:
    old, new = Passwords(CHEAP), Passwords(Cost(memory_kib=128, passes=1))
    hashed = await old.hash(GOOD)
    assert not old.outdated(hashed)
    assert new.outdated(hashed)
    assert await new.verify(GOOD, hashed)


async def test_what_is_used_in_earnest_is_as_strong_as_it_should_be_and_quick_enough() -> None:
    passwords = Passwords()
    hashed = await passwords.hash(GOOD)
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert len(hashed) < 255
    took = []
    for _ in range(5):
        before = time.perf_counter()
        assert await passwords.verify(GOOD, hashed)
        took.append(time.perf_counter() - before)
    assert min(took) < 0.06


class Slow:
    """Stands in for the hasher's work: each call waits until it is let go, and notes how many are at it."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.now = self.most = self.done = 0
        self.lock = threading.Lock()

    def hash(self, password: bytes) -> str:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.go.wait(10)
        with self.lock:
            self.now -= 1
            self.done += 1
        return "hash"


async def test_a_flood_is_worked_off_two_at_a_time_even_when_callers_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, slow = Passwords(CHEAP), Slow()
    monkeypatch.setattr(passwords, "_hasher", slow)
    given_up = [asyncio.create_task(passwords.hash(GOOD)) for _ in range(4)]
    while slow.now < AT_ONCE:  # noqa: ASYNC110 - threads have no events for a loop
        await asyncio.sleep(0.001)
    for task in given_up:
        task.cancel()
    await asyncio.wait(given_up)
    waiting = [asyncio.create_task(passwords.hash(GOOD)) for _ in range(6)]
    await asyncio.sleep(0)
    slow.go.set()
    assert await asyncio.gather(*waiting) == ["hash"] * 6
    while slow.now:  # noqa: ASYNC110 - who was given up is nobody's to await
        await asyncio.sleep(0.001)
    assert slow.most == AT_ONCE
    assert slow.done == AT_ONCE + 6


async def test_who_comes_on_top_of_a_flood_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, slow = Passwords(CHEAP), Slow()
    monkeypatch.setattr(passwords, "_hasher", slow)
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    waiting = [asyncio.create_task(passwords.hash(GOOD)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(CommandError) as caught:
        await passwords.hash(GOOD)
    assert caught.value.code is ErrorCode.NOT_AVAILABLE
    slow.go.set()
    await asyncio.gather(*waiting)
    assert await passwords.hash(GOOD) == "hash"
