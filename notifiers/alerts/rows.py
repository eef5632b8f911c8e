"""An alert and its row: how the one is written as the other, and which shard it belongs to."""

import zlib
from typing import Any

import msgspec
from sqlalchemy import RowMapping

from notifiers.alerts.alert import SHARDS, Alert, Status
from notifiers.conditions import tree as trees
from notifiers.conditions.options import Baseline, Options
from notifiers.way import Way
from schemas.tables import alerts

_rows = alerts.c
SHOWN = tuple(column for column in _rows if column.name != "state")
"""What is read of an alert: all but the engine's memory of it."""

_encode = msgspec.json.Encoder().encode
options_of: "msgspec.json.Decoder[Options]" = msgspec.json.Decoder(Options)
baseline_of: "msgspec.json.Decoder[Baseline]" = msgspec.json.Decoder(Baseline)
ways_of: "msgspec.json.Decoder[tuple[Way, ...]]" = msgspec.json.Decoder(tuple[Way, ...])


def shard_of(exchange: str, symbol: str) -> int:
    """The part of the instruments that one belongs to, the same in every process and release."""
    return zlib.crc32(f"{exchange}:{symbol}".encode()) % SHARDS


def json_text(value: msgspec.Struct | tuple[Way, ...] | None) -> str | None:
    """As the columns hold it."""
    return None if value is None else _encode(value).decode()


def alert_of(row: RowMapping) -> Alert:
    """The alert of a row with the columns of SHOWN."""
    baseline = row["baseline"]
    values: dict[str, Any] = {name: row[name] for name in _PLAIN}
    return Alert(
        user=row["user_id"],
        status=Status(row["status"]),
        tree=trees.decode(row["tree"]),
        options=options_of.decode(row["options"]),
        channels=ways_of.decode(row["channels"]),
        baseline=None if baseline is None else baseline_of.decode(baseline),
        **values,
    )


_PLAIN = (
    "id",
    "exchange",
    "symbol",
    "shard",
    "status_reason",
    "version",
    "condition",
    "name",
    "message",
    "language",
    "delay_s",
    "fired",
    "last_fired_ms",
    "expires_at_ms",
    "created_at_ms",
    "updated_at_ms",
)
