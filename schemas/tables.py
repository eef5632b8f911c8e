"""The tables, as SQLAlchemy Core. Each package owns its queries; the migrations beside this lead here.

Times are Unix seconds in whole numbers unless a name ends in `_ms`. Ids only ever grow: SQLite too is told never to use
one again, since readers ask for what came after the last id they saw.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, MetaData, String, Table

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
