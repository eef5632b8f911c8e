"""The tables, as SQLAlchemy Core. Each package owns its queries; the migrations beside this lead here.

Times are Unix seconds in whole numbers unless a name ends in `_ms`. Ids only ever grow: SQLite too is told never to use
one again, since readers ask for what came after the last id they saw.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts only a column that is exactly an INTEGER."""

revocations = Table(
    "revocations",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("token_id", String(64)),
    Column("user_id", String(128)),
    Column("issued_before", BigInteger),
    Column("expires_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint(
        "(token_id IS NOT NULL AND user_id IS NULL AND issued_before IS NULL AND expires_at IS NOT NULL)"
        " OR (token_id IS NULL AND user_id IS NOT NULL AND issued_before IS NOT NULL AND expires_at IS NULL)",
        name="token_or_user",
    ),
    Index(None, "expires_at"),
    Index(None, "user_id"),
    sqlite_autoincrement=True,
)
"""One token by its id, or all tokens of a user issued at or before a time, which never ends: tokens may live long."""

configuration = Table(
    "configuration",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("value", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", String(128), nullable=False),
)
"""What administrators set at run time: a JSON text by key."""

instruments = Table(
    "instruments",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("exchange", String(8), nullable=False),
    Column("exchange_token", String(32), nullable=False),
    Column("listed_on", Date, nullable=False),
    Column("delisted_on", Date),
    Column("symbol", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("tick_size", BigInteger, nullable=False),
    Column("lot_size", BigInteger, nullable=False),
    Column("has_derivatives", Boolean, nullable=False),
    Column("isin", String(16), nullable=False),
    Column("series", String(8), nullable=False),
    Column("underlying", String(48), nullable=False),
    Column("expiry", Date),
    Column("strike", BigInteger),
    Column("option_type", String(2), nullable=False),
    Column("lower_circuit", BigInteger),
    Column("upper_circuit", BigInteger),
    Index(
        "uq_instruments_live_token",
        "exchange",
        "exchange_token",
        unique=True,
        sqlite_where=text("delisted_on IS NULL AND exchange_token <> ''"),
        postgresql_where=text("delisted_on IS NULL AND exchange_token <> ''"),
    ),
    Index(None, "exchange", "symbol"),
    sqlite_autoincrement=True,
)
"""What an exchange's token has meant, and from when to when: exchanges use a token again after expiry.

A live row has no `delisted_on`. An index has no token; its name stands for it. Prices in 1/PRICE_SCALE.
"""

vendor_tokens = Table(
    "vendor_tokens",
    metadata,
    Column("vendor", String(16), primary_key=True),
    Column("token", String(64), primary_key=True),
    Column("instrument_id", Id, ForeignKey("instruments.id"), nullable=False),
    Index(None, "instrument_id"),
)
"""What each vendor's wire calls an instrument, as in its last master."""

masters = Table(
    "masters",
    metadata,
    Column("vendor", String(16), primary_key=True),
    Column("day", Date, nullable=False),
    Column("loaded_at", BigInteger, nullable=False),
)
"""The day for which each vendor's last master was taken over."""

candles = Table(
    "candles",
    metadata,
    Column("exchange", String(16), primary_key=True),
    Column("symbol", String(64), primary_key=True),
    Column("timeframe", String(4), primary_key=True),
    Column("starts_at", BigInteger, primary_key=True, autoincrement=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("open", BigInteger, nullable=False),
    Column("high", BigInteger, nullable=False),
    Column("low", BigInteger, nullable=False),
    Column("close", BigInteger, nullable=False),
    Column("volume", BigInteger),
    Column("open_interest", BigInteger),
    Column("day_volume", BigInteger),
    Column("gap", Boolean, nullable=False),
    Index(None, "timeframe", "starts_at"),
    postgresql_partition_by="RANGE (starts_at)",
    sqlite_with_rowid=False,
)
"""Closed candles, prices in 1/PRICE_SCALE. On PostgreSQL each month of `starts_at` is a partition, made by need."""

signals = Table(
    "signals",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("exchange", String(16), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("timeframe", String(8)),
    Column("signal_type", String(8), nullable=False),
    Column("confidence", Double, nullable=False),
    Column("entry_price", BigInteger),
    Column("target_price", BigInteger),
    Column("stop_loss", BigInteger),
    Column("ml_score", Double),
    Column("reason", JSON(none_as_null=True)),
    Column("source", String(8), nullable=False),
    Column("status", String(8), nullable=False),
    Column("outcome", String(16)),
    Column("close_price", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", String(128)),
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", String(128)),
    Column("expires_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("announced_at", BigInteger),
    Column("deleted_at", BigInteger),
    Column("deleted_by", String(128)),
    Index(
        "uq_signals_one_active",
        "exchange",
        "symbol",
        "timeframe",
        unique=True,
        sqlite_where=text("status = 'ACTIVE' AND source <> 'api' AND deleted_at IS NULL"),
        postgresql_where=text("status = 'ACTIVE' AND source <> 'api' AND deleted_at IS NULL"),
    ),
    Index(None, "created_at"),
    Index(None, "symbol", "created_at"),
    Index(None, "status"),
    sqlite_autoincrement=True,
)
"""Trading signals, those that were deleted too: they are only marked. Prices in 1/PRICE_SCALE.

The rules have one active signal at most for an instrument and timeframe. `announced_at` is None until subscribers
were told.
"""
