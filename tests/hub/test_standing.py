"""What is revoked, granted or set reaches open sockets on every instance: by the message, and by the poll alone."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from auth.entitlements import Entitlement
from auth.identity import Identity, Plan, Role
from auth.refusals import TokenRefused
from auth.revocations import Revocation
from auth.tokens import TokenIssuer, TokenVerifier
from hub.standing import NEWS, ConfigurationChanged, News, _decode, _encode
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.tables import entitlements, revocations
from tests.hub.live import SECRET, Client, Hub, bearer, running, token, until
from tests.servers import PostgresServer

PLANS = '[free]\nNSE = "15m"\nchannels = 3\nconnections = 2\n'


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    (tmp_path / "plans.toml").write_text(PLANS)
    async with running(tmp_path, PLANS_FILE=str(tmp_path / "plans.toml")) as hub:
        yield hub


async def grant(hub: Hub, plan: Plan, role: Role = Role.USER, user: str = "7") -> None:
    standing = hub.web.standing
    await standing.entitle(await standing.entitlements.grant(user, plan, role, "root"))


async def is_late(client: Client) -> bool:
    """Whether the one `market` channel that the client hears comes late."""
    listed = (await client.ask("subscriptions"))["subscriptions"]
    (delay,) = [one.get("delay") for one in listed if one["channel"].startswith("market:")]
    return delay is not None


async def until_late(client: Client, late: bool, within_s: float = 1.0) -> None:
    async with asyncio.timeout(within_s):
        while await is_late(client) is not late:  # noqa: ASYNC110 - clients aren't told, they just hear otherwise
            await asyncio.sleep(0.01)


# -- revocations ------------------------------------------------------------------------------------------------------


async def test_a_revocation_that_only_the_database_knows_reaches_open_sockets(tmp_path: Path) -> None:
    mine = token("7")
    identity = await TokenVerifier(secret=SECRET).verify(mine)
    async with running(tmp_path) as hub, hub.client(query=f"?token={mine}") as client:
        row = {"token_id": identity.token_id, "expires_at": identity.expires_at, "created_at": int(time.time())}
        async with hub.engine.begin() as connection:
            await connection.execute(insert(revocations).values(row))
        assert await client.close_code(2.0) == 3500
        assert (await hub.post("/api/v1/auth/ticket", **bearer("7"))).status == 201


async def test_a_user_whose_tokens_are_all_revoked_is_closed_everywhere(hub: Hub) -> None:
    async with (
        hub.client(user="7", plan="pro") as one,
        hub.client(user="7", plan="pro") as two,
        hub.client(user="8") as other,
    ):
        await hub.web.standing.revocations.revoke([Revocation(user="7", issued_before=int(time.time()))])
        assert [await one.close_code(1.0), await two.close_code(1.0)] == [3500, 3500]
        await other.ask("ping")


async def test_a_login_that_ends_closes_the_sockets_of_all_its_tokens(hub: Hub) -> None:
    issuer = TokenIssuer(SECRET, 900)
    first, second = (issuer.issue("7", Plan.PRO, session="s_1") for _ in range(2))
    other = issuer.issue("7", Plan.PRO, session="s_2")
    ticket = (await hub.post("/api/v1/auth/ticket", Authorization=f"Bearer {first}")).data["ticket"]
    async with (
        hub.client(query=f"?token={first}") as one,
        hub.client(query=f"?token={second}") as two,
        hub.client(query=f"?ticket={ticket}") as three,
        hub.client(query=f"?token={other}") as left,
    ):
        await hub.web.standing.announce([Revocation(token_id="s_1", expires_at=int(time.time()) + 900)])
        assert [await client.close_code(1.0) for client in (one, two, three)] == [3500] * 3
        await left.ask("ping")
    with pytest.raises(TokenRefused):
        await hub.web.standing.verify(second)


async def test_until_what_was_revoked_is_known_only_users_without_a_login_are_let_in(tmp_path: Path) -> None:
    issuer = TokenIssuer(SECRET, 900)
    dubious = [issuer.issue("7", session="s_1"), token("8", role="publisher"), token("9", role="admin"), "thk_1"]
    with PostgresServer() as postgres:
        await asyncio.to_thread(postgres.stop)
        async with running(tmp_path, DATABASE_URL=postgres.url) as hub:
            standing = hub.web.standing

            async def find(_: str) -> Identity:
                return key("socket")

            standing._keys = find
            for text_ in dubious:
                with pytest.raises(Unavailable):
                    await standing.verify(text_)
            async with hub.client(user="7") as client:
                await client.subscribe("market:TCS")
                await hub.publish("market:TCS", price=1)
                assert (await client.hear("market:update"))["price"] == 1.0
            await asyncio.to_thread(postgres.start)
            await until(lambda: not standing._unread)
            for text_ in dubious:
                await standing.verify(text_)
            await asyncio.to_thread(postgres.stop)
            for text_ in dubious:  # what was known once is known still
                await standing.verify(text_)


# -- entitlements -----------------------------------------------------------------------------------------------------


async def test_an_upgrade_makes_prices_real_time_and_opens_depth_on_the_same_socket(hub: Hub) -> None:
    async with hub.client(user="7", plan="free") as client:
        reply = await client.ask("subscribe", channels=["market:TCS", "depth:TCS"])
        assert [one["delay"] for one in reply["subscribed"]] == [900]
        assert [one["code"] for one in reply["failed"]] == ["PERMISSION_DENIED"]
        await hub.publish("market:TCS", price=1)
        assert await client.settled() == []

        await grant(hub, Plan.PRO)
        await until_late(client, False)
        assert (await client.hear("market:update"))["price"] == 1.0
        await client.subscribe("depth:TCS")
        await hub.publish("market:TCS", price=2)
        assert (await client.hear("market:update"))["price"] == 2.0
        answer = await hub.get("/api/v1/market/prices/TCS", **bearer("7", "free"))
        assert answer.data["price"] == 2.0


async def test_a_downgrade_ends_and_delays_what_the_plan_no_longer_has(hub: Hub) -> None:
    async with hub.client(user="7", plan="pro") as client, hub.client(user="8", plan="pro") as other:
        await client.subscribe("market:TCS", "depth:TCS", "status:market", "status:feeds", "alerts:user")
        await other.subscribe("market:TCS", "depth:TCS")
        client.backlog.clear()
        await grant(hub, Plan.FREE)
        ended = [await client.hear("unsubscribed", within_s=1.0) for _ in range(2)]
        assert [(one["channel"], one["code"]) for one in ended] == [("depth:NSE:TCS", 2003), ("alerts:user", 2003)]
        await until_late(client, True)
        await hub.publish("market:TCS", price=2)
        assert [one for one in await client.settled() if one["type"] == "market:update"] == []
        assert (await other.hear("market:update"))["price"] == 2.0
        assert (await client.ask("subscribe", channel="market:INFY"))["failed"][0]["code"] == "LIMIT_EXCEEDED"


async def test_a_downgrade_leaves_no_more_sockets_than_the_plan_has(hub: Hub) -> None:
    async with (
        hub.client(user="7", plan="pro") as first,
        hub.client(user="7", plan="pro") as second,
        hub.client(user="7", plan="pro") as third,
    ):
        await grant(hub, Plan.FREE)
        assert await third.close_code(1.0) == 3504
        for client in (first, second):
            await client.ask("ping")
        async with hub.client(user="7", plan="pro", welcomed=False) as refused:
            assert await refused.close_code() == 3504


async def test_whoever_is_made_or_unmade_an_administrator_is_so_at_once(hub: Hub) -> None:
    async with hub.client(user="7") as client:
        assert (await client.ask("subscribe", channel="staff:a"))["failed"]
        await grant(hub, Plan.PRO, Role.ADMIN)
        await client.subscribe("staff:a")
        await grant(hub, Plan.PRO)
        assert (await client.hear("unsubscribed", within_s=1.0))["channel"] == "staff:a"
    assert (await hub.web.standing.verify(token("7", "free", "admin"))).role is Role.USER


async def test_a_grant_that_only_the_database_knows_reaches_open_sockets(hub: Hub) -> None:
    async with hub.client(user="7", plan="free") as client:
        await client.subscribe("market:TCS")
        row = {"user_id": "7", "plan": "pro", "role": "user", "changed_at": int(time.time()), "changed_by": "root"}
        async with hub.engine.begin() as connection:
            await connection.execute(insert(entitlements).values(row))
        await until_late(client, False, within_s=2.0)


async def test_a_token_brought_later_does_not_undo_a_newer_grant(hub: Hub) -> None:
    old = token("7", "pro")
    async with hub.client(query=f"?token={token('7', 'pro')}") as client:
        await client.subscribe("market:TCS")
        await grant(hub, Plan.FREE)
        await until_late(client, True)
        assert (await client.ask("refresh", token=old))["type"] == "refreshed"
        assert await is_late(client)


# -- keys -------------------------------------------------------------------------------------------------------------


def key(*scopes: str, plan: Plan = Plan.PRO) -> Identity:
    return Identity(
        user="7",
        plan=plan,
        token_id="k_1",
        issued_at=int(time.time()),
        expires_at=int(time.time()) + 900,
        scopes=frozenset(scopes),
    )


@pytest.fixture
def keys(hub: Hub) -> dict[str, Identity]:
    """The keys that the hub takes."""
    known: dict[str, Identity] = {}

    async def find(text: str) -> Identity:
        if text not in known:
            raise CommandError(ErrorCode.UNAUTHORIZED, "This API key is not valid")
        return known[text]

    hub.web.standing._keys = find
    return known


async def test_a_key_opens_a_socket_where_it_is_for_that(hub: Hub, keys: dict[str, Identity]) -> None:
    keys["thk_1"], keys["thk_2"] = key("socket"), key("market", "publish")
    async with hub.client(query="?token=thk_1") as client:
        await client.subscribe("market:TCS", "depth:TCS")
        denied = await client.ask("publish", channel="chat:a", data={})
        assert denied["code"] == "PERMISSION_DENIED"
        assert (await client.ask("refresh", token="thk_2"))["code"] == "PERMISSION_DENIED"
        await hub.web.standing.revoke_all([Revocation(token_id="k_1", expires_at=int(time.time()) + 900)])
        assert await client.close_code(1.0) == 3500
    keys["thk_2"] = msgspec.structs.replace(keys["thk_2"], token_id="k_2")
    for text_, code in (("thk_2", 3507), ("thk_1", 3500), ("thk_3", 3500)):
        async with hub.client(query=f"?token={text_}", welcomed=False) as refused:
            assert await refused.close_code() == code


async def test_a_key_has_what_its_owner_was_granted_since(hub: Hub, keys: dict[str, Identity]) -> None:
    keys["thk_1"] = key("socket", plan=Plan.FREE)
    async with hub.client(query="?token=thk_1") as client:
        await client.subscribe("market:TCS")
        await grant(hub, Plan.PRO, Role.ADMIN)
        await until_late(client, False)
        assert (await client.ask("subscribe", channel="staff:a"))["failed"][0]["code"] == "PERMISSION_DENIED"


async def test_without_keys_a_key_is_no_token(hub: Hub) -> None:
    with pytest.raises(TokenRefused):
        await hub.web.standing.verify("thk_1_2")


# -- limits and what is set at run time -------------------------------------------------------------------------------


async def test_a_plans_sockets_are_counted(hub: Hub) -> None:
    async with hub.client(user="7", plan="free"), hub.client(user="7", plan="free"):
        async with hub.client(user="7", plan="free", welcomed=False) as third:
            assert await third.close_code() == 3504
        async with hub.client(user="7", plan="pro"), hub.client(user="8", plan="free"):
            pass


async def test_the_smaller_of_the_plans_and_the_settings_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "plans.toml").write_text(PLANS)
    async with running(tmp_path, PLANS_FILE=str(tmp_path / "plans.toml"), MAX_CONNECTIONS_PER_USER="1") as hub:
        for plan in ("free", "pro"):
            async with (
                hub.client(user=plan, plan=plan),
                hub.client(user=plan, plan=plan, welcomed=False) as second,
            ):
                assert await second.close_code() == 3504


async def test_plans_that_are_replaced_reach_every_socket(hub: Hub) -> None:
    async with hub.client(user="7", plan="free") as one, hub.client(user="8", plan="free") as other:
        for client in (one, other):
            await client.subscribe("market:TCS")
        hub.web.permissions.plans.replace(type(hub.web.permissions.plans)())
        hub.web.connections.reapply()
        for client in (one, other):
            await until_late(client, False)


async def test_a_section_that_is_set_is_told_to_every_instance(tmp_path: Path, redis_url: str) -> None:
    async with (
        running(tmp_path / "left", REDIS_URL=redis_url) as left,
        running(tmp_path / "right", REDIS_URL=redis_url) as right,
    ):
        await until(lambda: left.broker.connected and right.broker.connected)  # type: ignore[attr-defined]
        await until(lambda: NEWS.name in right.web.registry._states and right.web.standing._tried.is_set())
        heard: dict[str, list[str]] = {"left": [], "right": []}
        left.web.standing.on_configuration.append(heard["left"].append)
        right.web.standing.on_configuration.append(heard["right"].append)
        await left.web.standing.announce_configuration("plans")
        await until(lambda: heard["right"], within_s=1.0)
        assert set(heard["left"]) == set(heard["right"]) == {"plans"}


async def test_what_another_release_says_is_passed_over(hub: Hub) -> None:
    async with hub.client(user="7") as client:
        await until(lambda: NEWS.name in hub.web.registry._states)
        for payload in (b'{"kind":"later","x":1}', b"[]", b'{"kind":"revocation"}'):
            await hub.broker.publish(NEWS, payload)
        await grant(hub, Plan.PRO)
        await client.subscribe("market:TCS")


names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)
times = st.integers(0, 2**40)
any_news = st.one_of(
    st.builds(Revocation, token_id=names, expires_at=times),
    st.builds(Revocation, user=names, issued_before=times),
    st.builds(
        Entitlement,
        id=times,
        user=names,
        plan=st.sampled_from(Plan),
        role=st.sampled_from(Role),
        changed_at=times,
        by=names,
    ),
    st.builds(ConfigurationChanged, names),
)


@given(any_news)
def test_news_travels_whole(news: News) -> None:
    payload = _encode(news)
    assert _decode(payload) == news
    assert b"\n" not in payload


@given(st.binary() | st.sampled_from([b"{}", b'{"kind":"revocation"}', b'{"kind":"entitlement","user":"7"}']))
def test_anything_else_is_no_news(payload: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        _decode(payload)
