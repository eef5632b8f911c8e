"""Trading signals."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ONE_ACTIVE = "status = 'ACTIVE' AND source <> 'api' AND deleted_at IS NULL"


def upgrade() -> None:
    """Add `signals`."""
    op.create_table(
        "signals",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("exchange", sa.String(16), nullable=False),
        sa.Column("symbol", sa.String(64), nullable=False),
        sa.Column("timeframe", sa.String(8)),
        sa.Column("signal_type", sa.String(8), nullable=False),
        sa.Column("confidence", sa.Double, nullable=False),
        sa.Column("entry_price", sa.BigInteger),
        sa.Column("target_price", sa.BigInteger),
        sa.Column("stop_loss", sa.BigInteger),
        sa.Column("ml_score", sa.Double),
        sa.Column("reason", sa.JSON),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("close_price", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.String(128)),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("updated_by", sa.String(128)),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("closed_at", sa.BigInteger),
        sa.Column("announced_at", sa.BigInteger),
        sa.Column("deleted_at", sa.BigInteger),
        sa.Column("deleted_by", sa.String(128)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signals")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("uq_signals_one_active"),
        "signals",
        ["exchange", "symbol", "timeframe"],
        unique=True,
        sqlite_where=sa.text(_ONE_ACTIVE),
        postgresql_where=sa.text(_ONE_ACTIVE),
    )
    op.create_index(op.f("ix_signals_created_at"), "signals", ["created_at"])
    op.create_index(op.f("ix_signals_symbol_created_at"), "signals", ["symbol", "created_at"])
    op.create_index(op.f("ix_signals_status"), "signals", ["status"])


def downgrade() -> None:
    """Drop `signals`."""
    op.drop_table("signals")
