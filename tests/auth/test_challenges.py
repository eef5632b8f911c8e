"""A challenge is redeemed once, in time, by whoever holds its token and knows its code, and by nobody else."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.accounts import Accounts
from auth.challenges import MAX_ATTEMPTS, MAX_CODES, MAX_OPEN, Challenge, Challenges, Issued, Kind
from auth.passwords import Passwords
from schemas.errors import CommandError, ErrorCode
from schemas.tables import challenges as table
from tests.auth.conftest import NOW, Clock

ODD = ["", "x", "\x00", "\ud800", "' OR 1=1 --", "x" * 99_999]
DETAILS = {"email_key": "'; DROP TABLE challenges;--", "by": "<script>", "n": 1, "z": "\x00"}


@pytest.fixture
def challenges(engine: AsyncEngine, clock: Clock) -> Challenges:
    return Challenges(engine, wall=clock)


@pytest.fixture
def elsewhere(other_engine: AsyncEngine, clock: Clock) -> Challenges:
    """In another process."""
    return Challenges(other_engine, wall=clock)


@pytest.fixture
async def user(engine: AsyncEngine, clock: Clock) -> str:
    return (await Accounts(engine, passwords=Passwords(), wall=clock).create("a@example.com", None, "")).id


async def rows(engine: AsyncEngine) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(select(table))).all())


async def issue(challenges: Challenges, user: str, kind: Kind = Kind.LOGIN, *, with_code: bool = False) -> Issued:
    return await challenges.issue(kind, user, lifetime_s=300, with_code=with_code)


def wrong(code: str | None) -> str:
    return f"{(int(code or 0) + 1) % 1_000_000:06}"


def refused() -> Any:
    return pytest.raises(CommandError, match="wrong, has been used, or has expired")


async def test_a_challenge_is_redeemed_with_what_its_issuer_remembered(challenges: Challenges, user: str) -> None:
    issued = await challenges.issue(Kind.VERIFY_EMAIL, user, lifetime_s=60, details=DETAILS)
    expected = Challenge(user_id=user, details=DETAILS, expires_at=NOW + 60)
    assert (issued.code, issued.expires_at) == (None, NOW + 60)
    assert await challenges.look(Kind.VERIFY_EMAIL, issued.token) == expected
    assert await challenges.look(Kind.VERIFY_EMAIL, issued.token) == expected
    assert await challenges.redeem(Kind.VERIFY_EMAIL, issued.token) == expected


async def test_all_refusals_are_one(challenges: Challenges, user: str, clock: Clock) -> None:
    used, spent, kept = [await issue(challenges, user, with_code=True) for _ in range(3)]
    plain = await issue(challenges, user)
    await challenges.redeem(Kind.LOGIN, used.token, used.code)
    tries: list[tuple[Kind, str, str | None]] = [
        (Kind.LOGIN, used.token, used.code),
        (Kind.LOGIN, kept.token, None),
        (Kind.LOGIN, kept.token, wrong(kept.code)),
        (Kind.RESET_PASSWORD, plain.token, None),
        (Kind.LOGIN, plain.token, "000000"),
        *((Kind.LOGIN, spent.token, wrong(spent.code)) for _ in range(MAX_ATTEMPTS)),
        (Kind.LOGIN, spent.token, spent.code),
        *((Kind.LOGIN, odd, code) for odd in ODD for code in (None, "000000")),
        *((Kind.LOGIN, kept.token, odd) for odd in ODD[:2]),
    ]
    errors = set()
    for kind, token, code in tries:
        with pytest.raises(CommandError) as caught:
            await challenges.redeem(kind, token, code)
        errors.add((caught.value.code, caught.value.message))
    clock.now += 300
    for token, code in ((plain.token, None), (kept.token, kept.code)):
        with pytest.raises(CommandError) as caught:
            await challenges.redeem(Kind.LOGIN, token, code)
        errors.add((caught.value.code, caught.value.message))
    assert errors == {(ErrorCode.UNAUTHORIZED, "The link or code is wrong, has been used, or has expired")}


async def test_a_challenge_lives_to_its_last_second(challenges: Challenges, user: str, clock: Clock) -> None:
    first, second = await issue(challenges, user), await issue(challenges, user)
    clock.now += 299
    assert await challenges.look(Kind.LOGIN, first.token) is not None
    await challenges.redeem(Kind.LOGIN, first.token)
    clock.now += 1
    assert await challenges.look(Kind.LOGIN, second.token) is None
    for refusing in (challenges.redeem, challenges.consume, challenges.set_code):
        with refused():
            await refusing(Kind.LOGIN, second.token)
    assert not await challenges.spend_attempt(Kind.LOGIN, second.token)


async def test_what_is_used_is_used(challenges: Challenges, user: str) -> None:
    issued = await issue(challenges, user)
    await challenges.redeem(Kind.LOGIN, issued.token)
    assert await challenges.look(Kind.LOGIN, issued.token) is None
    for refusing in (challenges.redeem, challenges.consume, challenges.set_code):
        with refused():
            await refusing(Kind.LOGIN, issued.token)
    assert not await challenges.spend_attempt(Kind.LOGIN, issued.token)


@pytest.mark.parametrize("with_code", [False, True])
async def test_of_many_who_come_at_once_one_redeems(
    challenges: Challenges, elsewhere: Challenges, user: str, with_code: bool
) -> None:
    issued = await issue(challenges, user, with_code=with_code)
    coming = [one.redeem(Kind.LOGIN, issued.token, issued.code) for one in (challenges, elsewhere) * 2]
    outcomes = await asyncio.gather(*coming, return_exceptions=True)
    assert sum(isinstance(outcome, Challenge) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, CommandError) for outcome in outcomes) == 3


async def test_the_code_is_needed_and_right_once(challenges: Challenges, user: str) -> None:
    issued = await issue(challenges, user, with_code=True)
    assert issued.code is not None
    assert len(issued.code) == 6
    assert issued.code.isdecimal()
    for code in (None, wrong(issued.code), "", "\ud800"):
        with refused():
            await challenges.redeem(Kind.LOGIN, issued.token, code)
    assert (await challenges.redeem(Kind.LOGIN, issued.token, issued.code)).user_id == user


async def test_the_last_attempt_may_be_the_right_one(challenges: Challenges, user: str) -> None:
    issued = await issue(challenges, user, with_code=True)
    for _ in range(MAX_ATTEMPTS - 1):
        with refused():
            await challenges.redeem(Kind.LOGIN, issued.token, wrong(issued.code))
    assert await challenges.look(Kind.LOGIN, issued.token) is not None
    await challenges.redeem(Kind.LOGIN, issued.token, issued.code)


async def test_after_so_many_wrong_codes_a_challenge_is_dead(challenges: Challenges, user: str) -> None:
    issued = await issue(challenges, user, with_code=True)
    for _ in range(MAX_ATTEMPTS):
        with refused():
            await challenges.redeem(Kind.LOGIN, issued.token, wrong(issued.code))
    assert await challenges.look(Kind.LOGIN, issued.token) is None
    assert not await challenges.spend_attempt(Kind.LOGIN, issued.token)
    with refused():
        await challenges.redeem(Kind.LOGIN, issued.token, issued.code)
    with refused():
        await challenges.set_code(Kind.LOGIN, issued.token)


async def test_guesses_that_come_at_once_each_count(challenges: Challenges, elsewhere: Challenges, user: str) -> None:
    issued = await issue(challenges, user, with_code=True)
    guesses = [one.redeem(Kind.LOGIN, issued.token, wrong(issued.code)) for one in (challenges, elsewhere) * 3]
    assert all(isinstance(one, CommandError) for one in await asyncio.gather(*guesses, return_exceptions=True))
    with refused():
        await challenges.redeem(Kind.LOGIN, issued.token, issued.code)


async def test_attempts_for_codes_that_others_check_are_spent_one_by_one(
    challenges: Challenges, elsewhere: Challenges, user: str
) -> None:
    issued = await issue(challenges, user)
    spent = await asyncio.gather(
        *(one.spend_attempt(Kind.LOGIN, issued.token) for one in (challenges, elsewhere) * MAX_ATTEMPTS)
    )
    assert sum(spent) == MAX_ATTEMPTS
    assert not await challenges.spend_attempt(Kind.VERIFY_PHONE, issued.token)


async def test_what_others_have_checked_is_used_up_even_at_the_last_attempt(challenges: Challenges, user: str) -> None:
    issued = await issue(challenges, user, with_code=True)
    for _ in range(MAX_ATTEMPTS):
        assert await challenges.spend_attempt(Kind.LOGIN, issued.token)
    assert (await challenges.consume(Kind.LOGIN, issued.token)).user_id == user
    with refused():
        await challenges.consume(Kind.LOGIN, issued.token)


async def test_a_code_whose_attempt_is_counted_already_is_not_counted_again(challenges: Challenges, user: str) -> None:
    issued = await issue(challenges, user, with_code=True)
    for number in range(MAX_ATTEMPTS):
        assert await challenges.spend_attempt(Kind.LOGIN, issued.token)
        if number < MAX_ATTEMPTS - 1:
            with refused():
                await challenges.redeem(Kind.LOGIN, issued.token, wrong(issued.code), counted=True)
    await challenges.redeem(Kind.LOGIN, issued.token, issued.code, counted=True)


async def test_a_fresh_code_takes_the_place_of_the_one_before(challenges: Challenges, user: str) -> None:
    issued = await challenges.issue(Kind.LOGIN, user, lifetime_s=300, details=DETAILS)
    first = await challenges.set_code(Kind.LOGIN, issued.token)
    second = await challenges.set_code(Kind.LOGIN, issued.token)
    while second == first:
        second = await challenges.set_code(Kind.LOGIN, issued.token)
    with refused():
        await challenges.redeem(Kind.LOGIN, issued.token)
    with refused():
        await challenges.redeem(Kind.LOGIN, issued.token, first)
    assert (await challenges.redeem(Kind.LOGIN, issued.token, second)).details == DETAILS


async def test_a_code_is_made_anew_so_often_and_no_oftener(
    challenges: Challenges, elsewhere: Challenges, user: str
) -> None:
    issued = await issue(challenges, user, with_code=True)
    asked = [one.set_code(Kind.LOGIN, issued.token) for one in (challenges, elsewhere) * MAX_CODES]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(outcome, str) for outcome in outcomes) == MAX_CODES
    codes = [outcome.code for outcome in outcomes if isinstance(outcome, CommandError)]
    assert codes == [ErrorCode.LIMIT_EXCEEDED] * MAX_CODES


async def test_fresh_codes_bring_no_fresh_attempts(challenges: Challenges, user: str) -> None:
    issued = await issue(challenges, user, with_code=True)
    code = issued.code
    for _ in range(MAX_ATTEMPTS - 1):
        with refused():
            await challenges.redeem(Kind.LOGIN, issued.token, wrong(code))
        code = await challenges.set_code(Kind.LOGIN, issued.token)
    with refused():
        await challenges.redeem(Kind.LOGIN, issued.token, wrong(code))
    with refused():
        await challenges.redeem(Kind.LOGIN, issued.token, code)


async def test_a_user_has_so_many_open_of_a_kind(
    challenges: Challenges, user: str, clock: Clock, engine: AsyncEngine
) -> None:
    other_kind = await issue(challenges, user, Kind.RESET_PASSWORD)
    issued = []
    for _ in range(MAX_OPEN + 2):
        issued.append(await issue(challenges, user))
        clock.now += 1
    found = [await challenges.look(Kind.LOGIN, one.token) is not None for one in issued]
    assert found == [False, False] + [True] * MAX_OPEN
    assert await challenges.look(Kind.RESET_PASSWORD, other_kind.token) is not None
    assert len(await rows(engine)) == MAX_OPEN + 1


async def test_the_newest_is_never_the_one_to_go(challenges: Challenges, elsewhere: Challenges, user: str) -> None:
    for _ in range(3 * MAX_OPEN):
        issued = await issue(challenges, user)
        assert await challenges.look(Kind.LOGIN, issued.token) is not None
    many = await asyncio.gather(*(issue(one, user) for one in (challenges, elsewhere) * MAX_OPEN))
    found = [await challenges.look(Kind.LOGIN, one.token) is not None for one in many]
    assert sum(found) <= MAX_OPEN


async def test_nobody_has_no_challenges(challenges: Challenges) -> None:
    for odd in ("u_" + "a" * 16, "7", "", "' OR 1=1 --"):
        with pytest.raises(CommandError) as caught:
            await issue(challenges, odd)
        assert caught.value.code is ErrorCode.NOT_FOUND


async def test_the_database_holds_nothing_to_redeem_with(
    challenges: Challenges, user: str, engine: AsyncEngine
) -> None:
    issued = await issue(challenges, user, with_code=True)
    (row,) = await rows(engine)
    assert len(issued.token) == 43
    assert issued.token not in str(row)
    assert issued.code not in [str(value) for value in row]
    for stolen in (row.id, row.secret_hash):
        with refused():
            await challenges.redeem(Kind.LOGIN, stolen, issued.code)
    other = await issue(challenges, user)
    with refused():
        await challenges.redeem(Kind.LOGIN, other.token, issued.code)


async def test_what_is_done_with_is_purged_and_nothing_else(
    challenges: Challenges, user: str, clock: Clock, engine: AsyncEngine
) -> None:
    used, _expired = await issue(challenges, user), await issue(challenges, user)
    await challenges.redeem(Kind.LOGIN, used.token)
    clock.now += 299
    kept = await issue(challenges, user)
    clock.now += 1
    await challenges.purge()
    assert len(await rows(engine)) == 1
    assert await challenges.look(Kind.LOGIN, kept.token) is not None
