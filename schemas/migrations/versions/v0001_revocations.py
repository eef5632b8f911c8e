"""The list of revoked tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add `revocations`."""
    op.create_table(
        "revocations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("token_id", sa.String(64)),
        sa.Column("user_id", sa.String(128)),
        sa.Column("issued_before", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint(
            "(token_id IS NOT NULL AND user_id IS NULL AND issued_before IS NULL AND expires_at IS NOT NULL)"
            " OR (token_id IS NULL AND user_id IS NOT NULL AND issued_before IS NOT NULL AND expires_at IS NULL)",
            name=op.f("ck_revocations_token_or_user"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revocations")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_revocations_expires_at"), "revocations", ["expires_at"])
    op.create_index(op.f("ix_revocations_user_id"), "revocations", ["user_id"])


def downgrade() -> None:
    """Drop `revocations`."""
    op.drop_table("revocations")
