"""A key lets in whoever has it, as its owner, for what it is for, and for as long as it is good."""

import asyncio
import hashlib
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy import event, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.api_keys import (
    CACHE_S,
    IDENTITY_S,
    MAX_FOREIGN_LIFETIME_S,
    MAX_LIFETIME_S,
    MAX_LIVE_KEYS,
    SCOPES,
    ApiKeys,
    KeyRefused,
    Owner,
)
from auth.identity import Identity, Plan, Role
from auth.refusals import Reason, TokenRefused
from auth.revocations import Revocation, Revocations
from hub.database import engine_for, migrate
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.tables import api_keys
from tests.auth.conftest import NOW, Clock
from tests.servers import FaultProxy


class Owners:
    """The accounts of a test."""

    def __init__(self) -> None:
        self.known: dict[str, Owner] = {}
        self.asked = 0

    async def __call__(self, user: str) -> Owner | None:
        self.asked += 1
        return self.known.get(user)


@pytest.fixture
def owners() -> Owners:
    return Owners()


@pytest.fixture
def keys(engine: AsyncEngine, clock: Clock, owners: Owners) -> ApiKeys:
    return ApiKeys(engine, wall=clock, account_of=owners)


def token(user: str = "7", plan: Plan = Plan.PRO, role: Role = Role.PUBLISHER) -> Identity:
    return Identity(user=user, plan=plan, role=role, token_id="t", issued_at=NOW, expires_at=NOW + 900)


async def refused(keys: ApiKeys, text: str) -> Reason:
    with pytest.raises(TokenRefused) as caught:
        await keys.verify(text)
    assert isinstance(caught.value, KeyRefused)
    assert (caught.value.code, caught.value.message) == (ErrorCode.UNAUTHORIZED, "This API key is not valid")
    return caught.value.reason


async def test_a_key_is_its_owner_for_what_it_is_for(keys: ApiKeys) -> None:
    key, text = await keys.create(token(), " My bot ", ["socket", "market", "market"])
    assert (key.user, key.name, key.scopes, key.created_at) == ("7", "My bot", ("market", "socket"), NOW)
    assert text.startswith(key.prefix)
    assert await keys.verify(text) == Identity(
        user="7",
        plan=Plan.PRO,
        role=Role.PUBLISHER,
        token_id=key.id,
        issued_at=NOW,
        expires_at=NOW + IDENTITY_S,
        scopes=frozenset({"market", "socket"}),
    )


async def test_of_a_key_only_a_hash_is_kept(keys: ApiKeys, engine: AsyncEngine) -> None:
    key, text = await keys.create(token(), "bot", ["market"])
    secret = text.removeprefix(key.prefix)
    async with engine.connect() as connection:
        row = (await connection.execute(select(api_keys))).mappings().one()
    assert secret not in str(dict(row))
    assert row["secret_hash"] == hashlib.sha256(secret.encode()).hexdigest()
    assert len(bytes.fromhex(secret)) == 32


async def test_a_key_has_what_its_owners_account_says_now(keys: ApiKeys, owners: Owners, clock: Clock) -> None:
    _, text = await keys.create(token("u_1"), "bot", ["market"])
    owners.known["u_1"] = Owner(plan=Plan.FREE, role=Role.USER)
    clock.now += 1000
    identity = await keys.verify(text)
    assert (identity.plan, identity.role, identity.issued_at) == (Plan.FREE, Role.USER, NOW + 1000)
    owners.known["u_1"] = Owner(plan=Plan.ENTERPRISE, role=Role.PUBLISHER)
    clock.now += CACHE_S
    identity = await keys.verify(text)
    assert (identity.plan, identity.role) == (Plan.ENTERPRISE, Role.PUBLISHER)
    owners.known["u_1"] = Owner(plan=Plan.ENTERPRISE, role=Role.PUBLISHER, active=False)
    clock.now += CACHE_S
    assert await refused(keys, text) is Reason.DISABLED


async def test_no_key_is_an_administrator(keys: ApiKeys, owners: Owners, clock: Clock) -> None:
    _, text = await keys.create(token("u_1", role=Role.ADMIN), "bot", ["publish"])
    assert (await keys.verify(text)).role is Role.PUBLISHER
    owners.known["u_1"] = Owner(plan=Plan.PRO, role=Role.ADMIN)
    clock.now += CACHE_S
    identity = await keys.verify(text)
    assert identity.role is Role.PUBLISHER


async def test_who_may_have_which_key(keys: ApiKeys) -> None:
    user = token(role=Role.USER)
    for scope in ("publish", "signals:write"):
        with pytest.raises(CommandError, match="Only publishers") as caught:
            await keys.create(user, "bot", ["market", scope])
        assert caught.value.code is ErrorCode.PERMISSION_DENIED
    await keys.create(user, "bot", [scope for scope in SCOPES if scope not in ("publish", "signals:write")])
    await keys.create(token(role=Role.ADMIN), "bot", SCOPES)
    _, text = await keys.create(token(), "bot", SCOPES)
    with pytest.raises(CommandError, match="cannot make API keys") as caught:
        await keys.create(await keys.verify(text), "another", ["market"])
    assert caught.value.code is ErrorCode.PERMISSION_DENIED


BAD: list[tuple[str, list[str], int | None]] = [
    ("", ["market"], None),
    ("   ", ["market"], None),
    ("x" * 65, ["market"], None),
    ("a\0b", ["market"], None),
    ("a\nb", ["market"], None),
    ("bot", [], None),
    ("bot", ["admin"], None),
    ("bot", ["market", "market "], None),
    ("bot", ["market"], NOW),
    ("bot", ["market"], NOW - 1),
    ("bot", ["market"], NOW + MAX_LIFETIME_S + 1),
]


async def test_what_cannot_be_a_key_is_refused(keys: ApiKeys) -> None:
    for name, scopes, expires_at in BAD:
        with pytest.raises(CommandError) as caught:
            await keys.create(token(), name, scopes, expires_at)
        assert caught.value.code is ErrorCode.BAD_REQUEST
    assert await keys.listed("7") == []


async def test_a_key_of_somebody_without_an_account_ends_within_90_days(
    keys: ApiKeys, engine: AsyncEngine, clock: Clock
) -> None:
    end = NOW + MAX_FOREIGN_LIFETIME_S
    key, text = await keys.create(token(), "bot", ["market"])
    assert key.expires_at == end == NOW + 90 * 86_400
    assert (await keys.create(token(), "bot", ["market"], end))[0].expires_at == end
    with pytest.raises(CommandError, match="within 90 days") as caught:
        await keys.create(token(), "bot", ["market"], end + 1)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    async with engine.begin() as connection:
        await connection.execute(update(api_keys).values(expires_at=None))  # as an earlier release made them
    clock.now = end - 60
    assert (await keys.verify(text)).expires_at == end
    clock.now = end
    assert await refused(keys, text) is Reason.EXPIRED


async def test_a_key_of_an_account_lasts_as_long_as_is_asked(keys: ApiKeys, owners: Owners, clock: Clock) -> None:
    owners.known["u_1"] = Owner(plan=Plan.FREE, role=Role.USER)
    key, text = await keys.create(token("u_1"), "bot", ["market"])
    far = NOW + MAX_LIFETIME_S
    assert (key.expires_at, (await keys.create(token("u_1"), "bot", ["market"], far))[0].expires_at) == (None, far)
    clock.now = far
    assert (await keys.verify(text)).user == "u_1"


async def test_a_user_has_so_many_live_keys_also_when_all_are_made_at_once(
    engine: AsyncEngine, other_engine: AsyncEngine, clock: Clock, owners: Owners
) -> None:
    both = [ApiKeys(one, wall=clock, account_of=owners) for one in (engine, other_engine)]
    making = [both[n % 2].create(token(), str(n), ["market"], NOW + 60) for n in range(MAX_LIVE_KEYS + 4)]
    made = await asyncio.gather(*making, return_exceptions=True)
    errors = [one for one in made if isinstance(one, BaseException)]
    assert [getattr(one, "code", one) for one in errors] == [ErrorCode.LIMIT_EXCEEDED] * 4
    await both[0].create(token("8"), "of another", ["market"])
    clock.now += 60
    await both[0].create(token(), "after those have ended", ["market"])


# -- verifying --------------------------------------------------------------------------------------------------------


async def test_a_key_that_is_not_good_is_refused_and_nobody_is_told_why(keys: ApiKeys, clock: Clock) -> None:
    key, text = await keys.create(token(), "bot", ["market"], NOW + 60)
    wrong = key.prefix + "0" * 64
    assert await refused(keys, wrong) is Reason.UNKNOWN_KEY
    assert await refused(keys, "thk_" + "0" * 16 + "_" + "0" * 64) is Reason.UNKNOWN_KEY
    assert (await keys.verify(text)).expires_at == NOW + 60
    clock.now += 60
    assert await refused(keys, text) is Reason.EXPIRED
    _, other = await keys.create(token(), "other", ["market"])
    for one in await keys.listed("7"):
        await keys.revoke("7", one.id)
    assert await refused(keys, other) is Reason.REVOKED


@given(st.one_of(st.text(max_size=100), st.from_regex(r"thk_[0-9a-g]{15,17}_[0-9a-fA-F]{63,65}\s?", fullmatch=True)))
async def test_what_has_no_keys_shape_is_refused_unasked(text: str) -> None:
    async def never(_: str) -> Owner | None:
        raise AssertionError

    assume(len(text) != 85 or not set(text[4:20] + text[21:]) <= set("0123456789abcdef"))
    keys = ApiKeys(engine_for("postgresql://127.0.0.1:1/none", Path("nowhere")), wall=lambda: 0, account_of=never)
    assert await refused(keys, text) is Reason.MALFORMED


async def test_a_verified_key_asks_the_database_once_in_a_while(
    keys: ApiKeys, engine: AsyncEngine, owners: Owners, clock: Clock
) -> None:
    _, text = await keys.create(token(), "bot", ["market"])
    asked: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    owners.asked = 0
    first = await keys.verify(text)
    once = len(asked)
    for _ in range(1000):
        assert await keys.verify(text) is first
    assert (len(asked), owners.asked) == (once, 1)
    clock.now += CACHE_S
    await keys.verify(text)
    assert owners.asked == 2


async def test_what_is_remembered_of_keys_is_bounded(keys: ApiKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auth.api_keys.MAX_CACHED", 3)
    for number in range(6):
        _, text = await keys.create(token(), str(number), ["market"])
        await keys.verify(text)
    assert len(keys._verified) == 3


# -- revoking ---------------------------------------------------------------------------------------------------------


async def test_a_revoked_key_is_off_the_list_and_soon_refused_everywhere(
    keys: ApiKeys, other_engine: AsyncEngine, clock: Clock, owners: Owners
) -> None:
    elsewhere = ApiKeys(other_engine, wall=clock, account_of=owners)
    key, text = await keys.create(token(), "bot", ["market"])
    known = await elsewhere.verify(text)
    identity = await keys.verify(text)
    revocation = await keys.revoke("7", key.id)
    assert revocation == Revocation(token_id=key.id, expires_at=NOW + IDENTITY_S + int(CACHE_S))
    assert revocation.ends(identity)
    another_process = Revocations(other_engine, clock=clock)
    await another_process.poll()
    assert another_process.is_revoked(identity)
    assert (revocation.expires_at or 0) >= identity.expires_at
    assert await keys.listed("7") == []
    assert await keys.revoke("7", key.id) is None
    assert await refused(keys, text) is Reason.REVOKED
    assert (await elsewhere.verify(text)) is known
    clock.now += CACHE_S
    assert await refused(elsewhere, text) is Reason.REVOKED


async def test_only_a_users_own_key_can_be_revoked(keys: ApiKeys) -> None:
    key, text = await keys.create(token(), "bot", ["market"])
    assert await keys.revoke("8", key.id) is None
    for other in ("", "k_", "k_" + "0" * 16, "' OR 1=1 --", "k_\0", "k_" + "\uff21" * 16):
        assert await keys.revoke("7", other) is None
    assert await keys.listed("8") == []
    assert (await keys.verify(text)).user == "7"


async def test_all_keys_of_a_user_can_be_revoked(keys: ApiKeys) -> None:
    made = [(await keys.create(token(), str(n), ["market"]))[0] for n in range(3)]
    other, text = await keys.create(token("8"), "other", ["market"])
    assert {one.token_id for one in await keys.revoke_all("7")} == {key.id for key in made}
    assert await keys.revoke_all("7") == []
    assert (await keys.verify(text)).token_id == other.id


async def test_keys_that_ended_long_ago_are_forgotten(keys: ApiKeys, clock: Clock, engine: AsyncEngine) -> None:
    ended, _ = await keys.create(token(), "ended", ["market"], NOW + 60)
    revoked, _ = await keys.create(token(), "revoked", ["market"])
    live, _ = await keys.create(token(), "live", ["market"], NOW + 6000)
    await keys.revoke("7", revoked.id)
    clock.now += 100
    assert [key.id for key in await keys.listed("7")] == sorted([ended.id, live.id])
    assert await keys.purge(NOW + 100) == 2
    async with engine.connect() as connection:
        assert (await connection.execute(select(api_keys.c.id))).scalars().all() == [live.id]


# -- use --------------------------------------------------------------------------------------------------------------


async def used(keys: ApiKeys) -> list[int | None]:
    return [key.last_used_at for key in await keys.listed("7")]


async def test_last_use_is_written_beside_the_way_and_once_a_minute(keys: ApiKeys, clock: Clock) -> None:
    _, text = await keys.create(token(), "bot", ["market"])
    for _ in range(10):
        await keys.verify(text)
    assert await used(keys) == [None]
    assert (await keys.flush(), await keys.flush()) == (1, 0)
    assert await used(keys) == [NOW]
    clock.now += 59
    await keys.verify(text)
    assert await keys.flush() == 0
    assert await used(keys) == [NOW]
    clock.now += 1
    assert await keys.flush() == 1
    clock.now += 60
    await keys.verify(text)
    await keys.flush()
    assert await used(keys) == [NOW + 120]


async def test_a_use_that_another_process_wrote_later_is_kept(keys: ApiKeys, engine: AsyncEngine, clock: Clock) -> None:
    _, text = await keys.create(token(), "bot", ["market"])
    await keys.verify(text)
    async with engine.begin() as connection:
        await connection.execute(update(api_keys).values(last_used_at=NOW + 5))
    await keys.flush()
    assert await used(keys) == [NOW + 5]


async def test_the_use_of_keys_is_written_every_now_and_then(keys: ApiKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auth.api_keys.FLUSH_EVERY_S", 0.01)
    _, text = await keys.create(token(), "bot", ["market"])
    task = asyncio.create_task(keys.run())
    await asyncio.sleep(0)
    await keys.verify(text)
    async with asyncio.timeout(10):
        while await used(keys) != [NOW]:  # noqa: ASYNC110 - nobody is told of the writing
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])


async def test_a_database_that_is_cut_off_refuses_nobody_who_was_let_in_just_now(
    postgres_url: str, tmp_path: Path, clock: Clock, owners: Owners
) -> None:
    parts = urlsplit(postgres_url)
    async with FaultProxy(parts.hostname or "", parts.port or 5432) as proxy:
        user, at, _ = parts.netloc.rpartition("@")
        url = urlunsplit(parts._replace(netloc=f"{user}{at}{proxy.host}:{proxy.port}"))
        engine = engine_for(url, tmp_path)
        await migrate(engine)
        keys = ApiKeys(engine, wall=clock, account_of=owners)
        _, text = await keys.create(token(), "bot", ["market"])
        await keys.verify(text)
        proxy.refuse()
        proxy.cut()
        assert (await keys.verify(text)).user == "7"
        with pytest.raises(Unavailable):
            await keys.flush()
        clock.now += CACHE_S
        with pytest.raises(Unavailable):
            await keys.verify(text)
        await proxy.accept()
        assert (await keys.verify(text)).user == "7"
        assert await keys.flush() == 1
        await engine.dispose()
