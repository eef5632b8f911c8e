"""Accounts, logins and passwords, as their owners and others meet them over HTTP."""

import asyncio
from pathlib import Path

import pytest

from auth.limits import Limit
from tests.hub.live import Hub, bearer, running, until
from tests.hub.people import PASSWORD, Person, letters


@pytest.fixture
async def asha(hub: Hub) -> Person:
    person = Person(hub)
    assert (await person.register(name="Asha")).status == 201
    return person


async def test_who_registers_is_in_and_known(hub: Hub) -> None:
    asha = Person(hub, "Asha.Rao@Example.com")
    answer = await asha.register(name="Asha Rao", language="mr", phone="98200 12345")
    assert answer.status == 201
    assert answer.data.keys() == {
        "access_token", "refresh_token", "token_type", "expires_in", "refresh_expires_in", "user",
    }  # fmt: skip
    assert (answer.data["expires_in"], answer.data["refresh_expires_in"]) == (900, 7 * 86_400)
    profile = (await asha.ask("GET", "auth/profile")).data
    assert profile == (await asha.ask("GET", "users/me")).data
    assert profile | {"id": "", "created_at": "", "last_login_at": ""} == {
        "id": "", "email": "Asha.Rao@example.com", "email_verified": False, "name": "Asha Rao",
        "phone": "+919820012345", "phone_verified": False, "plan": "free", "role": "user", "two_factor": False,
        "language": "mr", "theme": None, "timezone": None, "created_at": "", "last_login_at": "",
    }  # fmt: skip
    assert profile["created_at"].endswith("+05:30")


async def test_an_address_has_one_account_in_whatever_spelling(hub: Hub, asha: Person) -> None:
    for spelling in ("asha@example.com", "ASHA@example.com", "Asha@EXAMPLE.COM"):
        answer = await Person(hub, spelling).register()
        assert (answer.status, answer.code) == (409, "CONFLICT")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"email": "\u0430sha@example.com"}, "$.email"),  # in Cyrillic, looking like an a
        ({"email": "asha"}, "$.email"),
        ({"email": 7}, "$.email"),
        ({"email": "a@" + "b" * 300}, "$.email"),
        ({"password": "Short-1"}, "$.password"),
        ({"password": "alllowercase"}, "$.password"),
        ({"password": "Password123!"}, "$.password"),
        ({"password": "x" * 300}, "$.password"),
        ({"name": "evil\u202ename"}, "$.name"),
        ({"name": "nul\0"}, "$.name"),
        ({"phone": "12"}, "$.phone"),
        ({"language": "fr"}, "$.language"),
        ({"role": "admin"}, "role"),
        ({"plan": "enterprise"}, "plan"),
    ],
)
async def test_what_cannot_be_taken_is_told_with_its_place(
    tmp_path: Path, fields: dict[str, object], place: str
) -> None:
    async with running(tmp_path) as hub:
        answer = await Person(hub).register(**fields)
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")
        assert place in answer.json["error"]["message"]
        assert "300" not in answer.json["error"]["message"]


async def test_script_and_sql_in_a_name_stay_a_name(hub: Hub) -> None:
    for number, name in enumerate(("<script>alert(1)</script>", "'; DROP TABLE accounts; --", "{{777*777}} %s {name}")):
        person = Person(hub, f"p{number}@example.com")
        assert (await person.register(name=name)).status == 201
        assert (await person.ask("GET", "users/me")).data["name"] == name
        letter = await person.mail("verify-email")
        assert name not in letter  # it goes to whatever address a stranger gives
        assert str(777 * 777) not in letter.split("token=")[0]


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(hub: Hub, asha: Person) -> None:
    wrong = await Person(hub, password="wrong-Tram-81").login()
    unknown = await Person(hub, "nobody@example.com").login()
    strange = await Person(hub, "no address at all").login()
    for answer in (wrong, unknown, strange):
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    messages = {answer.json["error"]["message"] for answer in (wrong, unknown, strange)}
    assert len(messages) == 1


async def test_the_link_in_the_mail_verifies_the_address_once(hub: Hub, asha: Person) -> None:
    token = await asha.link_token("verify-email")
    assert (await asha.ask("POST", "auth/verify-email", {"token": token + "x"})).status == 401
    assert (await asha.ask("POST", "auth/verify-email", {"token": token})).status == 200
    assert (await asha.ask("GET", "users/me")).data["email_verified"] is True
    assert (await asha.ask("POST", "auth/verify-email", {"token": token})).status == 401
    assert (await asha.ask("POST", "auth/verify-email/send")).status == 409


async def test_a_refresh_token_is_good_once_and_ends_its_login_the_second_time(hub: Hub, asha: Person) -> None:
    stolen = dict(asha.tokens)
    async with hub.client(query=f"?token={stolen['access_token']}") as client:
        assert (await asha.refresh()).status == 200
        assert asha.tokens["refresh_token"] != stolen["refresh_token"]
        thief = Person(hub)
        thief.tokens = stolen
        answer = await thief.refresh()
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert await client.close_code() == 3500
    assert (await asha.ask("GET", "auth/profile")).status == 401
    assert (await asha.refresh()).status == 401
    logs = (await hub.get("/api/v1/admin/logs?action=session.reused", **bearer("boss", role="admin"))).data
    assert [(entry["actor"], entry["level"]) for entry in logs["items"]] == [(asha.id, "critical")]


async def test_of_two_refreshes_at_once_one_wins_and_the_login_ends(hub: Hub, asha: Person) -> None:
    body = {"refresh_token": asha.tokens["refresh_token"]}
    answers = await asyncio.gather(*(asha.ask("POST", "auth/refresh", body) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401, 401]
    assert (await asha.ask("GET", "auth/profile")).status == 401


@pytest.mark.parametrize("what", ["access_token", "garbage", "empty"])
async def test_no_other_token_refreshes(hub: Hub, asha: Person, what: str) -> None:
    token = {"access_token": asha.tokens["access_token"], "garbage": "a.b.c", "empty": ""}[what]
    answer = await asha.ask("POST", "auth/refresh", {"refresh_token": token})
    assert answer.status in (400, 401)
    assert (await asha.refresh()).status == 200


async def test_a_refresh_token_logs_out_here_or_everywhere_without_an_access_token(hub: Hub, asha: Person) -> None:
    logins = [Person(hub) for _ in range(3)]
    for login in logins:
        await login.login()
    token = logins[1].tokens["refresh_token"]
    for everywhere, statuses in ((False, [200, 401, 200]), (True, [401, 401, 401])):
        nobody = Person(hub)
        assert (
            await nobody.ask("POST", "auth/logout", {"refresh_token": token, "everywhere": everywhere})
        ).status == 200
        assert [(await login.ask("GET", "users/me")).status for login in logins] == statuses


async def test_a_refresh_token_opens_nothing_else(hub: Hub, asha: Person) -> None:
    header = {"Authorization": f"Bearer {asha.tokens['refresh_token']}"}
    assert (await asha.ask("GET", "auth/profile", **header)).status == 401
    async with hub.client(query=f"?token={asha.tokens['refresh_token']}", welcomed=False) as client:
        assert await client.close_code() == 3500


async def test_logging_out_ends_this_login_and_no_other(hub: Hub, asha: Person) -> None:
    other = Person(hub)
    await other.login()
    async with (
        hub.client(query=f"?token={asha.tokens['access_token']}") as here,
        hub.client(query=f"?token={other.tokens['access_token']}") as there,
    ):
        assert (await asha.ask("POST", "auth/logout")).status == 200
        assert await here.close_code() == 3500
        assert (await there.ask("ping"))["type"] == "pong"
    assert (await asha.ask("GET", "auth/profile")).status == 401
    assert (await asha.refresh()).status == 401
    assert (await other.ask("GET", "auth/profile")).status == 200


async def test_logging_out_everywhere_ends_all_logins_but_not_the_next(hub: Hub, asha: Person) -> None:
    other = Person(hub)
    await other.login()
    assert (await other.ask("POST", "auth/logout", {"everywhere": True})).status == 200
    for person in (asha, other):
        assert (await person.ask("GET", "auth/profile")).status == 401
        assert (await person.refresh()).status == 401
    assert (await asha.login()).status == 200
    assert (await asha.ask("GET", "auth/profile")).status == 200


async def test_a_ticket_is_good_once_and_its_socket_ends_with_the_login(hub: Hub, asha: Person) -> None:
    ticket = (await asha.ask("POST", "auth/ticket")).data["ticket"]
    async with hub.client(query=f"?ticket={ticket}") as client:
        async with hub.client(query=f"?ticket={ticket}", welcomed=False) as again:
            assert await again.close_code() == 3500
        await asha.ask("POST", "auth/logout")
        assert await client.close_code() == 3500


async def test_a_changed_password_ends_all_other_logins(hub: Hub, asha: Person) -> None:
    other = Person(hub)
    await other.login()
    body = {"current_password": "wrong-Tram-81", "new_password": "harvest-Kite-52"}
    answer = await asha.ask("POST", "auth/change-password", body)
    assert (answer.status, answer.code) == (403, "PERMISSION_DENIED")
    body = {"current_password": PASSWORD, "new_password": "password"}
    answer = await asha.ask("POST", "auth/change-password", body)
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert "$.new_password" in answer.json["error"]["message"]
    body = {"current_password": PASSWORD, "new_password": "harvest-Kite-52"}
    assert (await asha.ask("POST", "auth/change-password", body)).data == {"sessions_ended": 1}
    assert (await asha.ask("GET", "auth/profile")).status == 200
    assert (await other.ask("GET", "auth/profile")).status == 401
    assert (await Person(hub).login()).status == 401
    assert (await Person(hub, password="harvest-Kite-52").login()).status == 200


async def test_a_forgotten_password_is_set_anew_through_the_mail(hub: Hub, asha: Person) -> None:
    for address in (asha.address, "nobody@example.com"):
        answer = await Person(hub).ask("POST", "auth/forgot-password", {"email": address})
        assert (answer.status, answer.data) == (202, {})
    token = await asha.link_token("reset-password")
    weak = await asha.ask("POST", "auth/reset-password", {"token": token, "password": "asha@example.com-A1"})
    assert (weak.status, weak.code) == (400, "BAD_REQUEST")
    answer = await asha.ask("POST", "auth/reset-password", {"token": token, "password": "harvest-Kite-52"})
    assert answer.data == {"sessions_ended": 1}
    assert (await asha.ask("GET", "auth/profile")).status == 401
    assert (await Person(hub, password="harvest-Kite-52").login()).status == 200
    again = await asha.ask("POST", "auth/reset-password", {"token": token, "password": "another-Kite-53"})
    assert (again.status, again.code) == (401, "UNAUTHORIZED")
    outbox = hub.settings.data_dir / "outbox"
    await until(lambda: len(letters(outbox)) == 3)
    assert {to for to, _ in letters(outbox)} == {"asha@example.com"}


async def test_logins_are_listed_and_ended_one_by_one(hub: Hub, asha: Person) -> None:
    phone = Person(hub, **{"User-Agent": "A telephone"})
    await phone.login()
    listed = (await asha.ask("GET", "auth/sessions")).data
    assert listed["total"] == 2
    theirs = next(one for one in listed["items"] if not one["current"])
    assert (theirs["user_agent"], theirs["address"]) == ("A telephone", "127.0.0.1")
    stranger = Person(hub, "ravi@example.com")
    await stranger.register()
    answer = await stranger.ask("DELETE", f"auth/sessions/{theirs['id']}")
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert (await asha.ask("DELETE", f"auth/sessions/{theirs['id']}")).status == 200
    assert (await phone.ask("GET", "auth/profile")).status == 401
    assert (await asha.ask("GET", "auth/sessions")).data["total"] == 1


async def test_brute_force_meets_a_limit_whatever_address_it_comes_from(tmp_path: Path) -> None:
    async with running(tmp_path, TRUSTED_PROXIES="127.0.0.1") as hub:
        asha = Person(hub)
        await asha.register()
        hub.web.api._limits.replace({"failures": Limit(4, 900)})
        statuses = [
            (await Person(hub, password=f"wrong-Tram-{n}", **{"X-Forwarded-For": f"198.51.100.{n}"}).login()).status
            for n in range(22)
        ]
        assert statuses == [401] * 20 + [429] * 2
        right = await asha.login()
        assert (right.status, right.code) == (429, "RATE_LIMITED")
        assert int(right.headers["retry-after"]) > 0
        assert (await Person(hub, "ravi@example.com").register()).status == 201


async def test_logins_from_one_address_meet_a_stricter_limit(tmp_path: Path) -> None:
    async with running(tmp_path, LOGIN_RATE_LIMIT_MAX="5") as hub:
        answers = [await Person(hub, f"p{n}@example.com").login() for n in range(7)]
        assert [answer.status for answer in answers] == [401] * 5 + [429] * 2
        assert answers[0].headers["ratelimit-policy"] == '"login";q=5;w=900'
        assert answers[-1].headers["ratelimit"].startswith('"login";r=0;t=')


async def test_a_refresh_token_in_a_cookie_is_for_this_site_s_pages_alone(hub: Hub, asha: Person) -> None:
    answer = await asha.login(cookie=True)
    assert "refresh_token" not in answer.data
    cookie = answer.headers["set-cookie"]
    assert {part.strip() for part in cookie.split(";")[1:]} >= {"HttpOnly", "Secure", "SameSite=Strict"}
    sent = {"Cookie": cookie.split(";")[0]}
    foreign = await asha.ask("POST", "auth/refresh", {}, Origin="https://evil.example", **sent)
    assert (foreign.status, foreign.code) == (403, "PERMISSION_DENIED")
    fresh = await asha.ask("POST", "auth/refresh", {}, Origin=hub.url, **sent)
    assert fresh.status == 200
    assert "refresh_token" not in fresh.data
    assert fresh.headers["set-cookie"] != cookie
    assert "Max-Age=0" in (await asha.ask("POST", "auth/logout", {})).headers["set-cookie"]


async def test_a_token_without_an_account_is_told_so_and_can_do_the_rest(hub: Hub) -> None:
    person = Person(hub)
    person.headers = bearer("7")
    me = (await person.ask("GET", "users/me")).data
    assert (me["id"], me["email"], me["plan"]) == ("7", None, "pro")
    assert (await person.ask("PUT", "users/preferences", {"language": "gu"})).data["language"] == "gu"
    assert (await person.ask("GET", "users/me")).data["language"] == "gu"
    for method, path, body in (
        ("POST", "auth/change-password", {"current_password": "a", "new_password": "harvest-Kite-52"}),
        ("POST", "auth/2fa/setup", None),
        ("PUT", "users/me", {"name": "Seven"}),
    ):
        answer = await person.ask(method, path, body)
        assert (answer.status, answer.code) == (404, "NOT_FOUND"), path
    assert (await person.ask("POST", "auth/logout")).status == 200
    assert (await person.ask("GET", "users/me")).status == 401
