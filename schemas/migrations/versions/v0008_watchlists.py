"""Users' watchlists."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("preferences", sa.Column("watchlist", sa.Text))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("preferences", "watchlist")
