"""The second factor: on and off, each code once, whoever comes at the same moment."""

import asyncio
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

import pyotp
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from auth import two_factor as module
from auth.accounts import Accounts
from auth.passwords import Passwords
from auth.sealing import Sealer, reseal
from auth.two_factor import Factor, TwoFactor, TwoFactorStatus
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.tables import accounts, recovery_codes
from tests.auth.conftest import NOW, Clock

OLD_KEY, NEW_KEY = b"o" * 32, b"n" * 32
new_recovery_codes = module._new_recovery_codes
NOBODY = "u_aaaaaaaaaaaaaaaa"


@pytest.fixture
def factors(engine: AsyncEngine, clock: Clock) -> TwoFactor:
    return TwoFactor(engine, Sealer([OLD_KEY]), wall=clock)


@pytest.fixture
async def user(engine: AsyncEngine, clock: Clock) -> str:
    people = Accounts(engine, passwords=Passwords(), wall=clock)
    return (await people.create("asha@example.in", None, "Asha")).id


class App:
    """An authenticator app."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._totp, self._clock = pyotp.TOTP(secret), clock

    def code(self, steps: int = 0) -> str:
        return self._totp.at(int(self._clock()), counter_offset=steps)


async def switched_on(factors: TwoFactor, user: str, clock: Clock) -> tuple[App, list[str]]:
    """An app whose first code was taken half a minute ago."""
    app = App((await factors.setup(user, "asha@example.in")).secret, clock)
    codes = await factors.confirm(user, app.code())
    clock.now += 30
    return app, codes


async def refused(coroutine: Any) -> ErrorCode:
    with pytest.raises(CommandError) as caught:
        await coroutine
    assert caught.value.__cause__ is None
    return caught.value.code


async def row_of(engine: AsyncEngine, user: str) -> Any:
    async with engine.connect() as connection:
        return (await connection.execute(select(accounts).where(accounts.c.id == user))).one()


async def test_an_app_learns_the_secret_from_the_picture_and_the_uri(factors: TwoFactor, user: str) -> None:
    made = await factors.setup(user, "asha@example.in")
    assert re.fullmatch("[A-Z2-7]{32}", made.secret)
    parts = urlsplit(made.uri)
    assert (parts.scheme, parts.netloc, unquote(parts.path)) == ("otpauth", "totp", "/tickhub:asha@example.in")
    assert parse_qs(parts.query) == {"secret": [made.secret], "issuer": ["tickhub"]}
    assert isinstance(pyotp.parse_uri(made.uri), pyotp.TOTP)
    assert ET.fromstring(made.qr_svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert made.secret not in repr(made)


async def test_a_secret_counts_only_once_it_is_confirmed(factors: TwoFactor, user: str, clock: Clock) -> None:
    assert await factors.status(user) == (False, 0)
    app = App((await factors.setup(user, "a")).secret, clock)
    assert await factors.status(user) == TwoFactorStatus(enabled=False, recovery_codes=0)
    assert await refused(factors.check(user, app.code())) is ErrorCode.CONFLICT
    codes = await factors.confirm(user, app.code())
    assert await factors.status(user) == (True, 10)
    assert len(set(codes)) == 10
    assert all(re.fullmatch("[a-hjkmnp-z2-9]{4}-[a-hjkmnp-z2-9]{4}-[a-hjkmnp-z2-9]{2}", code) for code in codes)


async def test_neither_the_secret_nor_a_code_stands_in_the_database(
    engine: AsyncEngine, factors: TwoFactor, user: str, clock: Clock
) -> None:
    secret = (await factors.setup(user, "a")).secret
    codes = await factors.confirm(user, App(secret, clock).code())
    async with engine.connect() as connection:
        hashes = (await connection.execute(select(recovery_codes.c.code_hash))).scalars().all()
    stored = f"{await row_of(engine, user)} {hashes}"
    assert len(hashes) == 10
    assert secret not in stored
    assert not [code for code in codes if code in stored or code.replace("-", "") in stored]


async def test_a_setup_that_was_not_confirmed_is_replaced(factors: TwoFactor, user: str, clock: Clock) -> None:
    first = App((await factors.setup(user, "a")).secret, clock)
    second = App((await factors.setup(user, "a")).secret, clock)
    assert await refused(factors.confirm(user, first.code())) is ErrorCode.UNAUTHORIZED
    await factors.confirm(user, second.code())


async def test_what_is_on_is_neither_set_up_nor_confirmed_again(factors: TwoFactor, user: str, clock: Clock) -> None:
    app, _ = await switched_on(factors, user, clock)
    assert await refused(factors.setup(user, "a")) is ErrorCode.CONFLICT
    assert await refused(factors.confirm(user, app.code())) is ErrorCode.CONFLICT
    assert await factors.check(user, app.code()) is Factor.TOTP


async def test_nothing_is_confirmed_that_was_not_set_up(factors: TwoFactor, user: str) -> None:
    assert await refused(factors.confirm(user, "000000")) is ErrorCode.CONFLICT


async def test_a_code_of_a_secret_that_was_replaced_meanwhile_switches_nothing_on(
    factors: TwoFactor, user: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, replaced = asyncio.get_running_loop(), []

    def meanwhile(user_id: str) -> tuple[list[str], list[str]]:
        replaced.append(asyncio.run_coroutine_threadsafe(factors.setup(user, "a"), loop).result(10))
        return new_recovery_codes(user_id)

    monkeypatch.setattr(module, "_new_recovery_codes", meanwhile)
    old = App((await factors.setup(user, "a")).secret, clock)
    assert await refused(factors.confirm(user, old.code())) is ErrorCode.CONFLICT
    assert await factors.status(user) == (False, 0)
    monkeypatch.undo()
    await factors.confirm(user, App(replaced[0].secret, clock).code())


async def test_of_two_who_confirm_at_once_one_gets_codes_that_count(
    factors: TwoFactor, user: str, clock: Clock
) -> None:
    app = App((await factors.setup(user, "a")).secret, clock)
    outcomes = await asyncio.gather(*(factors.confirm(user, app.code()) for _ in range(4)), return_exceptions=True)
    (codes,) = [outcome for outcome in outcomes if isinstance(outcome, list)]
    assert {one.code for one in outcomes if isinstance(one, CommandError)} == {ErrorCode.CONFLICT}
    assert await factors.status(user) == (True, 10)
    assert await factors.check(user, codes[9]) is Factor.RECOVERY_CODE


async def test_a_code_may_be_half_a_minute_early_or_late(factors: TwoFactor, user: str, clock: Clock) -> None:
    app, _ = await switched_on(factors, user, clock)
    for steps in (-1, 0, 1):
        clock.now += 90
        assert await factors.check(user, app.code(steps)) is Factor.TOTP


async def test_a_code_of_another_time_is_refused(factors: TwoFactor, user: str, clock: Clock) -> None:
    app, _ = await switched_on(factors, user, clock)
    clock.now += 300
    for steps in (-2, 2):
        assert await refused(factors.check(user, app.code(steps))) is ErrorCode.UNAUTHORIZED


async def test_a_code_is_good_once(factors: TwoFactor, user: str, clock: Clock) -> None:
    app, _ = await switched_on(factors, user, clock)
    code = app.code()
    assert await factors.check(user, code) is Factor.TOTP
    for _ in range(3):
        assert await refused(factors.check(user, code)) is ErrorCode.UNAUTHORIZED
        clock.now += 20


async def test_the_code_that_switched_it_on_does_not_log_in_as_well(
    factors: TwoFactor, user: str, clock: Clock
) -> None:
    app = App((await factors.setup(user, "a")).secret, clock)
    code = app.code()
    await factors.confirm(user, code)
    assert await refused(factors.check(user, code)) is ErrorCode.UNAUTHORIZED
    assert await factors.check(user, app.code(1)) is Factor.TOTP


async def test_a_code_from_before_the_last_one_is_refused(factors: TwoFactor, user: str, clock: Clock) -> None:
    app, _ = await switched_on(factors, user, clock)
    clock.now += 60
    before = app.code(-1)
    assert await factors.check(user, app.code()) is Factor.TOTP
    assert await refused(factors.check(user, before)) is ErrorCode.UNAUTHORIZED
    assert await factors.check(user, app.code(1)) is Factor.TOTP


async def test_of_many_who_bring_one_code_one_gets_in(
    engine: AsyncEngine, other_engine: AsyncEngine, factors: TwoFactor, user: str, clock: Clock
) -> None:
    app, codes = await switched_on(factors, user, clock)
    other = TwoFactor(other_engine, Sealer([OLD_KEY]), wall=clock)
    for code, factor in ((app.code(), Factor.TOTP), (codes[3], Factor.RECOVERY_CODE)):
        coming = [one.check(user, code) for one in (factors, other) for _ in range(5)]
        outcomes = await asyncio.gather(*coming, return_exceptions=True)
        assert [outcome for outcome in outcomes if isinstance(outcome, Factor)] == [factor]
        assert [one.code for one in outcomes if isinstance(one, CommandError)] == [ErrorCode.UNAUTHORIZED] * 9


async def test_a_recovery_code_is_good_once(factors: TwoFactor, user: str, clock: Clock) -> None:
    _, codes = await switched_on(factors, user, clock)
    assert await factors.check(user, codes[0]) is Factor.RECOVERY_CODE
    assert await refused(factors.check(user, codes[0])) is ErrorCode.UNAUTHORIZED
    assert await factors.status(user) == (True, 9)


async def test_codes_may_be_typed_as_people_type(factors: TwoFactor, user: str, clock: Clock) -> None:
    app, codes = await switched_on(factors, user, clock)
    assert await factors.check(user, f" {codes[0].upper()} ") is Factor.RECOVERY_CODE
    assert await factors.check(user, codes[1].replace("-", "")) is Factor.RECOVERY_CODE
    code = app.code()
    assert await factors.check(user, f"{code[:3]} {code[3:]}") is Factor.TOTP


async def test_anything_else_is_refused_in_peace(factors: TwoFactor, user: str, clock: Clock) -> None:
    await switched_on(factors, user, clock)
    texts = ["", "0", "12345", "1234567", "abcdefghjk", "abcd-efgh-jk", "٠١٢٣٤٥", "\0" * 6, "\ud800", "' OR 1=1"]
    for text in (*texts, "x" * 9999):
        assert await refused(factors.check(user, text)) is ErrorCode.UNAUTHORIZED
    assert await factors.status(user) == (True, 10)


async def test_one_users_code_is_no_other_users(
    engine: AsyncEngine, factors: TwoFactor, user: str, clock: Clock
) -> None:
    people = Accounts(engine, passwords=Passwords(), wall=clock)
    other = (await people.create("ravi@example.in", None, "Ravi")).id
    app, codes = await switched_on(factors, user, clock)
    await switched_on(factors, other, clock)
    for code in (app.code(), codes[0]):
        assert await refused(factors.check(other, code)) is ErrorCode.UNAUTHORIZED


async def test_a_secret_moved_to_another_account_opens_nothing(
    engine: AsyncEngine, factors: TwoFactor, user: str, clock: Clock
) -> None:
    people = Accounts(engine, passwords=Passwords(), wall=clock)
    other = (await people.create("ravi@example.in", None, "Ravi")).id
    app, _ = await switched_on(factors, user, clock)
    await switched_on(factors, other, clock)
    moved = (await row_of(engine, user)).totp_secret
    async with engine.begin() as connection:
        await connection.execute(update(accounts).where(accounts.c.id == other).values(totp_secret=moved))
    with pytest.raises(Unavailable):
        await factors.check(other, app.code())


async def test_what_is_off_leaves_nothing_behind(
    engine: AsyncEngine, factors: TwoFactor, user: str, clock: Clock
) -> None:
    app, codes = await switched_on(factors, user, clock)
    assert await factors.disable(user)
    assert not await factors.disable(user)
    assert await factors.status(user) == (False, 0)
    row = await row_of(engine, user)
    assert row.totp_secret is row.totp_enabled_at is row.totp_last_step is None
    for code in (app.code(), codes[0]):
        assert await refused(factors.check(user, code)) is ErrorCode.CONFLICT


async def test_switched_on_anew_the_old_app_and_codes_are_void(factors: TwoFactor, user: str, clock: Clock) -> None:
    old, old_codes = await switched_on(factors, user, clock)
    await factors.check(user, old.code())
    await factors.disable(user)
    new, _ = await switched_on(factors, user, clock)
    for code in (old.code(), old_codes[0]):
        assert await refused(factors.check(user, code)) is ErrorCode.UNAUTHORIZED
    assert await factors.check(user, new.code()) is Factor.TOTP


async def test_new_recovery_codes_void_the_old_ones(factors: TwoFactor, user: str, clock: Clock) -> None:
    assert await refused(factors.renew_recovery_codes(user)) is ErrorCode.CONFLICT
    _, old = await switched_on(factors, user, clock)
    await factors.check(user, old[0])
    both = await asyncio.gather(factors.renew_recovery_codes(user), factors.renew_recovery_codes(user))
    assert await factors.status(user) == (True, 10)
    assert await refused(factors.check(user, old[1])) is ErrorCode.UNAUTHORIZED
    taken = await asyncio.gather(*(factors.check(user, codes[0]) for codes in both), return_exceptions=True)
    assert taken.count(Factor.RECOVERY_CODE) == 1


async def test_who_has_no_account_has_no_second_factor(factors: TwoFactor) -> None:
    for user in (NOBODY, "auth0|77"):
        assert await factors.status(user) == (False, 0)
        assert not await factors.disable(user)
        for doing in (
            factors.setup(user, "a"),
            factors.confirm(user, "000000"),
            factors.check(user, "000000"),
            factors.renew_recovery_codes(user),
        ):
            assert await refused(doing) is ErrorCode.NOT_FOUND


async def test_after_a_change_of_keys_codes_are_taken_as_before(
    engine: AsyncEngine, factors: TwoFactor, user: str, clock: Clock
) -> None:
    app, codes = await switched_on(factors, user, clock)
    assert (await reseal(engine, Sealer([NEW_KEY, OLD_KEY]))).resealed == 1
    renewed = TwoFactor(engine, Sealer([NEW_KEY]), wall=clock)
    assert await renewed.check(user, app.code()) is Factor.TOTP
    clock.now += 30
    with pytest.raises(Unavailable):
        await factors.check(user, app.code())
    assert await factors.check(user, codes[0]) is Factor.RECOVERY_CODE


async def test_a_secret_whose_key_is_gone_is_told_with_its_remedy_and_recovery_codes_go_on(
    engine: AsyncEngine, factors: TwoFactor, user: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    app, codes = await switched_on(factors, user, clock)
    without = TwoFactor(engine, Sealer([NEW_KEY]), wall=clock)
    with pytest.raises(Unavailable) as caught:
        await without.check(user, app.code())
    assert caught.value.what == "second factor"
    (line,) = [one for one in caplog.records if one.message == "two_factor.unsealable"]
    assert (line.levelname, line.__dict__["user"]) == ("ERROR", user)
    assert "ENCRYPTION_KEYS" in line.__dict__["remedy"]
    assert await without.check(user, codes[0]) is Factor.RECOVERY_CODE
    assert await factors.check(user, app.code()) is Factor.TOTP


async def test_the_first_step_of_all_time_is_a_step(factors: TwoFactor, user: str, clock: Clock) -> None:
    clock.now = 10
    app = App((await factors.setup(user, "a")).secret, clock)
    await factors.confirm(user, app.code())
    assert clock.now < NOW
