"""Closed candles."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add `candles`; on PostgreSQL without any partition yet."""
    op.create_table(
        "candles",
        sa.Column("exchange", sa.String(16), nullable=False),
        sa.Column("symbol", sa.String(64), nullable=False),
        sa.Column("timeframe", sa.String(4), nullable=False),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("open", sa.BigInteger, nullable=False),
        sa.Column("high", sa.BigInteger, nullable=False),
        sa.Column("low", sa.BigInteger, nullable=False),
        sa.Column("close", sa.BigInteger, nullable=False),
        sa.Column("volume", sa.BigInteger),
        sa.Column("open_interest", sa.BigInteger),
        sa.Column("day_volume", sa.BigInteger),
        sa.Column("gap", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("exchange", "symbol", "timeframe", "starts_at", name=op.f("pk_candles")),
        postgresql_partition_by="RANGE (starts_at)",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_candles_timeframe_starts_at"), "candles", ["timeframe", "starts_at"])


def downgrade() -> None:
    """Drop `candles` with its partitions."""
    op.drop_table("candles")
