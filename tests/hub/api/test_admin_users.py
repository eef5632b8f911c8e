"""Administrators see accounts and change plans, roles and states; open sockets follow."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from auth.account import Account, Status
from auth.audit import Level
from auth.identity import Plan, Role
from notifiers.alerts.store import Draft
from notifiers.conditions.tree import Cross, Field, Number
from tests.hub.administration import Desk, administered, two_administered
from tests.hub.live import Answer, bearer


async def account(desk: Desk, name: str = "Asha", **options: Any) -> Account:
    return await desk.accounts.create(f"{name.lower()}@example.org", None, name, **options)


async def header(desk: Desk, account: Account) -> dict[str, str]:
    """What a login of the account brings."""
    tokens = await desk.sessions.start(
        account.id, credentials=account.credentials, user_agent="test", address="192.0.2.7"
    )
    return {"Authorization": f"Bearer {tokens.access_token}"}


async def test_accounts_are_listed_searched_filtered_and_sorted(desk: Desk) -> None:
    await account(desk, "Asha", plan=Plan.PRO)
    await account(desk, "Bina", role=Role.ADMIN, email_verified=True)
    await account(desk, "Chetan")

    async def names(query: str = "") -> list[str]:
        return [row["name"] for row in (await desk.get(f"/users{query}")).data["items"]]

    assert sorted(await names()) == ["Asha", "Bina", "Chetan"]
    assert await names("?sort=name") == ["Asha", "Bina", "Chetan"]
    assert await names("?sort=name&order=desc&limit=1&page=2") == ["Bina"]
    assert await names("?q=CHET") == ["Chetan"]
    assert await names("?plan=pro") == ["Asha"]
    assert await names("?role=admin") == ["Bina"]
    assert await names("?verified=true") == ["Bina"]
    assert await names("?verified=false&sort=email") == ["Asha", "Chetan"]
    assert await names("?status=disabled") == []
    data = (await desk.get("/users?limit=1&page=9")).data
    assert (data["items"], data["total"], data["page"], data["limit"]) == ([], 3, 9, 1)


@pytest.mark.parametrize("query", ["?plan=gold", "?sort=password", "?verified=perhaps", "?q=%00", "?q=" + "x" * 255])
async def test_a_question_that_makes_no_sense_is_refused(one: Desk, query: str) -> None:
    answer = await one.get(f"/users{query}")
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")


async def test_one_account_is_shown_with_its_logins_and_without_its_secrets(one: Desk) -> None:
    made = await account(one)
    await header(one, made)
    data = (await one.get(f"/users/{made.id}")).data
    assert (data["id"], data["plan"], data["role"], data["sessions"], data["api_keys"]) == (
        made.id,
        "free",
        "user",
        1,
        0,
    )
    assert data["account"]["email"] == "asha@example.org"
    assert data["account"]["status"] == "active"
    assert not any("hash" in name or "secret" in name for name in data["account"])


async def test_an_upgrade_reaches_the_open_socket_and_is_recorded(desk: Desk) -> None:
    made = await account(desk)
    async with desk.hub.client(headers=await header(desk, made)) as client:
        reply = await client.ask("subscribe", channel="depth:TCS")
        assert reply["failed"][0]["code"] == "PERMISSION_DENIED"
        answer = await desk.put(f"/users/{made.id}", {"plan": "pro", "name": "Asha P"})
        assert answer.data["plan"] == answer.data["account"]["plan"] == "pro"
        assert answer.data["account"]["name"] == "Asha P"
        await client.subscribe("depth:TCS")
        assert (await desk.put(f"/users/{made.id}", {"plan": "free"})).status == 200
        assert (await client.hear("unsubscribed", channel="depth:NSE:TCS"))["code"] == 2003
    first, second = await desk.trail()
    assert (first.action, first.level, first.actor, first.target) == ("user.changed", Level.CRITICAL, "boss", made.id)
    assert first.details == {"name_changed": True, "plan_before": "free", "plan_after": "pro"}
    assert second.details == {"name_changed": False, "plan_before": "pro", "plan_after": "free"}


async def test_saying_it_again_grants_it_again(one: Desk) -> None:
    """As after a database that went away between the account and the entitlement."""
    made = await account(one)
    await one.accounts.administer(made.id, plan=Plan.PRO)
    async with one.hub.client(user=made.id, plan="free") as client:
        assert (await one.put(f"/users/{made.id}", {"plan": "pro"})).status == 200
        await client.subscribe("depth:TCS")


async def test_two_administrators_at_once_leave_one_truth(one: Desk) -> None:
    made = await account(one)
    plans = ["basic", "pro", "enterprise", "free"] * 3
    answers = await asyncio.gather(*(one.put(f"/users/{made.id}", {"plan": plan}) for plan in plans))
    assert {answer.status for answer in answers} == {200}
    kept = await one.accounts.get(made.id)
    assert kept is not None
    assert one.hub.web.standing.entitlements.of(made.id) == (kept.plan, kept.role)


async def test_disabling_ends_logins_and_sockets(desk: Desk) -> None:
    made = await account(desk)
    hub = desk.hub
    login, old = await header(desk, made), bearer(made.id)
    async with (
        hub.client(headers=login) as with_login,
        hub.client(headers=old) as without,
        hub.client(user="8") as other,
    ):
        answer = await desk.put(f"/users/{made.id}", {"status": "disabled"})
        assert (answer.data["account"]["status"], answer.data["sessions"]) == ("disabled", 0)
        assert [await with_login.close_code(), await without.close_code()] == [3500, 3500]
        await other.ask("ping")
    for headers in (login, old):
        async with hub.client(headers=headers, welcomed=False) as refused:
            assert await refused.close_code() == 3500
    assert (await desk.trail())[0].details == {
        "name_changed": False,
        "status_before": "active",
        "status_after": "disabled",
    }
    assert (await desk.put(f"/users/{made.id}", {"status": "active"})).data["account"]["status"] == "active"
    async with hub.client(headers=await header(desk, made)) as again:
        await again.ask("ping")


async def test_both_instances_follow(tmp_path: Path, redis_url: str) -> None:
    async with two_administered(tmp_path, redis_url) as (one, other):
        made = await account(one)
        async with other.hub.client(headers=await header(other, made)) as client:
            await one.put(f"/users/{made.id}", {"plan": "pro"})
            async with asyncio.timeout(1):
                while (await client.ask("subscribe", channel="depth:TCS"))["failed"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await one.put(f"/users/{made.id}", {"status": "disabled"})
            assert await client.close_code(1.0) == 3500


async def test_a_user_of_someone_elses_login_is_entitled_without_an_account(desk: Desk) -> None:
    assert (await desk.get("/users/7")).code == "NOT_FOUND"
    assert (await desk.put("/users/7", {"plan": "basic"})).code == "CONFLICT"
    async with desk.hub.client(user="7", plan="free") as client:
        answer = await desk.put("/users/7", {"plan": "basic", "role": "user"})
        expected = {"id": "7", "plan": "basic", "role": "user", "account": None, "sessions": 0, "api_keys": 0}
        assert answer.data == expected
        await client.subscribe("depth:TCS")
    assert (await desk.get("/users/7")).data == expected
    assert (await desk.put("/users/7", {"role": "publisher"})).data == expected | {"role": "publisher"}
    trail = await desk.trail()
    assert [event.action for event in trail] == ["user.entitled"] * 2
    assert trail[1].details == {
        "plan_before": "basic", "plan_after": "basic", "role_before": "user", "role_after": "publisher",
    }  # fmt: skip
    for body in ({"status": "disabled"}, {"name": "Seven"}):
        assert (await desk.put("/users/7", body)).code == "CONFLICT"


@pytest.mark.parametrize("user", ["u_aaaaaaaaaaaaaaaa", "u_%00", "%01", "x" * 129, "%F0%9F%92%A9"])
async def test_an_id_that_can_be_nobodys_is_not_found(one: Desk, user: str) -> None:
    for answer in (await one.get(f"/users/{user}"), await one.put(f"/users/{user}", {"plan": "pro", "role": "user"})):
        assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert await one.trail() == []


@pytest.mark.parametrize(
    "body",
    [{}, {"plan": "gold"}, {"role": None}, {"name": ""}, {"name": "x" * 101}, {"status": "gone"}, {"email": "a@b.c"}],
)
async def test_a_change_that_makes_no_sense_changes_nothing(one: Desk, body: dict[str, Any]) -> None:
    made = await account(one)
    answer = await one.put(f"/users/{made.id}", body)
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert await one.accounts.get(made.id) == made
    assert await one.trail() == []


async def test_nobody_shuts_themselves_out(one: Desk) -> None:
    made = await account(one, role=Role.ADMIN)
    boss = await header(one, made)

    async def put(**body: str) -> Answer:
        return await one.put(f"/users/{made.id}", body, **boss)

    for body in ({"role": "user"}, {"status": "disabled"}, {"plan": "pro", "role": "publisher"}):
        assert (await put(**body)).code == "CONFLICT"
    assert (await put(plan="pro", role="admin", status="active")).data["plan"] == "pro"
    kept = await one.accounts.get(made.id)
    assert kept is not None
    assert (kept.role, kept.status) == (Role.ADMIN, Status.ACTIVE)
    assert (await one.put("/users/boss", {"plan": "pro", "role": "user"})).code == "CONFLICT"


async def test_only_administrators_may_look_or_change(one: Desk) -> None:
    made = await account(one)
    for headers in (bearer("7"), bearer("7", plan="enterprise"), bearer("p", role="publisher"), bearer(made.id)):
        assert (await one.get("/users", **headers)).status == 403
        assert (await one.get(f"/users/{made.id}", **headers)).status == 403
        assert (await one.put(f"/users/{made.id}", {"role": "admin"}, **headers)).status == 403
    assert await one.accounts.get(made.id) == made


async def test_alerts_look_at_prices_as_late_as_the_new_plan_has_them(tmp_path: Path) -> None:
    plans = tmp_path / "plans.toml"
    plans.write_text('[free]\nNSE = "15m"\n')
    async with administered(tmp_path, PLANS_FILE=str(plans)) as desk:
        made = await account(desk, plan=Plan.PRO)
        store = desk.hub.web.api._alerts
        tree = Cross(left=Field(name="price"), right=Number(value=2500))
        draft = Draft(user=made.id, exchange="NSE", symbol="TCS", condition="price crosses 2500", tree=tree)
        alert = await store.create(draft, limit=1)
        for plan, delay_s in (("free", 900), ("pro", 0), ("free", 900)):
            assert (await desk.put(f"/users/{made.id}", {"plan": plan})).status == 200
            assert (await store.get(alert.id, made.id)).delay_s == delay_s
        assert (await desk.put(f"/users/{made.id}", {"role": "publisher"})).status == 200
        assert (await store.get(alert.id, made.id)).delay_s == 0
