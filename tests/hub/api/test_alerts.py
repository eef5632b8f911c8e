"""Alerts over HTTP: made with every check there is, changed, tried out, explained, and nobody else's business."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.identity import LANGUAGES
from notifiers.alerts.facts import Facts, encode
from notifiers.alerts.store import Changes
from notifiers.outbox.delivery import Kind
from notifiers.way import Way
from schemas.market import scaled
from schemas.tables import alerts, deliveries, triggers
from tests.hub.api.alerting import ASHA, NOW_S, Office, alerting

IST_NOW = "2026-11-23T13:50:00.000+05:30"


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    async with alerting(engine) as office:
        yield office


SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests that ask nothing of the database which others don't."""


# -- making -----------------------------------------------------------------------------------------------------------


async def test_an_alert_is_made_and_answered_as_it_will_be_read(office: Office) -> None:
    await office.account(ASHA)
    await office.price("market:TCS", price=2480.5, high=2490, low=2470, time="2026-11-23T13:49:59.000+05:30")
    made = await office.make(
        condition="ltp crosses above 2,500",
        channels=["email", "push", "email"],
        cooldown="5m",
        frequency="every",
        expires_at="2026-12-01",
        name=" My TCS ",
        message="{{symbol}} is at {{price}}",
        language="mr",
        band="0.5%",
        escalation=[{"channel": "voice", "after_s": 120}, {"channel": "sms", "after_s": 60}],
    )
    assert made["id"] > 0
    assert (made["exchange"], made["symbol"], made["status"]) == ("NSE", "TCS", "active")
    assert made["condition"] == "price crosses above 2500"
    assert made["tree"]["is"] == "cross"
    assert made["channels"] == ["email", "push"]
    assert (made["cooldown"], made["frequency"], made["band"]) == ("5m", "every", "0.5%")
    assert [step["channel"] for step in made["escalation"]] == ["sms", "voice"]
    assert made["name"] == "My TCS"
    assert (made["fired"], made["version"], made["last_fired_at"]) == (0, 1, None)
    assert made["expires_at"] == "2026-12-01T00:00:00.000+05:30"
    assert made["created_at"] == IST_NOW
    assert made["baseline"] == {"price": 2480.5, "time": "2026-11-23T13:49:59.000+05:30"}
    assert "2500" in made["words"] or "2,500" in made["words"]
    assert (await office.ask("GET", f"/alerts/{made['id']}")).data == made
    stored = await office.alerts.get(made["id"], ASHA)
    assert stored.baseline is not None
    assert (stored.baseline.high, stored.baseline.low) == (scaled(2490), scaled(2470))
    assert stored.baseline.number > 0
    (noted,) = office.noted
    assert (noted.action, noted.actor, noted.target) == ("alert.created", ASHA, str(made["id"]))


@SQLITE
async def test_a_tree_says_the_same_as_a_text(office: Office) -> None:
    tree = {
        "is": "compare", "left": {"is": "field", "name": "ltp"}, "op": ">", "right": {"is": "number", "value": 2500},
    }  # fmt: skip
    by_tree, by_text = await office.make(condition=tree), await office.make(condition="price > 2500")
    assert by_tree["tree"] == by_text["tree"]
    assert by_tree["condition"] == by_text["condition"] == "price > 2500"


@pytest.mark.parametrize(
    ("fields", "condition", "channels"),
    [
        ({"condition": "price > 500"}, "price > 500", ["websocket"]),
        ({"condition": "above", "threshold": 500, "notification_type": "websocket"}, "price > 500", ["websocket"]),
        ({"condition": "<=", "threshold": 500.5, "notification_type": "push, webhook"}, "price <= 500.5", None),
        ({"condition": "price > 500", "threshold": 500, "notification_type": ["push"]}, "price > 500", ["push"]),
    ],
)
@SQLITE
async def test_the_platforms_plain_form_is_taken(
    office: Office, fields: dict[str, Any], condition: str, channels: list[str] | None
) -> None:
    made = await office.make(**fields)
    assert made["condition"] == condition
    assert made["channels"] == (channels or ["push", "webhook"])


WRONG: list[tuple[Any, int, str, str]] = [
    (b"", 400, "BAD_REQUEST", "symbol"),
    (b"[]", 400, "BAD_REQUEST", ""),
    (b"\xff", 400, "BAD_REQUEST", ""),
    ({"symbol": "TCS"}, 400, "BAD_REQUEST", "condition"),
    ({"condition": "price >"}, 400, "BAD_REQUEST", "at character"),
    ({"condition": "price > 1 and"}, 400, "BAD_REQUEST", "at character"),
    ({"condition": "pirce > 1"}, 400, "BAD_REQUEST", "price"),
    ({"condition": "rsi(0) on 5m > 30"}, 400, "BAD_REQUEST", ""),
    ({"condition": "nonsense(14) on 5m > 30"}, 400, "BAD_REQUEST", "nonsense"),
    ({"condition": "price / 0 > 1"}, 400, "BAD_REQUEST", ""),
    ({"condition": "volume > price"}, 400, "BAD_REQUEST", "at character"),
    ({"condition": "not price crosses 5"}, 400, "BAD_REQUEST", "at character"),
    ({"condition": " and ".join(["price > 1"] * 300)}, 400, "BAD_REQUEST", ""),
    ({"condition": "(" * 3000}, 400, "BAD_REQUEST", ""),
    ({"condition": "price > 1 " + "x" * 5000}, 400, "BAD_REQUEST", "$.condition"),
    ({"condition": "<script>alert(1)</script>"}, 400, "BAD_REQUEST", ""),
    ({"condition": "price > 1'; DROP TABLE alerts;--"}, 400, "BAD_REQUEST", ""),
    ({"condition": {"is": "compare"}}, 400, "BAD_REQUEST", "$.condition"),
    ({"condition": {"is": "guess"}}, 400, "BAD_REQUEST", "$.condition"),
    (
        {"condition": {"is": "not", "term": {"is": "cross", "left": {"is": "field", "name": "price"},
                                            "right": {"is": "number", "value": 1}}}},
        400, "BAD_REQUEST", "`$.condition.term`",
    ),
    ({"condition": {"is": "extreme", "which": "high"}, "threshold": 1}, 400, "BAD_REQUEST", "$.threshold"),
    ({"threshold": 7}, 400, "BAD_REQUEST", "threshold"),
    ({"notification_type": "fax"}, 400, "BAD_REQUEST", "fax"),
    ({"notification_type": "push", "channels": ["push"]}, 400, "BAD_REQUEST", "$.notification_type"),
    ({"channels": []}, 400, "BAD_REQUEST", "$.channels"),
    ({"channels": ["fax"]}, 400, "BAD_REQUEST", "$.channels[0]"),
    ({"escalation": [{"channel": "voice", "after_s": 1}]}, 400, "BAD_REQUEST", "$.escalation[0].after_s"),
    ({"frequency": "twice"}, 400, "BAD_REQUEST", "$.frequency"),
    ({"frequency": "once_per_bar_close", "condition": "bid > 1"}, 400, "BAD_REQUEST", "bid"),
    ({"cooldown": "5"}, 400, "BAD_REQUEST", "$.cooldown"),
    ({"cooldown": "8d"}, 400, "BAD_REQUEST", "$.cooldown"),
    ({"rearm_after": "99d"}, 400, "BAD_REQUEST", "$.rearm_after"),
    ({"band": "0%"}, 400, "BAD_REQUEST", "$.band"),
    ({"band": -1}, 400, "BAD_REQUEST", "$.band"),
    ({"band": 1, "condition": "price > 1 and volume > 5"}, 400, "BAD_REQUEST", "band"),
    ({"sessions": ["lunch"]}, 400, "BAD_REQUEST", "$.sessions[0]"),
    ({"max_per_day": 0}, 400, "BAD_REQUEST", "$.max_per_day"),
    ({"max_total": 10**9}, 400, "BAD_REQUEST", "$.max_total"),
    ({"critical": "yes"}, 400, "BAD_REQUEST", "$.critical"),
    ({"expires_at": "2026-11-23T13:50:00+05:30"}, 400, "BAD_REQUEST", "$.expires_at"),
    ({"expires_at": "2027-11-24"}, 400, "BAD_REQUEST", "$.expires_at"),
    ({"expires_at": "tomorrow"}, 400, "BAD_REQUEST", "$.expires_at"),
    ({"language": "ta"}, 400, "BAD_REQUEST", "$.language"),
    ({"message": "{{secret}}"}, 400, "BAD_REQUEST", "{{secret}}"),
    ({"message": "{% for x in y %}"}, 400, "BAD_REQUEST", "{%"),
    ({"message": "   "}, 400, "BAD_REQUEST", ""),
    ({"name": "a\u202eb"}, 400, "BAD_REQUEST", "$.name"),
    ({"name": "x" * 101}, 400, "BAD_REQUEST", "$.name"),
    ({"symbol": ""}, 400, "BAD_REQUEST", "$.symbol"),
    ({"symbol": "TCS", "exchange": "MOON"}, 400, "BAD_REQUEST", "$.exchange"),
    ({"symbol": "NOSUCH"}, 404, "INVALID_SYMBOL", "NOSUCH"),
    ({"symbol": "MOON:TCS"}, 404, "INVALID_SYMBOL", "MOON"),
    ({"symbol": "A\0B"}, 404, "UNKNOWN_CHANNEL", ""),
    ({"symbol": "NFO:NIFTY26OCTFUT"}, 404, "INVALID_SYMBOL", "expired"),
    ({"condition": "NSE:NOSUCH.price > 5"}, 404, "INVALID_SYMBOL", "NOSUCH"),
    ({"condition": "NFO:NIFTY26OCTFUT.price > NSE:NIFTY 50.price"}, 404, "INVALID_SYMBOL", "expired"),
    ({"status": "paused"}, 400, "BAD_REQUEST", "status"),
    ({"user": "boss"}, 400, "BAD_REQUEST", "user"),
]  # fmt: skip


@SQLITE
async def test_what_is_no_alert_is_refused_with_its_place_and_not_stored(office: Office) -> None:
    for fields, status, code, word in WRONG:
        body = fields if isinstance(fields, bytes) else {"symbol": "TCS", "condition": "price > 2500"} | fields
        if fields == {"symbol": "TCS"}:
            body = fields
        answer = await office.ask("POST", "/alerts", body, "foreign")
        assert (fields, answer.status, answer.code) == (fields, status, code), answer.json
        assert word in answer.message, (fields, answer.message)
    async with office.engine.connect() as connection:
        assert (await connection.execute(select(alerts))).all() == []
    assert office.noted == []


@pytest.mark.parametrize(
    ("symbol", "exchange"),
    [("tcs", None), ("TCS", "bse"), ("BSE:TCS", None)],
)
@SQLITE
async def test_an_instrument_is_named_as_everywhere(office: Office, symbol: str, exchange: str | None) -> None:
    made = await office.make(symbol=symbol, **({"exchange": exchange} if exchange else {}))
    assert (made["exchange"], made["symbol"]) == ("NSE" if symbol == "tcs" else "BSE", "TCS")


@SQLITE
async def test_a_symbol_that_was_published_once_is_enough(office: Office) -> None:
    await office.price("market:UNLISTED", price=1)
    assert (await office.make(symbol="UNLISTED"))["baseline"]["price"] == 1


@SQLITE
async def test_an_alert_ends_with_its_contract(office: Office) -> None:
    end = "2026-12-29T23:59:59.999+05:30"
    future = {"symbol": "NFO:NIFTY26DECFUT"}
    assert (await office.make(**future))["expires_at"] == end
    assert (await office.make(**future, expires_at="2027-02-01"))["expires_at"] == end
    assert (await office.make(**future, expires_at="2026-12-01"))["expires_at"] == "2026-12-01T00:00:00.000+05:30"
    basis = await office.make(symbol="NIFTY 50", condition="NFO:NIFTY26DECFUT.price - price > 80")
    assert basis["expires_at"] == end
    assert (await office.make())["expires_at"] is None


async def test_a_plan_has_so_many_active_alerts(office: Office) -> None:
    first, _ = [await office.make("free") for _ in range(2)]
    answer = await office.ask("POST", "/alerts", {"symbol": "TCS", "condition": "price > 1"}, "free")
    assert (answer.status, answer.code) == (422, "LIMIT_EXCEEDED")
    await office.ask("POST", f"/alerts/{first['id']}/pause", who="free")
    await office.make("free")
    answer = await office.ask("POST", f"/alerts/{first['id']}/resume", who="free")
    assert (answer.status, answer.code) == (422, "LIMIT_EXCEEDED")


@SQLITE
async def test_prices_that_a_plan_has_not_are_not_to_be_had_by_an_alert(office: Office) -> None:
    for body in (
        {"symbol": "MCX:GOLD26DECFUT", "condition": "price > 1"},
        {"symbol": "TCS", "condition": "price > MCX:GOLD26DECFUT.price"},
    ):
        for path in ("/alerts", "/alerts/preview"):
            answer = await office.ask("POST", path, body, "free")
            assert (answer.status, answer.code) == (403, "PERMISSION_DENIED")


async def test_an_alert_of_who_has_prices_late_begins_with_the_late_price(office: Office) -> None:
    await office.price("market:TCS", price=2480)
    made = await office.make("late")
    assert (made["delay"], made["baseline"]) == ("15m", None)
    await office.price_late("market:TCS", price=2470)
    place = f"/alerts/{made['id']}"
    moved = (await office.ask("PUT", place, {"condition": "price > 2600"}, "late")).data
    made = await office.make("late")
    assert made["baseline"] == moved["baseline"] == {"price": 2470, "time": "2026-11-23T13:35:00.000+05:30"}
    tested = (await office.ask("POST", f"{place}/test", {}, "late")).data
    (said,) = (await office.ask("GET", f"{place}/history", who="late")).data["items"]
    assert (said["id"], said["price"]) == (tested["trigger"], 2470)
    assert "2,480" not in str(tested["said"])


async def test_nothing_is_tested_with_a_price_that_is_not_out_yet(office: Office) -> None:
    await office.price("market:TCS", price=2480)
    made = await office.make("late")
    await office.ask("POST", f"/alerts/{made['id']}/test", {}, "late")
    (said,) = (await office.ask("GET", f"/alerts/{made['id']}/history", who="late")).data["items"]
    assert (said["price"], said["inputs"]) == (None, {})


async def test_an_alert_that_is_resumed_looks_at_prices_as_its_owner_has_them_now(office: Office) -> None:
    await office.price("market:TCS", price=2480)
    await office.price_late("market:TCS", price=2470)
    made = await office.make(channels=["websocket"])
    assert (made["delay"], made["baseline"]["price"]) == (None, 2480)
    async with office.engine.begin() as connection:
        await connection.execute(alerts.update().values(user_id="late"))
    resumed = (await office.ask("POST", f"/alerts/{made['id']}/resume", who="late")).data
    assert (resumed["delay"], resumed["baseline"]["price"], resumed["version"]) == ("15m", 2470, 2)
    assert resumed["status"] == "active"


def facts(made: Any, **fields: Any) -> str:
    return encode(
        Facts(
            kind=Kind.ALERT, alert_id=made["id"], exchange="NSE", symbol="TCS", condition=made["condition"],
            at_ms=int(NOW_S * 1000), **fields,
        )
    )  # fmt: skip


# -- channels ---------------------------------------------------------------------------------------------------------


@SQLITE
async def test_a_telephone_that_takes_no_sms_is_refused_when_the_alert_is_made(office: Office) -> None:
    await office.account(ASHA, phone="+912227782183")  # a landline in Mumbai
    answer = await office.ask("POST", "/alerts", {"symbol": "TCS", "condition": "price > 1", "channels": ["sms"]})
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert "`$.channels`" in answer.message
    assert (await office.make(channels=["voice"]))["channels"] == ["voice"]


@SQLITE
@pytest.mark.parametrize("channel", ["sms", "voice"])
async def test_a_plan_without_sms_makes_no_alert_that_sends_them_or_calls(office: Office, channel: str) -> None:
    await office.account(ASHA)
    body = {"symbol": "TCS", "condition": "price > 1", "channels": [channel]}
    answer = await office.ask("POST", "/alerts", body, "free")
    assert (answer.status, answer.code) == (403, "PERMISSION_DENIED")
    assert (await office.ask("POST", "/alerts", body)).status == 201


@SQLITE
async def test_an_address_that_took_no_more_messages_is_told(office: Office) -> None:
    await office.account(ASHA)
    await office.suppressions.add(Way.EMAIL, f"{ASHA}@example.com", "SMTP 550")
    made = await office.make(channels=["email", "push"])
    assert made["warnings"] == ["Your address takes no messages by email"]
    assert (await office.ask("GET", f"/alerts/{made['id']}")).data["warnings"] == []


@SQLITE
async def test_channels_that_reach_nobody_yet_are_told_and_the_alert_is_made(office: Office) -> None:
    made = await office.make("foreign", channels=["email", "sms"], escalation=[{"channel": "voice", "after_s": 60}])
    assert made["status"] == "active"
    assert [warning.split(":")[0] for warning in made["warnings"]] == [
        "You have no verified mail address",
        "You have no verified telephone",
        "You have no verified telephone",
    ]
    place = f"/alerts/{made['id']}"
    assert (await office.ask("PUT", place, {"channels": ["push"], "escalation": []}, "foreign")).data["warnings"] == []
    assert len((await office.ask("PUT", place, {"channels": ["email"]}, "foreign")).data["warnings"]) == 1


@SQLITE
async def test_without_an_account_there_are_sockets_browsers_and_servers(office: Office) -> None:
    made = await office.make("foreign", channels=["websocket", "push", "webhook"])
    assert made["channels"] == ["websocket", "push", "webhook"]


# -- finding ----------------------------------------------------------------------------------------------------------


async def test_alerts_are_found_by_what_they_are(office: Office) -> None:
    first = (await office.make(name="b"))["id"]
    office.now_s += 1
    second = (await office.make(symbol="BSE:TCS", name="a"))["id"]
    office.now_s += 1
    third = (await office.make(symbol="INFY"))["id"]
    await office.ask("POST", f"/alerts/{first}/pause")
    await office.make("ravi")
    for query, ids in (
        ("", [third, second, first]),
        ("?order=asc", [first, second, third]),
        ("?sort=name&order=asc", [second, first, third]),
        ("?sort=symbol&order=asc&limit=1", [third]),
        ("?limit=2&page=2", [first]),
        ("?page=9", []),
        ("?status=paused", [first]),
        ("?status=active", [third, second]),
        ("?symbol=tcs", [second, first]),
        ("?symbol=BSE:TCS", [second]),
        ("?symbol=TCS&exchange=NSE", [first]),
        ("?exchange=bse", [second]),
        ("?exchange=MCX", []),
    ):
        answer = await office.ask("GET", f"/alerts{query}")
        assert (query, [one["id"] for one in answer.data["items"]]) == (query, ids)
    assert answer.data["total"] == 0


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("?page=0", "`?page`"),
        ("?limit=501", "`?limit`"),
        ("?sort=user_id", "`?sort`"),
        ("?order=up", "`?order`"),
        ("?status=deleted", "`?status`"),
        ("?exchange=MOON", "`?exchange`"),
        ("?user=8", "`?user`"),
        ("/1/history?kind=all", "`?kind`"),
        ("/1/deliveries?limit=0", "`?limit`"),
    ],
)
@SQLITE
async def test_a_wrong_query_is_refused_with_its_place(office: Office, query: str, where: str) -> None:
    answer = await office.ask("GET", f"/alerts{query}")
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert where in answer.message


EVERY_WAY = [
    ("GET", "", None),
    ("PUT", "", {"name": "mine"}),
    ("DELETE", "", None),
    ("POST", "/pause", None),
    ("POST", "/resume", None),
    ("POST", "/test", {}),
    ("GET", "/history", None),
    ("GET", "/deliveries", None),
]


async def test_somebody_elses_alert_is_as_if_there_were_none(office: Office) -> None:
    made = await office.make("asha")
    for name in (made["id"], made["id"] + 1, 0, -1, "x", "9" * 19, "1.0", "%27%3B--"):
        for method, path, body in EVERY_WAY:
            answer = await office.ask(method, f"/alerts/{name}{path}", body, "ravi")
            assert (name, method, path, answer.status, answer.code) == (name, method, path, 404, "NOT_FOUND")
    assert (await office.ask("GET", f"/alerts/{made['id']}")).data == made
    await office.ask("DELETE", f"/alerts/{made['id']}")
    for method, path, body in EVERY_WAY:
        assert (await office.ask(method, f"/alerts/{made['id']}{path}", body)).code == "NOT_FOUND"


@SQLITE
async def test_keys_need_the_scopes(office: Office) -> None:
    body = {"symbol": "TCS", "condition": "price > 1"}
    for who, reads, writes in (("reader", 200, 403), ("writer", 200, 201), ("other", 403, 403)):
        assert (await office.ask("GET", "/alerts", who=who)).status == reads
        assert (await office.ask("POST", "/alerts", body, who)).status == writes
    (noted,) = office.noted
    assert noted.actor == "k_2"


async def test_texts_that_look_like_code_come_back_as_they_are(office: Office) -> None:
    name, message = "'; DROP TABLE alerts;--", "<script>alert({{price}})</script>"
    made = await office.make(name=name, message=message)
    assert (made["name"], made["message"]) == (name, message)
    assert (await office.ask("GET", "/alerts")).data["items"] == [made]


# -- changing ---------------------------------------------------------------------------------------------------------


async def test_what_is_not_named_stays(office: Office) -> None:
    made = await office.make(cooldown="5m", name="a", message="{{price}}", expires_at="2026-12-01")
    place = f"/alerts/{made['id']}"
    office.now_s += 1
    renamed = (await office.ask("PUT", place, {"name": "b"})).data
    assert renamed == made | {"name": "b", "updated_at": renamed["updated_at"]}
    changed = (await office.ask("PUT", place, {"condition": "price < 2400", "cooldown": "1m", "message": None})).data
    assert (changed["condition"], changed["cooldown"], changed["message"]) == ("price < 2400", "1m", None)
    assert (changed["version"], changed["expires_at"], changed["name"]) == (2, made["expires_at"], "b")
    moved = (await office.ask("PUT", place, {"symbol": "NFO:NIFTY26DECFUT", "expires_at": None})).data
    assert (moved["exchange"], moved["symbol"]) == ("NFO", "NIFTY26DECFUT")
    assert moved["expires_at"] == "2026-12-29T23:59:59.999+05:30"
    assert (await office.ask("GET", place)).data == moved
    assert [one.action for one in office.noted] == ["alert.created", *["alert.changed"] * 3]


@SQLITE
async def test_an_alert_begins_anew_at_the_newest_price(office: Office) -> None:
    await office.price("market:TCS", price=2400)
    made = await office.make()
    await office.price("market:TCS", price=2600)
    renamed = (await office.ask("PUT", f"/alerts/{made['id']}", {"name": "a"})).data
    assert renamed["baseline"]["price"] == 2400
    changed = (await office.ask("PUT", f"/alerts/{made['id']}", {"condition": "price > 2550"})).data
    assert changed["baseline"]["price"] == 2600


@pytest.mark.parametrize(
    ("changes", "status", "code", "word"),
    [
        ({"condition": "price >"}, 400, "BAD_REQUEST", "at character"),
        ({"symbol": "NOSUCH"}, 404, "INVALID_SYMBOL", "NOSUCH"),
        ({"message": "{{x}}"}, 400, "BAD_REQUEST", "{{x}}"),
        ({"name": None, "status": "active"}, 400, "BAD_REQUEST", "status"),
        ({"band": 5, "condition": "price > 1 or price < 0.5"}, 400, "BAD_REQUEST", "band"),
        ({"expires_at": 1}, 400, "BAD_REQUEST", "$.expires_at"),
        ({"name": "b", "version": 7}, 409, "CONFLICT", "changed"),
        ({"frequency": None}, 400, "BAD_REQUEST", "$.frequency"),
    ],
)
@SQLITE
async def test_a_change_that_makes_no_sense_changes_nothing(
    office: Office, changes: dict[str, Any], status: int, code: str, word: str
) -> None:
    made = await office.make()
    answer = await office.ask("PUT", f"/alerts/{made['id']}", changes)
    assert (answer.status, answer.code) == (status, code)
    assert word in answer.message
    assert (await office.ask("GET", f"/alerts/{made['id']}")).data == made


async def test_an_alert_is_paused_and_resumed_at_the_newest_price(office: Office) -> None:
    made = await office.make()
    place = f"/alerts/{made['id']}"
    assert (await office.ask("POST", f"{place}/pause")).data["status"] == "paused"
    assert (await office.ask("POST", f"{place}/pause")).data["status"] == "paused"
    await office.price("market:TCS", price=2600)
    resumed = (await office.ask("POST", f"{place}/resume")).data
    assert (resumed["status"], resumed["baseline"]["price"]) == ("active", 2600)


@SQLITE
async def test_an_alert_whose_time_is_over_is_not_resumed(office: Office) -> None:
    made = await office.make(expires_at="2026-11-24")
    await office.ask("POST", f"/alerts/{made['id']}/pause")
    office.now_s += 86_400
    answer = await office.ask("POST", f"/alerts/{made['id']}/resume")
    assert (answer.status, answer.code) == (409, "CONFLICT")


async def test_what_of_a_deleted_alert_is_still_to_be_sent_is_cancelled(office: Office) -> None:
    made = await office.make(channels=["push"])
    await office.ask("POST", f"/alerts/{made['id']}/test", {})
    await office.ask("DELETE", f"/alerts/{made['id']}")
    async with office.engine.connect() as connection:
        found = (await connection.execute(select(deliveries.c.status, deliveries.c.reason))).all()
    assert set(map(tuple, found)) == {("cancelled", "deleted")}
    assert (await office.ask("GET", "/alerts")).data["total"] == 0


# -- trying out -------------------------------------------------------------------------------------------------------


@SQLITE
async def test_a_dry_run_shows_what_would_be_said_and_sends_nothing(office: Office) -> None:
    await office.price("market:TCS", price=2600)
    made = await office.make(message="{{symbol}} {{price}}", channels=["push"], language="mr")
    answer = (await office.ask("POST", f"/alerts/{made['id']}/test", {"dry_run": True})).data
    assert (answer["dry_run"], answer["trigger"], answer["language"]) == (True, None, "mr")
    assert answer["channels"] == ["websocket", "push"]
    assert [one["language"] for one in answer["said"]] == list(LANGUAGES)
    for said in answer["said"]:
        assert "TCS 2,600.00" in said["sms"]
        assert said["segments"]["count"] >= 1
    assert office.tests_left == 3
    assert (await office.ask("GET", f"/alerts/{made['id']}/history")).data["total"] == 0


async def test_a_test_is_sent_as_a_firing_is_and_stands_in_the_history(office: Office) -> None:
    await office.price("market:TCS", price=2600)
    made = await office.make(channels=["push"])
    place = f"/alerts/{made['id']}"
    sent = (await office.ask("POST", f"{place}/test")).data
    assert sent["dry_run"] is False
    (shown,) = (await office.ask("GET", f"{place}/history")).data["items"]
    assert (shown["id"], shown["kind"], shown["price"]) == (sent["trigger"], "test", 2600)
    assert (await office.ask("GET", f"{place}/history?kind=fired")).data["total"] == 0
    told = (await office.ask("GET", f"{place}/deliveries")).data
    assert told["total"] == 2
    assert {one["channel"] for one in told["items"]} == {"websocket", "push"}
    assert {(one["kind"], one["status"], one["trigger"]) for one in told["items"]} == {("test", "queued", shown["id"])}
    assert (await office.ask("GET", place)).data["fired"] == 0
    assert office.noted[-1].action == "alert.tested"


@SQLITE
async def test_tests_are_limited(office: Office) -> None:
    made = await office.make()
    statuses = [(await office.ask("POST", f"/alerts/{made['id']}/test", {})).status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


async def test_a_firing_is_acknowledged_by_its_owner_once(office: Office) -> None:
    made = await office.make()
    trigger = (await office.ask("POST", f"/alerts/{made['id']}/test", {})).data["trigger"]
    place = f"/alerts/triggers/{trigger}/acknowledge"
    assert (await office.ask("POST", place, who="ravi")).code == "NOT_FOUND"
    assert (await office.ask("POST", "/alerts/triggers/x/acknowledge")).code == "NOT_FOUND"
    assert (await office.ask("POST", place)).data == {"acknowledged": True}
    assert (await office.ask("POST", place)).data == {"acknowledged": False}
    (shown,) = (await office.ask("GET", f"/alerts/{made['id']}/history")).data["items"]
    assert shown["acknowledged_by"] == "api"
    assert shown["acknowledged_at"] is not None


@SQLITE
async def test_a_preview_says_how_a_condition_is_understood(office: Office) -> None:
    body = {
        "symbol": "TCS",
        "condition": "ltp crosses above 2,500 then volume > 1 lakh within 10m",
        "message": "{{ltp}}",
    }
    await office.price("market:TCS", price=2480.5)
    shown = (await office.ask("POST", "/alerts/preview", body)).data
    assert shown["condition"] == "price crosses above 2500 then volume > 100000 within 10m"
    assert (shown["happens"], shown["tree"]["is"]) == ("edge", "then")
    assert list(shown["words"]) == list(LANGUAGES)
    assert len(set(shown["words"].values())) == len(LANGUAGES)
    assert len(shown["said"]) == len(LANGUAGES)
    assert shown["said"][0]["line"] == "2,480.50"
    level = (await office.ask("POST", "/alerts/preview", {"symbol": "TCS", "condition": "above", "threshold": 5})).data
    assert (level["happens"], level["condition"]) == ("level", "price > 5")
    assert (await office.ask("GET", "/alerts")).data["total"] == 0


@SQLITE
async def test_a_preview_refuses_what_an_alert_would(office: Office) -> None:
    for body, code in (
        ({"condition": "price >"}, "BAD_REQUEST"),
        ({"condition": "price > 1", "message": "{{x}}"}, "BAD_REQUEST"),
        ({"condition": "price > 1", "symbol": "NOSUCH"}, "INVALID_SYMBOL"),
        ({"condition": "price > 1", "channels": ["push"]}, "BAD_REQUEST"),
    ):
        assert (await office.ask("POST", "/alerts/preview", {"symbol": "TCS"} | body)).code == code


async def test_a_text_that_cant_be_read_is_pointed_at(office: Office) -> None:
    refused = await office.ask("POST", "/alerts/preview", {"symbol": "TCS", "condition": "price > 5 and prc > 3"})
    assert refused.json["error"]["details"]["column"] == 15


async def test_a_history_explains_a_firing(office: Office) -> None:
    made = await office.make()
    now_ms = int(NOW_S * 1000)
    told = facts(
        made, price=2501.5, previous=2499.0, previous_ms=now_ms - 1000, current=2501.5, level=2500.0, gap=True,
        inputs={"price": 2501.5}, source="NSE:TCS", sample=9,
    )  # fmt: skip
    row = {"alert_id": made["id"], "number": 1, "kind": "fired", "user_id": ASHA, "facts": told, "at_ms": now_ms}
    times = {"received_at_ms": now_ms + 1, "evaluated_at_ms": now_ms + 2, "enqueued_at_ms": now_ms + 3}
    async with office.engine.begin() as connection:
        await connection.execute(triggers.insert().values(row | times))
    (shown,) = (await office.ask("GET", f"/alerts/{made['id']}/history")).data["items"]
    assert (shown["price"], shown["previous"], shown["current"], shown["level"]) == (2501.5, 2499.0, 2501.5, 2500.0)
    assert (shown["gap"], shown["sample"], shown["inputs"]) == (True, 9, {"price": 2501.5})
    assert [shown[name][-9:-6] for name in ("at", "received_at", "evaluated_at", "enqueued_at")] == [
        "000", "001", "002", "003"
    ]  # fmt: skip
    assert shown["provider_at"] is None


@SQLITE
async def test_changes_reach_the_engine(office: Office) -> None:
    rung: list[int] = []
    office.alerts.on_changed.append(rung.append)
    made = await office.make()
    await office.alerts.update(made["id"], ASHA, Changes(name="x"))
    await office.ask("DELETE", f"/alerts/{made['id']}")
    assert len(rung) == 3
