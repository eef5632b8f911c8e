import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest

from hub.sockets.connections import Limits, Origins
from tests.hub.live import SECRET, WAIT_S, Hub, Raw, bearer, running, token, until


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running(tmp_path) as hub:
        yield hub


async def refused(hub: Hub, **options: Any) -> int:
    """The code with which a socket is closed that never hears a welcome."""
    async with hub.client(welcomed=False, **options) as client:
        code = await client.close_code()
        assert [message["type"] for message in client.backlog if message["type"] != "error"] == []
        return code


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {"sub": "7", "iss": "tickhub", "aud": "tickhub", "typ": "access", "iat": now, "exp": now + 600}
    return {name: value for name, value in (whole | changed).items() if value is not None}


# -- getting in -------------------------------------------------------------------------------------------------------


async def test_a_token_in_the_query_opens_the_socket(hub: Hub) -> None:
    async with hub.client(query=f"?token={token('7')}") as client:
        assert (await client.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_a_bearer_header_opens_the_socket(hub: Hub, scheme: str) -> None:
    async with hub.client(headers={"Authorization": f"{scheme} {token('7')}"}) as client:
        assert (await client.ask("ping"))["type"] == "pong"


async def test_a_first_message_opens_the_socket(hub: Hub) -> None:
    async with hub.client(query="", welcomed=False) as client:
        await client.say("auth", token=token("7"))
        assert (await client.hear("welcome"))["user"] == "7"


async def test_a_ticket_opens_one_socket_and_no_second(hub: Hub) -> None:
    answer = await hub.post("/api/v1/auth/ticket", **bearer("7", "basic"))
    assert answer.status == 201
    assert 0 < answer.data["expires_in"] <= 30
    query = f"?ticket={answer.data['ticket']}"
    async with hub.client(query=query) as client:
        await client.subscribe("depth:NSE:TCS")  # the ticket carries the token's plan
        assert await refused(hub, query=query) == 3500
        assert (await client.ask("ping"))["type"] == "pong"


async def test_a_ticket_is_no_token_and_a_token_no_ticket(hub: Hub) -> None:
    ticket = (await hub.post("/api/v1/auth/ticket", **bearer())).data["ticket"]
    assert await refused(hub, query=f"?token={ticket}") == 3500
    assert await refused(hub, query=f"?ticket={token()}") == 3500


async def test_the_welcome_says_who_and_until_when(hub: Hub) -> None:
    before = time.time()
    async with hub.client(user="trader 9", expires_in_s=600, welcomed=False) as client:
        welcome = await client.hear("welcome")
    assert welcome.keys() == {"type", "client", "user", "heartbeat", "expires_at", "time"}
    assert (welcome["user"], welcome["heartbeat"]) == ("trader 9", 25)
    assert before - 1 < welcome["time"] < time.time() + 1
    assert 595 < welcome["expires_at"] - before < 605
    assert welcome["client"]


async def test_no_two_clients_share_an_id(hub: Hub) -> None:
    ids = set()
    for _ in range(5):
        async with hub.client(welcomed=False) as client:
            ids.add((await client.hear("welcome"))["client"])
    assert len(ids) == 5


async def test_who_says_nothing_is_closed_with_3502(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(auth_timeout_s=0.2)) as hub:
        before = time.monotonic()
        assert await refused(hub, query="") == 3502
        assert time.monotonic() - before > 0.15


async def test_who_says_only_other_things_is_closed_with_3502(tmp_path: Path) -> None:
    async with (
        running(tmp_path, limits=Limits(auth_timeout_s=0.3)) as hub,
        hub.client(query="", welcomed=False) as client,
    ):
        await client.say("ping")
        assert await client.close_code() == 3502


@pytest.mark.parametrize("text", ['{"action":"subscribe","channel":"market:TCS","id":5}', '{"action":"ping","id":5}'])
async def test_a_command_before_auth_is_unauthorized_and_auth_may_follow(hub: Hub, text: str) -> None:
    async with hub.client(query="", welcomed=False) as client:
        await client.socket.send(text)
        error = await client.hear("error")
        assert (error["code"], error["id"], error["temporary"]) == ("UNAUTHORIZED", 5, False)
        await client.say("auth", token=token())
        await client.hear("welcome")


@pytest.mark.parametrize("text", ["{", "null", '{"action":"fly"}', '{"action":"auth"}'])
async def test_garbage_before_auth_is_a_bad_request_and_auth_may_follow(hub: Hub, text: str) -> None:
    async with hub.client(query="", welcomed=False) as client:
        await client.socket.send(text)
        assert (await client.hear("error"))["code"] == "BAD_REQUEST"
        await client.say("auth", token=token())
        await client.hear("welcome")


async def test_ten_messages_without_auth_end_the_socket(hub: Hub) -> None:
    async with hub.client(query="", welcomed=False) as client:
        for _ in range(10):
            await client.say("ping")
        assert await client.close_code() == 3509
        assert [message["code"] for message in client.backlog] == ["UNAUTHORIZED"] * 10


async def test_auth_a_second_time_is_refused_and_changes_nothing(hub: Hub) -> None:
    async with hub.client(user="7") as client:
        assert (await client.ask("auth", token=token("8")))["code"] == "BAD_REQUEST"
        await client.subscribe("alerts:7")


# -- tokens that are not taken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["query", "header", "message"])
async def test_an_expired_token_is_closed_with_3005(hub: Hub, where: str) -> None:
    old = jwt.encode(claims(iat=1_000, exp=2_000), SECRET, "HS256")
    await assert_closed(hub, where, old, 3005)


@pytest.mark.parametrize("where", ["query", "header", "message"])
async def test_garbage_instead_of_a_token_is_closed_with_3500(hub: Hub, where: str) -> None:
    await assert_closed(hub, where, "no.token.atall", 3500)


async def assert_closed(hub: Hub, where: str, bad: str, code: int) -> None:
    if where == "query":
        assert await refused(hub, query=f"?token={bad}") == code
    elif where == "header":
        assert await refused(hub, headers={"Authorization": f"Bearer {bad}"}) == code
    else:
        async with hub.client(query="", welcomed=False) as client:
            await client.say("auth", token=bad)
            assert await client.close_code() == code


def unsigned(**changed: Any) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims(**changed))]
    return ".".join([base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]) + "."


@pytest.mark.parametrize(
    "bad",
    [
        token(secret="another-secret-of-forty-characters-012345"),
        jwt.encode(claims(), SECRET, "HS512"),
        jwt.encode(claims(aud="elsewhere"), SECRET, "HS256"),
        jwt.encode(claims(iss="elsewhere"), SECRET, "HS256"),
        jwt.encode(claims(exp=None), SECRET, "HS256"),
        jwt.encode(claims(sub=None), SECRET, "HS256"),
        jwt.encode(claims(typ="refresh"), SECRET, "HS256"),
        unsigned(),
        token()[:-4] + "AAAA",
        "x" * 7000,
        "%00%ff",
    ],
    ids=["key", "algorithm", "audience", "issuer", "no-end", "no-user", "kind", "none", "tampered", "long", "binary"],
)
async def test_a_token_that_is_not_ours_is_closed_with_3500(hub: Hub, bad: str) -> None:
    assert await refused(hub, query=f"?token={bad}") == 3500


async def test_a_revoked_token_is_closed_with_3500(hub: Hub) -> None:
    header = bearer("7")
    assert (await hub.post("/api/v1/auth/logout", **header)).status == 200
    assert await refused(hub, headers=header) == 3500
    async with hub.client(user="7") as client:  # the user's other tokens are good
        await client.ask("ping")


async def test_a_ticket_of_a_revoked_token_is_closed_with_3500(hub: Hub) -> None:
    header = bearer("7")
    ticket = (await hub.post("/api/v1/auth/ticket", **header)).data["ticket"]
    await hub.post("/api/v1/auth/logout", **header)
    assert await refused(hub, query=f"?ticket={ticket}") == 3500


# -- where from, and how many -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "origin", "host", "answer"),
    [
        ((), None, "hub:1", True),
        ((), "http://hub:1", "hub:1", True),
        ((), "https://hub:1", "hub:1", True),
        ((), "http://hub:2", "hub:1", False),
        ((), "http://evil.example", "hub:1", False),
        ((), "null", "hub:1", False),
        ((), "null", None, False),
        ((), "", "", False),
        ((), "http://[", "hub:1", False),
        (("https://app.example",), "https://app.example", "hub:1", True),
        (("https://app.example",), "http://app.example", "hub:1", False),
        (("https://app.example",), "https://app.example.evil", "hub:1", False),
        (("*",), "http://evil.example", "hub:1", True),
    ],
)
def test_origins(allowed: tuple[str, ...], origin: str | None, host: str | None, answer: bool) -> None:
    assert Origins(allowed).allow(origin, host) is answer


async def test_a_foreign_page_is_closed_with_3507(tmp_path: Path) -> None:
    async with running(tmp_path, CORS_ORIGIN="https://app.example.com") as hub:
        for origin in ("https://evil.example", "null", "http://["):
            assert await refused(hub, headers=bearer() | {"Origin": origin}) == 3507
        for origin in ("https://app.example.com", hub.url):
            async with hub.client(headers=bearer() | {"Origin": origin}):
                pass


async def test_a_full_process_closes_with_3504_until_somebody_leaves(tmp_path: Path) -> None:
    async with running(tmp_path, MAX_CONNECTIONS="2") as hub, hub.client(user="1"):
        async with hub.client(user="2"):
            assert await refused(hub, user="3") == 3504
        await until(lambda: len(hub.web.connections) == 1)
        async with hub.client(user="3") as client:
            await client.ask("ping")


async def test_who_has_not_authenticated_yet_counts_too(tmp_path: Path) -> None:
    async with running(tmp_path, MAX_CONNECTIONS="1") as hub, hub.client(query="", welcomed=False) as first:
        await first.say("ping")
        await first.hear("error")
        assert await refused(hub, user="3") == 3504
        await first.say("auth", token=token())
        await first.hear("welcome")


async def test_a_user_with_enough_sockets_is_closed_with_3504(tmp_path: Path) -> None:
    async with running(tmp_path, MAX_CONNECTIONS_PER_USER="1") as hub:
        async with hub.client(user="1"):
            assert await refused(hub, user="1") == 3504
            async with hub.client(user="2"):
                pass
        await until(lambda: not len(hub.web.connections))
        async with hub.client(user="1"):
            pass


# -- time -------------------------------------------------------------------------------------------------------------


async def test_heartbeats_come_and_say_how_the_feeds_are(tmp_path: Path) -> None:
    async with (
        running(tmp_path, feeds=True, HEARTBEAT_INTERVAL="1s") as hub,
        hub.client(welcomed=False) as text,
        hub.client(protocol="msgpack", welcomed=False) as packed,
    ):
        for client in (text, packed):
            assert (await client.hear("welcome"))["heartbeat"] == 1
            async with asyncio.timeout(WAIT_S):
                while (first := await client.hear("heartbeat"))["feeds"].get("NSE") != "live":
                    pass  # the feeds need a moment longer than the sockets
            assert first["feeds"]["sources"]["simulator"]["state"] == "live"
            second = await client.hear("heartbeat")
            assert 0.4 < second["time"] - first["time"] < 2.5


def close_frame(code: int) -> bytes:
    """How the close frame of that code begins, behind its length."""
    return code.to_bytes(2, "big")


async def test_a_peer_that_answers_no_ping_is_closed_with_3012(tmp_path: Path) -> None:
    async with running(tmp_path, HEARTBEAT_INTERVAL="1s") as hub, Raw(hub) as raw, hub.client() as living:
        await raw.read_until(close_frame(3012) + b"no pong")
        assert b'"type":"heartbeat"' in raw.data
        await until(lambda: hub.web.connections.closed[3012] == 1)
        await living.ask("ping")


async def test_a_peer_that_never_answers_a_close_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.sockets.protocol.CLOSE_TIMEOUT_S", 0.2)
    async with running(tmp_path) as hub, Raw(hub) as raw:
        hub.web.connections.disconnect_where(lambda identity: identity.user == "raw", 3503)  # type: ignore[arg-type]
        with pytest.raises((EOFError, ConnectionResetError)):
            await raw.read_until(b"never said")
        assert not len(hub.web.connections)


async def test_an_open_socket_hears_of_its_tokens_end_and_is_closed_within_a_second(hub: Hub) -> None:
    async with hub.client(expires_in_s=2, welcomed=False) as client:
        ends = (await client.hear("welcome"))["expires_at"]
        assert 0 <= (await client.hear("token_expiring"))["expires_in"] <= 2
        assert await client.close_code() == 3005
        assert ends - 0.1 <= time.time() < ends + 1.2


async def test_a_long_token_is_not_told_to_be_expiring(hub: Hub) -> None:
    async with hub.client(user="long", expires_in_s=90) as long, hub.client(user="short", expires_in_s=59) as short:
        await short.hear("token_expiring")
        assert [message for message in await long.settled() if message["type"] == "token_expiring"] == []


async def test_refreshing_saves_a_socket_whose_token_ends(hub: Hub) -> None:
    async with hub.client(user="7", expires_in_s=2, welcomed=False) as client:
        ends = (await client.hear("welcome"))["expires_at"]
        await client.hear("token_expiring")
        reply = await client.ask("refresh", token=token("7", expires_in_s=900))
        assert reply["expires_at"] > ends + 800
        async with hub.client(user="other", expires_in_s=2) as other:
            assert await other.close_code() == 3005
        assert time.time() > ends
        assert (await client.ask("ping"))["type"] == "pong"


async def test_a_refreshed_token_that_nears_its_end_is_told_again(hub: Hub) -> None:
    async with hub.client(user="7", expires_in_s=30) as client:
        await client.hear("token_expiring")
        await client.ask("refresh", token=token("7", expires_in_s=20))
        assert (await client.hear("token_expiring"))["expires_in"] <= 20


async def test_logging_out_closes_the_tokens_sockets_and_no_others(hub: Hub) -> None:
    header = bearer("7")
    async with hub.client(headers=header) as first, hub.client(headers=header) as second, hub.client(user="7") as other:
        before = time.monotonic()
        assert (await hub.post("/api/v1/auth/logout", **header)).status == 200
        assert await first.close_code() == await second.close_code() == 3500
        assert time.monotonic() - before < 1
        await other.ask("ping")


async def test_draining_tells_every_client_when_to_come_back(hub: Hub) -> None:
    async with hub.client() as first, hub.client() as second:
        stopping = asyncio.create_task(hub.stop(), name="stopping")
        for client in (first, second):
            assert 0 < (await client.hear("shutdown"))["reconnect_after"] <= 10
            assert await client.close_code() == 3001
        await stopping


async def test_one_line_is_logged_when_a_session_ends(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tickhub.hub.sockets.connections")
    async with hub.client(user="7") as client:
        await client.subscribe("market:TCS", "market:INFY")
    await until(lambda: not len(hub.web.connections))
    (record,) = [record for record in caplog.records if record.name == "tickhub.hub.sockets.connections"]
    assert record.message == "session.closed"
    assert vars(record)["code"] == 1000
    assert vars(record)["channels"] == 2
    assert "7" not in {str(value) for name, value in vars(record).items() if name in {"user", "msg"}}


# -- dialects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offered", "chosen"), [("msgpack", "msgpack"), ("json", "json"), ("graphql-ws", None)])
async def test_the_subprotocol_is_chosen_among_ours(hub: Hub, offered: str, chosen: str | None) -> None:
    async with hub.client(protocol=offered, welcomed=False) as client:
        assert client.socket.subprotocol == chosen
        await client.hear("welcome")


async def test_messagepack_goes_both_ways_in_binary_frames(hub: Hub) -> None:
    async with hub.client(protocol="msgpack") as client:
        await client.subscribe("market:TCS")
        await hub.publish("market:TCS", price=3500.5, volume=10)
        update = await client.hear("market:update")
        assert (update["price"], update["volume"], update["symbol"]) == (3500.5, 10, "TCS")


@pytest.mark.parametrize(
    ("protocol", "frame"), [("msgpack", '{"action":"ping"}'), (None, msgspec.msgpack.encode({"action": "ping"}))]
)
async def test_the_other_kind_of_frame_is_a_bad_request(hub: Hub, protocol: str | None, frame: str | bytes) -> None:
    async with hub.client(protocol=protocol) as client:
        await client.socket.send(frame)
        assert (await client.hear("error"))["code"] == "BAD_REQUEST"
        await client.ask("ping")
