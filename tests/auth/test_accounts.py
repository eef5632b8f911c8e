"""An account is one person's, however its address is spelt, and whoever comes at the same moment."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from auth import passwords as passwords_module
from auth.account import Account, Status, Wanted, credentials_of
from auth.accounts import Accounts
from auth.challenges import Challenges, Kind
from auth.identity import Plan, Role
from auth.passwords import Cost, Passwords
from auth.preferences import Preferences
from auth.push_subscriptions import PushSubscriptions
from schemas.errors import CommandError, ErrorCode
from schemas.tables import accounts as table
from schemas.tables import challenges, foreign_logins, preferences, push_subscriptions, webhook_endpoints
from tests.auth.conftest import NOW, Clock
from tests.auth.test_push_subscriptions import AUTH, ENDPOINT, P256DH

CHEAP = Cost(memory_kib=64, passes=1)
PASSWORD = "Test-Password-42x"
MAIL = "asha@example.com"
SQL = "Robert'); DROP TABLE accounts;--"
SCRIPT = "<script>alert(1)</script>"
NOBODY = "u_" + "a" * 16
ODD_IDS = ["", "7", "u_", NOBODY, "u_" + "A" * 16, "' OR 1=1 --", "a\x00b", "\ud800", "x" * 9999]


@pytest.fixture
def accounts(engine: AsyncEngine, clock: Clock) -> Accounts:
    return Accounts(engine, passwords=Passwords(CHEAP), wall=clock)


async def asha(accounts: Accounts, email: str = MAIL, name: str = "Asha Patel", **more: Any) -> Account:
    return await accounts.create(email, PASSWORD, name, **more)


async def rows(engine: AsyncEngine, of: Any = table) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(select(of))).all())


def refused(code: ErrorCode) -> Any:
    return pytest.raises(CommandError, check=lambda exc: exc.code is code)


# -- made --------------------------------------------------------------------------------------------------------------


async def test_an_account_is_what_was_given(accounts: Accounts, engine: AsyncEngine) -> None:
    made = await accounts.create("Asha@Example.com", PASSWORD, " Asha Patel ", phone="98765 43210")
    assert made == Account(
        id=made.id,
        email="Asha@example.com",
        email_verified=False,
        name="Asha Patel",
        phone="+919876543210",
        phone_verified=False,
        plan=Plan.FREE,
        role=Role.USER,
        status=Status.ACTIVE,
        created_at=NOW,
        updated_at=NOW,
        last_login_at=None,
        two_factor=False,
        has_password=True,
        credentials=made.credentials,
    )
    assert made.id.startswith("u_")
    assert len(made.id) == 18
    assert await accounts.get(made.id) == made
    (row,) = await rows(engine)
    assert PASSWORD not in str(row)
    assert row.email_key == MAIL


async def test_an_account_of_a_foreign_login_has_no_password(accounts: Accounts) -> None:
    made = await accounts.create(MAIL, None, "", plan=Plan.PRO, role=Role.PUBLISHER, email_verified=True)
    assert (made.has_password, made.email_verified, made.plan, made.role) == (False, True, Plan.PRO, Role.PUBLISHER)
    for password in (PASSWORD, "", "None"):
        assert await accounts.authenticate(MAIL, password) is None
        assert not await accounts.verify_password(made.id, password)


async def test_an_address_has_one_account_in_every_spelling(accounts: Accounts) -> None:
    made = await asha(accounts)
    for again in (MAIL, "ASHA@EXAMPLE.COM", " Asha@Example.Com ", "asha@\uff45xample.com"):
        with refused(ErrorCode.CONFLICT) as caught:
            await asha(accounts, again)
        assert caught.value.message == "This mail address has an account already"
        assert await accounts.by_email(again) == made


async def test_a_domain_that_looks_alike_is_somebody_else(accounts: Accounts) -> None:
    made = await asha(accounts)
    other = await asha(accounts, "asha@ex\u0430mple.com")
    assert other.id != made.id
    assert other.email == "asha@xn--exmple-4nf.com"


async def test_of_many_who_register_one_address_at_once_one_does(
    accounts: Accounts, other_engine: AsyncEngine, engine: AsyncEngine, clock: Clock
) -> None:
    elsewhere = Accounts(other_engine, passwords=Passwords(CHEAP), wall=clock)
    spellings = ["asha@example.com", "Asha@example.com", "ASHA@example.com", "asha@EXAMPLE.com"]
    attempts = [asha(one, spelling) for spelling in spellings for one in (accounts, elsewhere)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(outcome, Account) for outcome in outcomes) == 1
    assert {outcome.code for outcome in outcomes if isinstance(outcome, CommandError)} == {ErrorCode.CONFLICT}
    assert len(await rows(engine)) == 1


NO_ACCOUNTS = [
    ("nobody", PASSWORD, "Asha", "email"),
    ("\u0430sha@example.com", PASSWORD, "Asha", "email"),
    ("a\x00sha@example.com", PASSWORD, "Asha", "email"),
    (f"{SQL}@example.com", PASSWORD, "Asha", "email"),
    (f"{SCRIPT}@example.com", PASSWORD, "Asha", "email"),
    ("x" * 300 + "@example.com", PASSWORD, "Asha", "email"),
    (MAIL, "short", "Asha", "password"),
    (MAIL, "Password1!", "Asha", "password"),
    (MAIL, "Patel-mond-42x", "Asha Patel", "password"),
    (MAIL, "My-Asha-mond-42x", "", "password"),
    (MAIL, PASSWORD + "\x00", "Asha", "password"),
    (MAIL, PASSWORD, "Asha\x00", "name"),
    (MAIL, PASSWORD, "Asha\ud800", "name"),
    (MAIL, PASSWORD, "Asha\u202eletaP", "name"),
    (MAIL, PASSWORD, "x" * 101, "name"),
]


async def test_what_is_no_address_password_or_name_makes_no_account(accounts: Accounts, engine: AsyncEngine) -> None:
    for email, password, name, place in NO_ACCOUNTS:
        with refused(ErrorCode.BAD_REQUEST) as caught:
            await accounts.create(email, password, name)
        assert caught.value.message.endswith(f"- at `$.{place}`")
    assert await rows(engine) == []


async def test_any_name_comes_back_as_it_was(accounts: Accounts) -> None:
    for number, name in enumerate((SQL, SCRIPT, "{name} %s \\ %(x)s", "आशा पटेल")):
        made = await asha(accounts, f"{number}@example.com", name)
        assert made.name == name
        assert await accounts.get(made.id) == made
        assert (await accounts.find(Wanted(q=name)))[0] == [made]


async def test_an_odd_id_or_address_is_nobodys(accounts: Accounts) -> None:
    await asha(accounts)
    for odd in ODD_IDS:
        assert await accounts.get(odd) is None
        assert await accounts.by_email(odd) is None
        assert await accounts.authenticate(odd, PASSWORD) is None
        assert not await accounts.verify_password(odd, PASSWORD)
        assert not await accounts.verify_email(odd, MAIL)
        assert not await accounts.verify_phone(odd, "+919876543210")
        assert not await accounts.delete(odd)
        await accounts.logged_in(odd)
        for doing in (
            accounts.update(odd, name="x"),
            accounts.administer(odd, plan=Plan.PRO),
            accounts.set_password(odd, PASSWORD),
        ):
            with refused(ErrorCode.NOT_FOUND):
                await doing
    assert (await accounts.find(Wanted()))[1] == 1


# -- passwords ---------------------------------------------------------------------------------------------------------


async def test_the_right_password_opens_the_account_in_any_spelling_of_the_address(accounts: Accounts) -> None:
    made = await asha(accounts)
    assert await accounts.authenticate("ASHA@example.COM", PASSWORD) == made
    assert await accounts.verify_password(made.id, PASSWORD)


async def test_a_wrong_password_opens_nothing(accounts: Accounts) -> None:
    made = await asha(accounts)
    for wrong in ("", PASSWORD.lower(), PASSWORD + " ", "' OR 1=1 --", "\x00", "\ud800", "x" * 9999):
        assert await accounts.authenticate(MAIL, wrong) is None
        assert not await accounts.verify_password(made.id, wrong)


async def test_who_is_unknown_costs_what_a_wrong_password_does(engine: AsyncEngine, clock: Clock) -> None:
    verified: list[bool] = []

    class Counting(Passwords):
        async def verify(self, password: str, hashed: str | None) -> bool:
            verified.append(hashed is not None)
            return await super().verify(password, hashed)

    accounts = Accounts(engine, passwords=Counting(CHEAP), wall=clock)
    await asha(accounts)
    await accounts.create("ravi@example.com", None, "Ravi")
    for email in (MAIL, "ravi@example.com", "nobody@example.com", "no address"):
        assert await accounts.authenticate(email, "wrong") is None
    assert verified == [True, False, False, False]


async def test_a_disabled_account_is_opened_for_the_caller_to_judge(accounts: Accounts) -> None:
    made = await asha(accounts)
    await accounts.administer(made.id, status=Status.DISABLED)
    opened = await accounts.authenticate(MAIL, PASSWORD)
    assert opened is not None
    assert opened.status is Status.DISABLED
    assert await accounts.authenticate(MAIL, "wrong") is None


async def test_a_hash_of_older_parameters_is_made_anew_at_login(engine: AsyncEngine, clock: Clock) -> None:
    made = await asha(Accounts(engine, passwords=Passwords(CHEAP), wall=clock))
    newer = Passwords(Cost(memory_kib=128, passes=1))
    accounts = Accounts(engine, passwords=newer, wall=clock)
    (before,) = await rows(engine)
    assert await accounts.authenticate(MAIL, "wrong") is None
    assert (await rows(engine))[0].password_hash == before.password_hash
    clock.now += 5
    found = await accounts.authenticate(MAIL, PASSWORD)
    (after,) = await rows(engine)
    assert found == replace(made, credentials=credentials_of(after.password_hash))
    assert found.credentials != made.credentials
    assert not newer.outdated(after.password_hash)
    assert after.updated_at == made.updated_at
    assert await accounts.authenticate(MAIL, PASSWORD) == found
    assert (await rows(engine))[0].password_hash == after.password_hash


async def test_a_password_that_was_changed_meanwhile_is_not_taken_back(
    engine: AsyncEngine, other_engine: AsyncEngine, clock: Clock
) -> None:
    made = await asha(Accounts(engine, passwords=Passwords(CHEAP), wall=clock))
    newer = Passwords(Cost(memory_kib=128, passes=1))
    elsewhere = Accounts(other_engine, passwords=newer, wall=clock)

    class Interrupted(Passwords):
        async def hash(self, password: str) -> str:
            await elsewhere.set_password(made.id, "Another-Password-43y")
            return await super().hash(password)

    accounts = Accounts(engine, passwords=Interrupted(Cost(memory_kib=128, passes=1)), wall=clock)
    assert await accounts.authenticate(MAIL, PASSWORD) is not None
    assert await accounts.authenticate(MAIL, PASSWORD) is None
    assert await elsewhere.authenticate(MAIL, "Another-Password-43y") is not None


async def test_a_new_password_counts_and_the_old_one_doesnt(accounts: Accounts, clock: Clock) -> None:
    made = await asha(accounts)
    clock.now += 5
    await accounts.set_password(made.id, "Another-Password-43y")
    assert await accounts.authenticate(MAIL, PASSWORD) is None
    changed = await accounts.authenticate(MAIL, "Another-Password-43y")
    assert changed is not None
    assert changed == replace(made, updated_at=NOW + 5, credentials=changed.credentials)
    assert changed.credentials != made.credentials


async def test_a_first_password_makes_logging_in_possible(accounts: Accounts) -> None:
    made = await accounts.create(MAIL, None, "")
    await accounts.set_password(made.id, PASSWORD)
    found = await accounts.authenticate(MAIL, PASSWORD)
    assert found is not None
    assert found == replace(made, has_password=True, credentials=found.credentials)


async def test_a_bad_new_password_changes_nothing(accounts: Accounts) -> None:
    made = await asha(accounts)
    for bad in ("short", "Password1!", "Patel-mond-42x", "My-asha-mond-42x"):
        with refused(ErrorCode.BAD_REQUEST) as caught:
            await accounts.set_password(made.id, bad, place="$.new_password")
        assert caught.value.message.endswith("- at `$.new_password`")
        with refused(ErrorCode.BAD_REQUEST):
            accounts.check_password(bad, made)
    accounts.check_password("Another-Password-43y", made)
    assert await accounts.authenticate(MAIL, PASSWORD) == made


async def test_more_logins_than_can_be_worked_off_are_sent_away(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asha(accounts)
    monkeypatch.setattr(passwords_module, "MAX_WAITING", 0)
    with refused(ErrorCode.NOT_AVAILABLE):
        await accounts.authenticate(MAIL, PASSWORD)


# -- changed -----------------------------------------------------------------------------------------------------------


async def test_a_proof_counts_for_the_address_and_number_that_they_are_now(accounts: Accounts, clock: Clock) -> None:
    made = await asha(accounts, phone="+919876543210")
    assert not await accounts.verify_email(made.id, "other@example.com")
    assert not await accounts.verify_phone(made.id, "+919876543211")
    assert await accounts.get(made.id) == made
    clock.now += 5
    assert await accounts.verify_email(made.id, MAIL)
    assert await accounts.verify_phone(made.id, "+919876543210")
    assert await accounts.get(made.id) == replace(made, email_verified=True, phone_verified=True, updated_at=NOW + 5)
    for odd in ("\x00", "\ud800", "x" * 9999, "' OR 1=1 --"):
        assert not await accounts.verify_email(made.id, odd)
        assert not await accounts.verify_phone(made.id, odd)


async def test_a_second_proof_leaves_the_time_of_the_first(
    accounts: Accounts, engine: AsyncEngine, clock: Clock
) -> None:
    made = await asha(accounts)
    await accounts.verify_email(made.id, MAIL)
    clock.now += 5
    assert await accounts.verify_email(made.id, MAIL)
    assert (await rows(engine))[0].email_verified_at == NOW


async def test_a_new_address_or_number_is_unproved(accounts: Accounts, clock: Clock) -> None:
    made = await asha(accounts, phone="+919876543210", email_verified=True)
    await accounts.verify_phone(made.id, "+919876543210")
    clock.now += 5
    same = await accounts.update(made.id, email="ASHA@example.com", phone="98765 43210", name="Asha P.")
    assert (same.email, same.name, same.updated_at) == ("ASHA@example.com", "Asha P.", NOW + 5)
    assert (same.email_verified, same.phone_verified) == (True, True)
    other = await accounts.update(made.id, email="asha@example.org", phone="98765 43211")
    assert (other.email_verified, other.phone_verified) == (False, False)
    assert await accounts.by_email(MAIL) is None
    assert await accounts.by_email("asha@example.org") == other
    without = await accounts.update(made.id, phone=None)
    assert (without.phone, without.phone_verified, without.email) == (None, False, "asha@example.org")


async def test_what_is_not_given_stays(accounts: Accounts) -> None:
    made = await asha(accounts, phone="+919876543210")
    assert await accounts.update(made.id) == made
    assert await accounts.update(made.id, name="A") == replace(made, name="A")


async def test_somebody_elses_address_cannot_be_taken(accounts: Accounts) -> None:
    await asha(accounts)
    ravi = await asha(accounts, "ravi@example.com", "Ravi")
    with refused(ErrorCode.CONFLICT):
        await accounts.update(ravi.id, email="ASHA@Example.com", name="Asha")
    assert await accounts.get(ravi.id) == ravi


NO_CHANGES: list[dict[str, Any]] = [
    {"name": "a\x00"},
    {"name": "\u202e"},
    {"name": "x" * 101},
    {"email": "\u0430sha@example.com"},
    {"email": SQL},
    {"phone": "12"},
    {"phone": "+91987654321\x00"},
    {"name": "Ok", "phone": SCRIPT},
]


async def test_a_bad_change_changes_nothing(accounts: Accounts) -> None:
    made = await asha(accounts)
    for changes in NO_CHANGES:
        with refused(ErrorCode.BAD_REQUEST):
            await accounts.update(made.id, **changes)
    assert await accounts.get(made.id) == made


async def test_an_administrator_sees_before_and_after(accounts: Accounts, clock: Clock) -> None:
    made = await asha(accounts)
    clock.now += 5
    before, after = await accounts.administer(
        made.id, plan=Plan.ENTERPRISE, role=Role.ADMIN, status=Status.DISABLED, name="A"
    )
    assert before == made
    assert after == replace(
        made, plan=Plan.ENTERPRISE, role=Role.ADMIN, status=Status.DISABLED, name="A", updated_at=NOW + 5
    )
    assert await accounts.get(made.id) == after
    assert await accounts.administer(made.id) == (after, after)
    with refused(ErrorCode.BAD_REQUEST):
        await accounts.administer(made.id, plan=Plan.FREE, name="\x00")
    assert await accounts.get(made.id) == after


async def test_changes_by_several_at_once_all_count(
    accounts: Accounts, other_engine: AsyncEngine, clock: Clock
) -> None:
    elsewhere = Accounts(other_engine, passwords=Passwords(CHEAP), wall=clock)
    made = await asha(accounts)
    outcomes = await asyncio.gather(
        accounts.administer(made.id, plan=Plan.PRO),
        elsewhere.administer(made.id, plan=Plan.BASIC),
        accounts.update(made.id, name="A"),
        elsewhere.update(made.id, phone="98765 43210"),
    )
    now = await accounts.get(made.id)
    assert now is not None
    assert (now.name, now.phone) == ("A", "+919876543210")
    one, two = outcomes[0], outcomes[1]
    assert {one[0].plan, two[0].plan} == {Plan.FREE, ({Plan.PRO, Plan.BASIC} - {now.plan}).pop()}


async def test_a_login_is_noted_and_changes_nothing_else(accounts: Accounts, clock: Clock) -> None:
    made = await asha(accounts)
    clock.now += 5
    await accounts.logged_in(made.id)
    assert await accounts.get(made.id) == replace(made, last_login_at=NOW + 5)


# -- foreign logins ----------------------------------------------------------------------------------------------------


async def test_a_foreign_login_is_the_account_that_it_was_linked_to(accounts: Accounts) -> None:
    made, other = await asha(accounts), await asha(accounts, "ravi@example.com", "Ravi")
    assert await accounts.by_foreign("https://accounts.google.com", "1") is None
    await accounts.link("https://accounts.google.com", "1", made.id)
    await accounts.link("https://accounts.google.com", "1", made.id)
    await accounts.link("https://example.com", "1", other.id)
    assert await accounts.by_foreign("https://accounts.google.com", "1") == made
    assert await accounts.by_foreign("https://example.com", "1") == other
    assert await accounts.by_foreign("https://example.com", "2") is None
    with refused(ErrorCode.CONFLICT):
        await accounts.link("https://accounts.google.com", "1", other.id)
    assert await accounts.by_foreign("https://accounts.google.com", "1") == made


async def test_a_foreign_login_of_nobody_is_not_linked(accounts: Accounts) -> None:
    with refused(ErrorCode.NOT_FOUND):
        await accounts.link("https://example.com", "1", NOBODY)
    assert await accounts.by_foreign("https://example.com", "1") is None


async def test_of_two_who_link_one_login_at_once_one_does(
    accounts: Accounts, other_engine: AsyncEngine, clock: Clock
) -> None:
    elsewhere = Accounts(other_engine, passwords=Passwords(CHEAP), wall=clock)
    made, other = await asha(accounts), await asha(accounts, "ravi@example.com", "Ravi")
    outcomes = await asyncio.gather(
        accounts.link("i", "s", made.id), elsewhere.link("i", "s", other.id), return_exceptions=True
    )
    owner = await accounts.by_foreign("i", "s")
    assert owner == (made if outcomes[0] is None else other)
    assert [getattr(outcome, "code", None) for outcome in outcomes].count(ErrorCode.CONFLICT) == 1


async def test_any_subject_is_kept_as_it_is_or_refused(accounts: Accounts) -> None:
    made = await asha(accounts)
    for subject in (SQL, SCRIPT, "%", "x" * 255, "\u202e"):
        await accounts.link("i", subject, made.id)
        assert await accounts.by_foreign("i", subject) == made
    for issuer, subject in (("i", ""), ("", "s"), ("i", "x" * 256), ("x" * 256, "s"), ("i", "\x00"), ("\ud800", "s")):
        assert await accounts.by_foreign(issuer, subject) is None
        with refused(ErrorCode.BAD_REQUEST):
            await accounts.link(issuer, subject, made.id)


# -- listed ------------------------------------------------------------------------------------------------------------


async def some(accounts: Accounts, engine: AsyncEngine, clock: Clock) -> dict[str, Account]:
    """Five accounts, a second apart; b and d have logged in, c has a second factor."""
    made = {}
    for email, name, plan, role in (
        ("a@example.com", "Zoya", Plan.PRO, Role.USER),
        ("b@example.com", "Yash_1", Plan.FREE, Role.ADMIN),
        ("c@example.org", "Élodie 100%", Plan.ENTERPRISE, Role.USER),
        ("d@example.org", "आशा पटेल", Plan.BASIC, Role.PUBLISHER),
        ("e_x@example.org", "A\\B", Plan.FREE, Role.USER),
    ):
        one = await asha(accounts, email, name, plan=plan, role=role, email_verified=role is not Role.USER)
        made[email[0]] = one
        clock.now += 1
    await accounts.logged_in(made["d"].id)
    clock.now += 1
    await accounts.logged_in(made["b"].id)
    await accounts.administer(made["e"].id, status=Status.DISABLED)
    async with engine.begin() as connection:
        await connection.execute(update(table).where(table.c.id == made["c"].id).values(totp_enabled_at=NOW))
    return made


FOUND: list[tuple[dict[str, Any], str]] = [
    ({}, "abcde"),
    ({"descending": True}, "edcba"),
    ({"sort": "email"}, "abcde"),
    ({"sort": "email", "descending": True}, "edcba"),
    ({"sort": "plan"}, "be|d|a|c"),
    ({"sort": "plan", "descending": True}, "c|a|d|be"),
    ({"sort": "last_login_at"}, "d|b|ace"),
    ({"sort": "last_login_at", "descending": True}, "b|d|ace"),
    ({"plan": Plan.FREE}, "be"),
    ({"role": Role.USER}, "ace"),
    ({"role": Role.USER, "plan": Plan.FREE}, "e"),
    ({"status": Status.DISABLED}, "e"),
    ({"verified": True}, "bd"),
    ({"verified": False}, "ace"),
    ({"q": "EXAMPLE.ORG"}, "cde"),
    ({"q": "yash"}, "b"),
    ({"q": "zoYA"}, "a"),
    ({"q": "ÉLODIE"}, "c"),
    ({"q": "élodie"}, "c"),
    ({"q": "पटेल"}, "d"),
    ({"q": "%"}, "c"),
    ({"q": "_"}, "be"),
    ({"q": "\\"}, "e"),
    ({"q": "/"}, ""),
    ({"q": "' OR 1=1 --"}, ""),
    ({"q": SCRIPT}, ""),
    ({"q": ""}, "abcde"),
]
"""What is asked for, and the first letters of the addresses; apart by | where the order of neighbours is open."""


async def test_accounts_are_found_and_sorted(accounts: Accounts, engine: AsyncEngine, clock: Clock) -> None:
    made = await some(accounts, engine, clock)

    def by_id(letters: str) -> str:
        return "".join(sorted(letters, key=lambda letter: made[letter].id))

    for wanted, letters in FOUND:
        page, total = await accounts.find(Wanted(**wanted))
        expected = "".join(by_id(alike) for alike in letters.split("|")) if "|" in letters else letters
        assert "".join(one.email[0] for one in page) == expected, wanted
        assert total == len(page)


async def test_what_sorts_alike_keeps_one_order_over_the_pages(accounts: Accounts) -> None:
    made = [await asha(accounts, f"{letter}@example.com", "Same") for letter in "abcdefg"]
    ids = sorted(one.id for one in made)
    for sort in ("created_at", "name", "plan", "last_login_at"):
        for descending in (False, True):
            pages = [
                await accounts.find(Wanted(sort=sort, descending=descending, limit=2, offset=offset))
                for offset in (0, 2, 4, 6, 8)
            ]
            assert [one.id for page, _ in pages for one in page] == ids
            assert {total for _, total in pages} == {7}


async def test_what_cannot_be_looked_for_is_refused(accounts: Accounts) -> None:
    for odd in (
        Wanted(q="\x00"),
        Wanted(q="\ud800"),
        Wanted(q="x" * 300),
        Wanted(sort="password_hash"),
        Wanted(sort=""),
    ):
        with refused(ErrorCode.BAD_REQUEST):
            await accounts.find(odd)


async def test_statistics_count_everyone_once(accounts: Accounts, engine: AsyncEngine, clock: Clock) -> None:
    empty = await accounts.statistics(0)
    assert (empty.total, empty.plans, empty.verified) == (
        0,
        dict.fromkeys(["free", "basic", "pro", "enterprise"], 0),
        0,
    )
    await some(accounts, engine, clock)
    counted = await accounts.statistics(NOW + 3)
    assert counted.total == 5
    assert counted.plans == {"free": 2, "basic": 1, "pro": 1, "enterprise": 1}
    assert counted.roles == {"user": 3, "publisher": 1, "admin": 1}
    assert counted.statuses == {"active": 4, "disabled": 1}
    assert (counted.verified, counted.two_factor, counted.registered) == (2, 1, 2)


# -- gone --------------------------------------------------------------------------------------------------------------


async def test_with_an_account_goes_all_that_was_its_own(accounts: Accounts, engine: AsyncEngine, clock: Clock) -> None:
    made, other = await asha(accounts), await asha(accounts, "ravi@example.com", "Ravi")
    for number, one in enumerate((made, other)):
        await accounts.link("i", str(number), one.id)
        await Preferences(engine, wall=clock).put(one.id, theme="dark")
        await PushSubscriptions(engine, wall=clock).add(one.id, f"{ENDPOINT}/{number}", P256DH, AUTH)
        await Challenges(engine, wall=clock).issue(Kind.LOGIN, one.id, lifetime_s=60)
        webhook = {"user_id": one.id, "url": ENDPOINT, "secret": "", "status": "active", "created_at_ms": NOW}
        async with engine.begin() as connection:
            await connection.execute(insert(webhook_endpoints).values(webhook))
    assert await accounts.delete(made.id)
    assert not await accounts.delete(made.id)
    assert await accounts.get(made.id) is None
    for of in (foreign_logins, preferences, push_subscriptions, challenges, webhook_endpoints):
        assert [row.user_id for row in await rows(engine, of)] == [other.id]
    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(table)) == 1
    assert (await asha(accounts)).id != made.id
