"""The API of alerts over a database and a broker, without the rest of a hub: who asks, the test says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import httpx2
from msgspec import structs
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.audit import Event
from auth.identity import Identity, Plan, Role
from auth.permissions import Permissions
from auth.plans import BUILT_IN, Plans
from channels.broker_memory import MemoryBroker
from channels.channel import ChannelNames
from channels.namespace import Namespaces
from feeds.candles.bars import Bar
from feeds.candles.history import CandleHistory
from feeds.instruments import Instrument, Instruments, Kind
from feeds.market_hours.sessions import Sessions
from hub.alerting.indicators import CatalogueReader
from hub.api.admin_deliveries import AdminDeliveriesApi
from hub.api.alert_backtests import AlertBacktests
from hub.api.alert_channels import AlertChannels
from hub.api.alert_conditions import ConditionReader
from hub.api.alert_market import AlertMarket
from hub.api.alert_words import AlertWords
from hub.api.alerts import AlertsApi
from hub.api.candles import Candles
from hub.api.corporate_actions import CorporateActionsApi
from hub.feeding.hours import FeedHours
from notifiers.alerts.corporate_actions import CorporateActions
from notifiers.alerts.history import History
from notifiers.alerts.store import Alerts
from notifiers.conditions.parser import parse
from notifiers.outbox.deliveries import Deliveries
from notifiers.people.addressees import Addressees
from notifiers.people.suppressions import Suppressions
from notifiers.providers.sms_text import SmsTexts
from notifiers.wording.messages import Messages
from schemas.errors import CommandError, ErrorCode
from schemas.tables import accounts
from tests.hub.dispatched import bearer, dispatched

NOW_S = 1_795_422_000.0
"""2026-11-23T13:50:00+05:30."""
INDICATORS = CatalogueReader()
ASHA = "u_" + "a" * 16
RAVI = "u_" + "b" * 16

INSTRUMENTS = Instruments(
    [
        Instrument(exchange="NSE", symbol="TCS", name="Tata Consultancy Services", tick_size=1),
        Instrument(exchange="BSE", symbol="TCS", name="Tata Consultancy Services", tick_size=1),
        Instrument(exchange="NSE", symbol="INFY", name="Infosys", tick_size=1),
        Instrument(exchange="NSE", symbol="NIFTY 50", name="Nifty 50", kind=Kind.INDEX, tick_size=1),
        Instrument(exchange="MCX", symbol="GOLD26DECFUT", name="Gold", kind=Kind.FUTURE, tick_size=1),
        Instrument(
            exchange="NFO", symbol="NIFTY26DECFUT", name="Nifty", kind=Kind.FUTURE, tick_size=1,
            expiry=date(2026, 12, 29),
        ),
        Instrument(
            exchange="NFO", symbol="NIFTY26OCTFUT", name="Nifty", kind=Kind.FUTURE, tick_size=1,
            expiry=date(2026, 10, 27),
        ),
    ]
)  # fmt: skip


def identity(user: str, **fields: Any) -> Identity:
    return structs.replace(
        Identity(user=user, plan=Plan.BASIC, token_id=f"t_{user}", issued_at=0, expires_at=2**40), **fields
    )


BEARERS = {
    "asha": identity(ASHA),
    "ravi": identity(RAVI),
    "free": identity(ASHA, plan=Plan.FREE),
    "late": identity("late", plan=Plan.PRO),
    "foreign": identity("auth0|7"),
    "boss": identity("boss", role=Role.ADMIN),
    "reader": identity(ASHA, token_id="k_1", scopes=frozenset({"alerts"})),
    "writer": identity(ASHA, token_id="k_2", scopes=frozenset({"alerts", "alerts:write"})),
    "other": identity(ASHA, token_id="k_3", scopes=frozenset({"market"})),
}
PLANS = Plans(
    {
        **BUILT_IN,
        Plan.FREE: structs.replace(BUILT_IN[Plan.FREE], prices={"MCX": None}, alerts=2),
        Plan.PRO: structs.replace(BUILT_IN[Plan.PRO], prices={"default": 900}),
    }
)


class Answer:
    """What was answered."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.json: Any = response.json()

    @property
    def data(self) -> Any:
        assert self.json["status"] == "success", self.json
        return self.json["data"]

    @property
    def code(self) -> str | None:
        return None if self.json["status"] == "success" else self.json["error"]["code"]

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


class Office:
    """All that the routes of alerts reach."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.now_s = NOW_S
        self.broker = MemoryBroker()
        self.names = ChannelNames(Namespaces())
        self.permissions = Permissions(PLANS)
        self.alerts = Alerts(engine, wall=self.clock)
        self.deliveries = Deliveries(engine)
        self.addressees = Addressees(engine, PLANS)
        self.suppressions = Suppressions(engine, wall=self.clock)
        self.history = History(engine, wall=self.clock)
        self.noted: list[Event] = []
        self.tests_left = 3
        self.market = AlertMarket(
            broker=self.broker,
            names=self.names,
            instruments=lambda: INSTRUMENTS,
            permissions=self.permissions,
            clock=self.clock,
        )
        messages = Messages("Acme", lambda text: parse(text, INDICATORS), wall=self.clock)
        self.api = AlertsApi(
            alerts=self.alerts,
            history=self.history,
            deliveries=self.deliveries,
            market=self.market,
            conditions=ConditionReader(INDICATORS),
            channels=AlertChannels(self.addressees, self.suppressions, self.permissions),
            words=AlertWords(messages, SmsTexts(messages.of, "Acme", wall=self.clock), wall=self.clock),
            permissions=self.permissions,
            limit_tests=self.limit_tests,
            note=self.noted.append,
            clock=self.clock,
        )
        self.candles = CandleHistory(engine)
        self.backtests = AlertBacktests(
            conditions=ConditionReader(INDICATORS),
            market=self.market,
            candles=Candles(
                broker=self.broker,
                names=self.names,
                instruments=lambda: INSTRUMENTS,
                history=self.candles,
                delay_of=lambda *_: 0,
                clock=self.clock,
            ),
            names=self.names,
            permissions=self.permissions,
            hours_of=lambda: FeedHours(Sessions(), INSTRUMENTS.get, self.clock, around_the_clock=False),
            clock=self.clock,
        )
        actions = CorporateActions(engine, wall=self.clock)
        self.endpoints = [
            *self.api.endpoints,
            *self.backtests.endpoints,
            *AdminDeliveriesApi(deliveries=self.deliveries, record=self.record).endpoints,
            *CorporateActionsApi(actions=actions, market=self.market, record=self.record).endpoints,
        ]
        self.client: httpx2.AsyncClient

    def clock(self) -> float:
        return self.now_s

    async def record(self, event: Event) -> None:
        self.noted.append(event)

    async def limit_tests(self, user: str) -> None:
        self.tests_left -= 1
        if self.tests_left < 0:
            raise CommandError(ErrorCode.RATE_LIMITED, "Too many tests")

    async def ask(self, method: str, path: str, body: Any = None, who: str = "asha") -> Answer:
        """One request under `/api/v1`."""
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return Answer(await self.client.request(method, path, content=content, headers=bearer(who)))

    async def make(self, who: str = "asha", **fields: Any) -> Any:
        """An alert, as it is answered."""
        answer = await self.ask("POST", "/alerts", {"symbol": "TCS", "condition": "price > 2500"} | fields, who)
        assert answer.status == 201, answer.json
        return answer.data

    async def price(self, name: str, **data: Any) -> None:
        """A price is published."""
        channel = self.names.parse(name)
        await self.broker.publish(channel, channel.namespace.normalise(json.dumps(data).encode()))

    async def store(self, *bars: Bar) -> None:
        """Candles are stored."""
        self.candles.offer(bars)
        await self.candles.flush()

    async def price_late(self, name: str, delay_s: int = 900, **data: Any) -> None:
        """A price is said again to those who have it late."""
        channel = self.names.parse(name)
        payload = channel.namespace.normalise(json.dumps(data).encode())
        await self.broker.publish(channel.delayed(delay_s), payload)

    async def account(self, user: str, **fields: Any) -> None:
        """Somebody with an account, whose address and number are verified."""
        row = {
            "id": user, "email": f"{user}@example.com", "email_key": f"{user}@example.com", "email_verified_at": 1,
            "name": "Asha", "phone": "+919876543210", "phone_verified_at": 1, "plan": "basic", "role": "user",
            "status": "active", "created_at": 1, "updated_at": 1,
        } | fields  # fmt: skip
        async with self.engine.begin() as connection:
            await connection.execute(insert(accounts), [row])


@asynccontextmanager
async def alerting(engine: AsyncEngine) -> AsyncIterator[Office]:
    """The routes, to be asked inside the block."""
    office = await asyncio.to_thread(Office, engine)  # texts are read
    async with dispatched(office.endpoints, BEARERS) as office.client:
        yield office
