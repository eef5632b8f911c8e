"""What is wanted gets to the feeds, and what becomes of it back to who wants it."""

import time
from http import HTTPStatus
from pathlib import Path

import msgspec
import pytest

from feeds.brokers.kite import Kite
from feeds.feed import Health
from hub.feed_board import REFUSALS
from tests.hub.live import Hub, running, until
from tests.hub.vendors import Account


def health(hub: Hub) -> Health:
    assert hub.feeds is not None
    return hub.feeds.feeds[0].status.health


def away(hub: Hub, symbol: str, since_ms: int) -> bool:
    """Whether the candles know that an instrument was not listened to since then."""
    assert hub.feeds is not None
    return hub.feeds.candles._engine._away.during("NSE", symbol, since_ms, int(time.time() * 1000) + 1)


async def test_candles_are_told_when_a_source_goes_away_and_when_an_instrument_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.demand.REPEAT_S", 0.1)
    monkeypatch.setattr("channels.demand.LAPSE_S", 0.5)
    monkeypatch.setattr("feeds.interest.LINGER_S", 0.1)
    async with (
        Account("kite") as account,
        running(tmp_path, feeds=True, **account.settings(tmp_path), FEED_SYMBOLS="NSE:RELIANCE") as hub,
    ):
        assert hub.feeds is not None
        await until(lambda: hub.feeds is not None and ("NSE", "RELIANCE") in hub.feeds.division._heard)
        since_ms = int(time.time() * 1000)
        assert not away(hub, "RELIANCE", since_ms)
        account.server.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE
        account.server.abort()
        await until(lambda: away(hub, "RELIANCE", since_ms))
        account.server.refuse_with = None
        await until(lambda: health(hub) is Health.LIVE)
        await until(lambda: not away(hub, "RELIANCE", int(time.time() * 1000)))
        since_ms = int(time.time() * 1000)
        async with hub.client() as client:
            await client.subscribe("market:SUZLON-BE")
            await until(lambda: hub.feeds is not None and ("NSE", "SUZLON-BE") in hub.feeds.division._heard)
            assert not away(hub, "SUZLON-BE", since_ms)
        await until(lambda: away(hub, "SUZLON-BE", since_ms))
        assert not away(hub, "RELIANCE", since_ms)


async def test_what_cannot_be_carried_is_said_again_while_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.feed_division.RETELL_S", 0.3)
    monkeypatch.setattr(
        Kite, "limits", msgspec.structs.replace(Kite.limits, connections=1, instruments_per_connection=1)
    )
    async with (
        Account("kite") as account,
        running(tmp_path, feeds=True, **account.settings(tmp_path), FEED_SYMBOLS="NSE:RELIANCE") as hub,
    ):
        told: list[bytes] = []
        await hub.web.registry.watch(REFUSALS, lambda update: told.append(update.payload))
        await hub.broker.demand(["market:NSE:SUZLON-BE"], 60)
        await until(lambda: len(told) >= 3)
        assert all(b'"SUZLON-BE"' in payload and b"LIMIT_EXCEEDED" in payload for payload in told)
        await account.until_carried("RELIANCE")


async def test_the_owner_of_an_instrument_is_known_before_anybody_wants_it(tmp_path: Path) -> None:
    async with Account("kite") as account:
        settings = account.settings(tmp_path) | {"FEED": "kite,simulator"}
        async with running(tmp_path, feeds=True, **settings) as hub:
            assert hub.feeds is not None
            division = hub.feeds.division
            assert division.owner("NSE", "TCS") is None  # kite may list it, as far as anybody knows
            await until(lambda: not division.unready)
            assert division.owner("NSE", "TCS") == "simulator"
            assert division.owner("NSE", "RELIANCE") == "kite"
            assert division.owner("NSE", "OUTSIDE") is None
