"""The six brokers' servers as whole accounts: their settings, their lists of instruments, and trades with a volume."""

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from schemas.market import IST
from tests.feeds.accounts.test_brokers import BROKERS
from tests.feeds.brokers import fyers, upstox
from tests.feeds.brokers.server import BrokerServer
from tests.feeds.brokers.shoonya import text
from tests.feeds.listings.masters import samples

SYMBOLS = ("RELIANCE", "SUZLON-BE")
"""What every list of the samples has on NSE."""

Trade = Callable[[Any, str, int, int], Awaitable[None]]
"""Server, token, price in paise and the day's volume."""


class Vendor(msgspec.Struct, frozen=True):
    """One broker: its tokens of SYMBOLS, its list's files, and how its server is told of a trade."""

    tokens: tuple[str, str]
    files: Callable[[], Mapping[str, bytes]]
    trade: Trade


async def _kite(server: Any, token: str, paise: int, volume: int) -> None:
    book = {"bids": ((10, paise - 5, 1),), "offers": ((20, paise + 5, 2),)}
    await server.price(int(token), price=paise, volume=volume, **book)


async def _upstox(server: Any, token: str, paise: int, volume: int) -> None:
    server.prices[token] = paise / 100
    now_ms = int(time.time() * 1000)
    levels = [(10, (paise - 5) / 100, 20, (paise + 5) / 100)]
    feed = upstox.market_feed(last={"ltp": paise / 100, "ltt": now_ms}, levels=levels, vtt=volume)
    await server.send(upstox.message({token: feed}, time_ms=now_ms))


async def _angel(server: Any, token: str, paise: int, volume: int) -> None:
    book = {"bids": ((10, paise - 5, 1),), "offers": ((20, paise + 5, 2),)}
    await server.price(token, price=paise, volume=volume, time_ms=int(time.time() * 1000), **book)


async def _dhan(server: Any, token: str, paise: int, volume: int) -> None:
    server.trade_s = int(time.time()) + 19_800
    await server.trade({token: paise / 100}, volume)


async def _fyers(server: Any, token: str, paise: int, volume: int) -> None:
    server.prices[token] = paise
    now_s = _next_s()
    values = fyers.prices(paise, volume=volume, trade_s=now_s, exchange_s=now_s)
    await server.send(server._data(fyers.update(server.numbers[f"sf|{token}"], values)))


async def _shoonya(server: Any, token: str, paise: int, volume: int) -> None:
    server.prices[token] = f"{paise / 100:.2f}"
    figures = {"lp": paise, "bp1": paise - 5, "sp1": paise + 5}
    prices = {name: f"{value / 100:.2f}" for name, value in figures.items()}
    await server.send(text("df", token, **prices, v=str(volume), ft=str(_next_s())))


def _next_s() -> int:
    """The full second after what has been told without a time, and so has ours."""
    return int(time.time()) + 1


VENDORS: Mapping[str, Vendor] = {
    "kite": Vendor(("738561", "3073025"), samples.kite, _kite),
    "upstox": Vendor(("NSE_EQ|INE002A01018", "NSE_EQ|INE040H01021"), samples.upstox, _upstox),
    "angel": Vendor(("1|2885", "1|12004"), samples.angel, _angel),
    "dhan": Vendor(("1|2885", "1|12004"), samples.dhan, _dhan),
    "fyers": Vendor(("nse_cm|2885", "nse_cm|12004"), samples.fyers, _fyers),
    "shoonya": Vendor(("NSE|2885", "NSE|12004"), samples.shoonya, _shoonya),
}


class Account:
    """An account with one broker, whose server runs inside `async with`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.vendor = VENDORS[name]
        self.server: BrokerServer = BROKERS[name].server()
        self._rig = BROKERS[name]
        self._rig.prepare(self.server, (*self.vendor.tokens, "unknown"))

    async def __aenter__(self) -> "Account":
        await self.server.__aenter__()
        return self

    async def __aexit__(self, *ended: Any) -> None:
        await self.server.__aexit__(*ended)

    @property
    def secrets(self) -> dict[str, str]:
        """The credentials that are good now, as settings."""
        return {f"{self.name}_{key}".upper(): value for key, value in self._rig.credentials(self.server).items()}

    def settings(self, folder: Path) -> dict[str, str]:
        """All that a hub needs for this account, with a market that is open."""
        instruments = folder / f"{self.name}-instruments"
        instruments.mkdir(parents=True, exist_ok=True)
        for file, content in self.vendor.files().items():
            (instruments / file).write_bytes(content)
        return {
            "FEED": self.name,
            f"{self.name.upper()}_URL": self.server.url,
            f"{self.name.upper()}_INSTRUMENTS": str(instruments),
            "SESSIONS_FILE": str(open_market(folder)),
            "SIGNALS_TIMEFRAME": "off",
        } | self.secrets

    async def trade(self, paise: int, volume: int, symbol: str = "RELIANCE") -> None:
        """A trade on NSE."""
        await self.vendor.trade(self.server, self.token(symbol), paise, volume)

    async def expire(self) -> None:
        """The daily end of the token."""
        ended = self._rig.expire(self.server)
        if ended is not None:
            await ended

    async def until_carried(self, *symbols: str) -> None:
        """Wait until exactly these are subscribed at the broker."""
        await self.server.until_subscribed([self.token(symbol) for symbol in symbols])

    def token(self, symbol: str) -> str:
        """The broker's own."""
        return self.vendor.tokens[SYMBOLS.index(symbol)]


def open_market(folder: Path) -> Path:
    """A file of sessions by which NSE and BSE trade all day, whatever day it is."""
    folder.mkdir(parents=True, exist_ok=True)
    today = datetime.now(IST).date()
    days = [today + timedelta(days=step) for step in (-1, 0, 1)]
    path = folder / "sessions.toml"
    path.write_text(
        "\n".join(
            f'[[special]]\ndate = {day}\nmarkets = ["equity"]\n'
            'sessions = [{ state = "continuous", start = 00:00:00, end = 23:59:59.999 }]'
            for day in days
        )
    )
    return path
