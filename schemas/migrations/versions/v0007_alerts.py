"""Alerts, what they fired, and deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the tables."""
    _alerts()
    _alert_changes()
    _alert_tracks()
    _alert_shards()
    _alert_engines()
    _triggers()
    _deliveries()
    _delivery_attempts()
    _provider_reports()
    _suppressions()
    _webhook_endpoints()
    _corporate_actions()


def downgrade() -> None:
    """Drop the tables."""
    for name in (
        "corporate_actions",
        "webhook_endpoints",
        "suppressions",
        "provider_reports",
        "delivery_attempts",
        "deliveries",
        "triggers",
        "alert_engines",
        "alert_shards",
        "alert_tracks",
        "alert_changes",
        "alerts",
    ):
        op.drop_table(name)


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("exchange", sa.String(16), nullable=False),
        sa.Column("symbol", sa.String(64), nullable=False),
        sa.Column("shard", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("status_reason", sa.String(64)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("condition", sa.Text, nullable=False),
        sa.Column("tree", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("channels", sa.Text, nullable=False),
        sa.Column("name", sa.String(100)),
        sa.Column("message", sa.Text),
        sa.Column("language", sa.String(2)),
        sa.Column("delay_s", sa.Integer, nullable=False),
        sa.Column("baseline", sa.Text),
        sa.Column("state", sa.LargeBinary),
        sa.Column("fired", sa.Integer, nullable=False),
        sa.Column("last_fired_ms", sa.BigInteger),
        sa.Column("expires_at_ms", sa.BigInteger),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_alerts_exchange_symbol"), "alerts", ["exchange", "symbol"])
    op.create_index(op.f("ix_alerts_shard_status_id"), "alerts", ["shard", "status", "id"])
    op.create_index(op.f("ix_alerts_user_id_status_id"), "alerts", ["user_id", "status", "id"])


def _alert_changes() -> None:
    op.create_table(
        "alert_changes",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("shard", sa.Integer, nullable=False),
        sa.Column("alert_id", _ID, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_changes")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_alert_changes_shard_id"), "alert_changes", ["shard", "id"])


def _alert_tracks() -> None:
    op.create_table(
        "alert_tracks",
        sa.Column("shard", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("source", sa.String(128), nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("shard", "source", name=op.f("pk_alert_tracks")),
    )


def _alert_shards() -> None:
    op.create_table(
        "alert_shards",
        sa.Column("shard", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("owner", sa.String(32)),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_alert_shards")),
    )


def _alert_engines() -> None:
    op.create_table(
        "alert_engines",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_engines")),
    )


def _triggers() -> None:
    op.create_table(
        "triggers",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("alert_id", _ID, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(32)),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.Column("evaluated_at_ms", sa.BigInteger, nullable=False),
        sa.Column("enqueued_at_ms", sa.BigInteger, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("acknowledged_at_ms", sa.BigInteger),
        sa.Column("acknowledged_by", sa.String(16)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_triggers")),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name=op.f("fk_triggers_alert_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_triggers_alert_id_kind_number", "triggers", ["alert_id", "kind", "number"], unique=True)
    op.create_index(op.f("ix_triggers_user_id_id"), "triggers", ["user_id", "id"])


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("trigger_id", _ID),
        sa.Column("alert_id", _ID),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64)),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("due_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
        sa.Column("unless_acknowledged", sa.Boolean, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("lease_until_ms", sa.BigInteger),
        sa.Column("provider", sa.String(16)),
        sa.Column("provider_id", sa.String(128)),
        sa.Column("provider_status", sa.String(32)),
        sa.Column("cost", sa.Integer, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("sent_at_ms", sa.BigInteger),
        sa.Column("finished_at_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.ForeignKeyConstraint(["trigger_id"], ["triggers.id"], name=op.f("fk_deliveries_trigger_id")),
        sa.UniqueConstraint("key", name=op.f("uq_deliveries_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_deliveries_alert_id_id"), "deliveries", ["alert_id", "id"])
    op.create_index(
        "ix_deliveries_leased",
        "deliveries",
        ["lease_until_ms"],
        sqlite_where=sa.text("lease_token IS NOT NULL"),
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["channel", "priority", "due_at_ms"],
        sqlite_where=sa.text("status = 'queued' AND lease_token IS NULL"),
        postgresql_where=sa.text("status = 'queued' AND lease_token IS NULL"),
    )
    op.create_index(op.f("ix_deliveries_provider_id"), "deliveries", ["provider_id"])
    op.create_index(
        "ix_deliveries_awaited",
        "deliveries",
        ["due_at_ms"],
        sqlite_where=sa.text("status IN ('accepted', 'sent', 'unknown') AND finished_at_ms IS NULL"),
        postgresql_where=sa.text("status IN ('accepted', 'sent', 'unknown') AND finished_at_ms IS NULL"),
    )
    op.create_index(op.f("ix_deliveries_trigger_id"), "deliveries", ["trigger_id"])
    op.create_index(
        op.f("ix_deliveries_user_id_channel_sent_at_ms"), "deliveries", ["user_id", "channel", "sent_at_ms"]
    )


def _delivery_attempts() -> None:
    op.create_table(
        "delivery_attempts",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("delivery_id", _ID, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("provider", sa.String(16), nullable=False),
        sa.Column("provider_id", sa.String(128)),
        sa.Column("reason", sa.String(64)),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_attempts")),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("fk_delivery_attempts_delivery_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_delivery_attempts_delivery_id_number", "delivery_attempts", ["delivery_id", "number"], unique=True
    )


def _provider_reports() -> None:
    op.create_table(
        "provider_reports",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_provider_reports")),
    )


def _suppressions() -> None:
    op.create_table(
        "suppressions",
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("address_hash", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("channel", "address_hash", name=op.f("pk_suppressions")),
    )


def _webhook_endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("previous_secret", sa.Text),
        sa.Column("previous_until_ms", sa.BigInteger),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("status_reason", sa.String(64)),
        sa.Column("failing_since_ms", sa.BigInteger),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_webhook_endpoints_user_id"), "webhook_endpoints", ["user_id"])


def _corporate_actions() -> None:
    op.create_table(
        "corporate_actions",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("exchange", sa.String(16), nullable=False),
        sa.Column("symbol", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("numerator", sa.BigInteger, nullable=False),
        sa.Column("denominator", sa.BigInteger, nullable=False),
        sa.Column("policy", sa.String(16), nullable=False),
        sa.Column("ex_date", sa.Date, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corporate_actions")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_corporate_actions_once", "corporate_actions", ["exchange", "symbol", "ex_date", "kind"], unique=True
    )
