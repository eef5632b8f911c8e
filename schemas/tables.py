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
    LargeBinary,
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

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("email", String(254), nullable=False),
    Column("email_key", String(254), nullable=False, unique=True),
    Column("email_verified_at", BigInteger),
    Column("name", String(100), nullable=False),
    Column("phone", String(16)),
    Column("phone_verified_at", BigInteger),
    Column("password_hash", String(255)),
    Column("plan", String(16), nullable=False),
    Column("role", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("last_login_at", BigInteger),
    Column("totp_secret", Text),
    Column("totp_enabled_at", BigInteger),
    Column("totp_last_step", BigInteger),
    Index(None, "created_at"),
    Index(None, "plan"),
)
"""People who log in here. `email_key` is what makes two spellings of an address one; `totp_secret` is sealed.

Without `password_hash` one logs in through someone else's login alone. A second factor is on from `totp_enabled_at`;
`totp_last_step` is the newest time step whose code was taken.
"""

foreign_logins = Table(
    "foreign_logins",
    metadata,
    Column("issuer", String(255), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("user_id", String(32), ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "user_id"),
)
"""Whom an OpenID Connect issuer's subject is here."""

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", String(32), ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("end_reason", String(16)),
    Column("user_agent", String(256), nullable=False),
    Column("address", String(45), nullable=False),
    Index(None, "user_id"),
    Index(None, "expires_at"),
)
"""Logins. `generation` counts its refresh tokens, of which only the newest is good."""

challenges = Table(
    "challenges",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("user_id", String(32), ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("secret_hash", String(64)),
    Column("details", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Index(None, "user_id", "kind"),
    Index(None, "expires_at"),
)
"""What somebody was asked to prove, once and for a while: a mail address, a telephone, a second factor."""

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("user_id", String(32), ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("code_hash", String(64), primary_key=True),
    Column("used_at", BigInteger),
)
"""What stands in for a lost second factor, each once."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", String(128), nullable=False),
    Column("name", String(64), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("scopes", String(255), nullable=False),
    Column("plan", String(16), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Index(None, "user_id"),
)
"""Keys for programs. `scopes` are words apart by a space; plan and role are the owner's when the key was made, and
count where the owner has no account here."""

entitlements = Table(
    "entitlements",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("user_id", String(128), nullable=False),
    Column("plan", String(16), nullable=False),
    Column("role", String(16), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", String(128), nullable=False),
    Index(None, "user_id"),
    sqlite_autoincrement=True,
)
"""Changes of users' plans and roles, which count over what tokens say that were issued before."""

preferences = Table(
    "preferences",
    metadata,
    Column("user_id", String(128), primary_key=True),
    Column("language", String(2)),
    Column("theme", String(8)),
    Column("timezone", String(64)),
    Column("notifications", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("watchlist", Text),
)
"""How a user wants to be spoken to; `notifications` is a JSON object, `watchlist` a list of `NSE:TCS` and the like."""

push_subscriptions = Table(
    "push_subscriptions",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("user_id", String(128), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("endpoint_hash", String(64), nullable=False, unique=True),
    Column("p256dh", String(128), nullable=False),
    Column("auth", String(64), nullable=False),
    Column("user_agent", String(256), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "user_id"),
    sqlite_autoincrement=True,
)
"""Browsers that take push messages, as the Push API describes them."""

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("level", String(8), nullable=False),
    Column("action", String(48), nullable=False),
    Column("actor", String(128)),
    Column("target", String(255)),
    Column("address", String(45)),
    Column("user_agent", String(256)),
    Column("request_id", String(64)),
    Column("risk", Integer),
    Column("details", Text, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index(None, "at_ms"),
    Index(None, "level", "id"),
    Index(None, "action", "at_ms"),
    Index(None, "actor", "at_ms"),
    sqlite_autoincrement=True,
)
"""Who did what. Entries of one level form a chain: each `hash` covers the entry and the hash of the one before."""

audit_anchors = Table(
    "audit_anchors",
    metadata,
    Column("level", String(8), primary_key=True),
    Column("last_id", Id, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("pruned_at", BigInteger, nullable=False),
)
"""Where each level's chain begins, since what was older has been pruned."""

alerts = Table(
    "alerts",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("user_id", String(128), nullable=False),
    Column("exchange", String(16), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("shard", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_reason", String(64)),
    Column("version", Integer, nullable=False),
    Column("condition", Text, nullable=False),
    Column("tree", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("channels", Text, nullable=False),
    Column("name", String(100)),
    Column("message", Text),
    Column("language", String(2)),
    Column("delay_s", Integer, nullable=False),
    Column("baseline", Text),
    Column("state", LargeBinary),
    Column("fired", Integer, nullable=False),
    Column("last_fired_ms", BigInteger),
    Column("expires_at_ms", BigInteger),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Index(None, "shard", "status", "id"),
    Index(None, "user_id", "status", "id"),
    Index(None, "exchange", "symbol"),
    sqlite_autoincrement=True,
)
"""Alerts, those that were deleted too: they are only marked, since what fired refers to them.

`condition` is the canonical text of `tree` (JSON of `notifiers.conditions.tree`), `options` JSON of
`notifiers.conditions.options.Options`, `channels` a JSON list. `version` grows where it begins anew, with another
condition or other options. `state` is the engine's own, and so are `fired` (how often) and `last_fired_ms`. `delay_s`:
as late as its owner's prices are.
"""

alert_changes = Table(
    "alert_changes",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("shard", Integer, nullable=False),
    Column("alert_id", Id, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "shard", "id"),
    sqlite_autoincrement=True,
)
"""That an alert was made, changed or ended, for the engine that has its shard; pruned after an hour."""

alert_tracks = Table(
    "alert_tracks",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("source", String(128), primary_key=True),
    Column("state", LargeBinary, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
)
"""How far a shard's engine has come with each source of samples, `NSE:TCS` or `5m:NSE:TCS`."""

alert_shards = Table(
    "alert_shards",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("owner", String(32)),
    Column("fence", BigInteger, nullable=False),
    Column("lease_until_ms", BigInteger, nullable=False),
)
"""Which engine has which shard, by the database's own clock.

`fence` grows with every owner, and who shows an older one can't write.
"""

alert_engines = Table(
    "alert_engines",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("seen_at_ms", BigInteger, nullable=False),
)
"""The engines that live, among whom the shards are shared out."""

triggers = Table(
    "triggers",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("alert_id", Id, ForeignKey("alerts.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("reason", String(32)),
    Column("user_id", String(128), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("received_at_ms", BigInteger, nullable=False),
    Column("evaluated_at_ms", BigInteger, nullable=False),
    Column("enqueued_at_ms", BigInteger, nullable=False),
    Column("facts", Text, nullable=False),
    Column("acknowledged_at_ms", BigInteger),
    Column("acknowledged_by", String(16)),
    Index("uq_triggers_alert_id_kind_number", "alert_id", "kind", "number", unique=True),
    Index(None, "user_id", "id"),
    sqlite_autoincrement=True,
)
"""What fired (`kind` fired), what would have but for `reason` (suppressed), and tests; `facts` says why, in JSON.

`number` counts an alert's rows of one kind from 1; times: of the exchange, of its arrival, of the evaluation, of this
row.
"""

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("trigger_id", Id, ForeignKey("triggers.id")),
    Column("alert_id", Id),
    Column("user_id", String(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("endpoint", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", String(64)),
    Column("priority", Integer, nullable=False),
    Column("due_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("unless_acknowledged", Boolean, nullable=False),
    Column("content", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease_token", String(32)),
    Column("lease_until_ms", BigInteger),
    Column("provider", String(16)),
    Column("provider_id", String(128)),
    Column("provider_status", String(32)),
    Column("cost", Integer, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("sent_at_ms", BigInteger),
    Column("finished_at_ms", BigInteger),
    Index(
        "ix_deliveries_due",
        "channel",
        "priority",
        "due_at_ms",
        sqlite_where=text("status = 'queued' AND lease_token IS NULL"),
        postgresql_where=text("status = 'queued' AND lease_token IS NULL"),
    ),
    Index(
        "ix_deliveries_leased",
        "lease_until_ms",
        sqlite_where=text("lease_token IS NOT NULL"),
        postgresql_where=text("lease_token IS NOT NULL"),
    ),
    Index(
        "ix_deliveries_awaited",
        "due_at_ms",
        sqlite_where=text("status IN ('accepted', 'sent', 'unknown') AND finished_at_ms IS NULL"),
        postgresql_where=text("status IN ('accepted', 'sent', 'unknown') AND finished_at_ms IS NULL"),
    ),
    Index(None, "alert_id", "id"),
    Index(None, "trigger_id"),
    Index(None, "user_id", "channel", "sent_at_ms"),
    Index(None, "provider_id"),
    sqlite_autoincrement=True,
)
"""What is to reach one person by one channel, and how far it has come; see `notifiers.outbox.delivery`.

`endpoint` names one of several of the kind (a browser, a webhook), empty for the person's only one. `cost` counts
what a budget counts: segments of an SMS.
"""

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("delivery_id", Id, ForeignKey("deliveries.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("provider", String(16), nullable=False),
    Column("provider_id", String(128)),
    Column("reason", String(64)),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("finished_at_ms", BigInteger),
    Index("uq_delivery_attempts_delivery_id_number", "delivery_id", "number", unique=True),
    sqlite_autoincrement=True,
)
"""Each time that a provider was asked. The row is committed before the question goes out."""

provider_reports = Table(
    "provider_reports",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("received_at_ms", BigInteger, nullable=False),
)
"""Reports of providers' that were taken, so that each counts once; pruned after a while."""

suppressions = Table(
    "suppressions",
    metadata,
    Column("channel", String(16), primary_key=True),
    Column("address_hash", String(64), primary_key=True),
    Column("reason", String(64), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)
"""Addresses that must not be written to: they don't exist, or whose they are said stop."""

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("user_id", String(128), nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("previous_secret", Text),
    Column("previous_until_ms", BigInteger),
    Column("status", String(16), nullable=False),
    Column("status_reason", String(64)),
    Column("failing_since_ms", BigInteger),
    Column("created_at_ms", BigInteger, nullable=False),
    Index(None, "user_id"),
    sqlite_autoincrement=True,
)
"""Where users' own servers want to be told; the secrets that sign are sealed."""

corporate_actions = Table(
    "corporate_actions",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("exchange", String(16), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("numerator", BigInteger, nullable=False),
    Column("denominator", BigInteger, nullable=False),
    Column("policy", String(16), nullable=False),
    Column("ex_date", Date, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("created_by", String(128), nullable=False),
    Index("uq_corporate_actions_once", "exchange", "symbol", "ex_date", "kind", unique=True),
    sqlite_autoincrement=True,
)
"""Splits, bonuses and dividends that alerts were adjusted for: prices times numerator / denominator."""
