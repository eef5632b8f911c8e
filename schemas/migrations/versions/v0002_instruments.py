"""Instruments, and what each vendor calls them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LIVE = "delisted_on IS NULL AND exchange_token <> ''"


def upgrade() -> None:
    """Add `instruments`, `vendor_tokens` and `masters`."""
    key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "instruments",
        sa.Column("id", key, autoincrement=True, nullable=False),
        sa.Column("exchange", sa.String(8), nullable=False),
        sa.Column("exchange_token", sa.String(32), nullable=False),
        sa.Column("listed_on", sa.Date, nullable=False),
        sa.Column("delisted_on", sa.Date),
        sa.Column("symbol", sa.String(64), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("tick_size", sa.BigInteger, nullable=False),
        sa.Column("lot_size", sa.BigInteger, nullable=False),
        sa.Column("has_derivatives", sa.Boolean, nullable=False),
        sa.Column("isin", sa.String(16), nullable=False),
        sa.Column("series", sa.String(8), nullable=False),
        sa.Column("underlying", sa.String(48), nullable=False),
        sa.Column("expiry", sa.Date),
        sa.Column("strike", sa.BigInteger),
        sa.Column("option_type", sa.String(2), nullable=False),
        sa.Column("lower_circuit", sa.BigInteger),
        sa.Column("upper_circuit", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instruments")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_instruments_live_token",
        "instruments",
        ["exchange", "exchange_token"],
        unique=True,
        sqlite_where=sa.text(_LIVE),
        postgresql_where=sa.text(_LIVE),
    )
    op.create_index(op.f("ix_instruments_exchange_symbol"), "instruments", ["exchange", "symbol"])
    _vendor_tokens(key)
    op.create_table(
        "masters",
        sa.Column("vendor", sa.String(16), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("loaded_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("vendor", name=op.f("pk_masters")),
    )


def _vendor_tokens(key: sa.types.TypeEngine[int]) -> None:
    op.create_table(
        "vendor_tokens",
        sa.Column("vendor", sa.String(16), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("instrument_id", key, nullable=False),
        sa.PrimaryKeyConstraint("vendor", "token", name=op.f("pk_vendor_tokens")),
        sa.ForeignKeyConstraint(["instrument_id"], ["instruments.id"], name=op.f("fk_vendor_tokens_instrument_id")),
    )
    op.create_index(op.f("ix_vendor_tokens_instrument_id"), "vendor_tokens", ["instrument_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("masters")
    op.drop_table("vendor_tokens")
    op.drop_table("instruments")
