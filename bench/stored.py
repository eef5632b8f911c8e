"""What a database holds before it is asked: accounts and signals by the thousand, put in without the hub."""

import asyncio
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from auth.passwords import Passwords
from hub.database import engine_for, migrate
from schemas.market import PRICE_SCALE
from schemas.tables import accounts, signals

PASSWORD = "monsoon-Tram-81"

_BEGAN_S = 1_795_000_000
_PLANS = ("free", "basic", "pro", "enterprise")
_BATCH = 500


def fill(database_url: str, *, people: int, given: int) -> None:
    """Put in so many accounts, all with the same password, and so many signals. Blocks for some seconds."""
    asyncio.run(_fill(database_url, people, given))


def account_id(number: int) -> str:
    """The id of the account of that number."""
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    return "u_" + "".join(letters[number >> shift & 31] for shift in range(75, -1, -5))


def email(number: int) -> str:
    """The mail address of the account of that number."""
    return f"person{number}@example.com"


async def _fill(database_url: str, people: int, given: int) -> None:
    engine = engine_for(database_url, Path())
    await migrate(engine)
    password_hash = await Passwords().hash(PASSWORD)
    async with engine.begin() as connection:
        rows = [_account(number, password_hash) for number in range(people)]
        for start in range(0, people, _BATCH):
            await connection.execute(insert(accounts), rows[start : start + _BATCH])
        await connection.execute(insert(signals), [_signal(number) for number in range(given)])
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.exec_driver_sql("VACUUM ANALYZE")  # as autovacuum would have done
    await engine.dispose()


def _account(number: int, password_hash: str) -> dict[str, Any]:
    return {
        "id": account_id(number),
        "email": email(number),
        "email_key": email(number),
        "name": f"Person {number}",
        "password_hash": password_hash,
        "plan": _PLANS[number % len(_PLANS)],
        "role": "user",
        "status": "active",
        "created_at": _BEGAN_S + number,
        "updated_at": _BEGAN_S + number,
    }


def _signal(number: int) -> dict[str, Any]:
    return {
        "exchange": "NSE",
        "symbol": f"S{number % 50:04d}",
        "timeframe": "5m",
        "signal_type": ("BUY", "SELL")[number % 2],
        "confidence": 50.0 + number % 50,
        "entry_price": 1500 * PRICE_SCALE,
        "reason": {"en": "The averages have crossed.", "hi": "औसत एक-दूसरे को पार कर गए।"},
        "source": "api",
        "status": "CLOSED",
        "outcome": "target",
        "close_price": 1510 * PRICE_SCALE,
        "created_at": _BEGAN_S + 60 * number,
        "updated_at": _BEGAN_S + 60 * number,
        "expires_at": _BEGAN_S + 60 * number + 3600,
        "closed_at": _BEGAN_S + 60 * number + 900,
        "announced_at": _BEGAN_S + 60 * number,
    }
