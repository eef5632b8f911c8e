"""The settings: what each environment variable means, its default, and everything that can be wrong with it.

One definition serves the process, `.env.example` and the documentation. Only `hub` reads the settings; everybody
else is handed values.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from schemas import setting_kinds as kinds
from schemas.dotenv import parse_dotenv
from schemas.durations import Seconds
from schemas.errors import SettingsError
from schemas.secret import Secret, SecretUrl, hide_userinfo
from schemas.setting_kinds import Kind
from schemas.spelling import meant

FEEDS = ("simulator", "replay", "kite", "upstox", "angel", "dhan", "fyers", "shoonya")

SERVER = "Server"
STORAGE = "Storage and broker"
TOKENS = "Tokens"
SIGN_IN = "Sign-in with another account"
LIMITS = "Limits"
SOURCES = "Prices"
EMAIL = "E-mail"
PHONE = "SMS and voice"
PUSH = "Push and webhooks"
SERVICES = "Other services"
LOGGING = "Logging"
TIMING = "Timing"


def _means(name: str, default: str, group: str, kind: Kind[Any], description: str) -> Meta:
    return Meta(description=description, extra={"name": name, "default": default, "group": group, "kind": kind})


_SPAN = kinds.duration("1s", "3650d")
_WAIT = kinds.duration("100ms", "1h")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, read and checked. Times are seconds; what may not be seen is a `Secret`."""

    host: Annotated[str, _means("HOST", "127.0.0.1", SERVER, kinds.HOST, "The address to listen on.")]
    port: Annotated[int, _means("PORT", "8081", SERVER, kinds.integer(1, 65535), "The port to listen on.")]
    metrics_port: Annotated[
        int | None,
        _means(
            "METRICS_PORT",
            "",
            SERVER,
            kinds.integer(1, 65535),
            "Where a process without the role `web` answers `/health` and `/metrics`, at `HOST`. Empty: nowhere.",
        ),
    ]
    public_url: Annotated[
        str | None,
        _means(
            "PUBLIC_URL",
            "",
            SERVER,
            kinds.WEB_URL,
            "Where the world reaches this server; links in mail lead there. Empty: `http://HOST:PORT`.",
        ),
    ]
    cors_origin: Annotated[
        tuple[str, ...],
        _means(
            "CORS_ORIGIN",
            "",
            SERVER,
            kinds.ORIGINS,
            "Web pages from where browsers may call, over HTTP and WebSocket. Empty: only this server's own.",
        ),
    ]
    trusted_proxies: Annotated[
        tuple[str, ...],
        _means(
            "TRUSTED_PROXIES",
            "",
            SERVER,
            kinds.NETWORKS,
            "The proxies before this server, whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.",
        ),
    ]
    redis_url: Annotated[
        SecretUrl | None,
        _means(
            "REDIS_URL",
            "",
            STORAGE,
            kinds.REDIS_URL,
            "The Redis that connects several processes; a cluster as `redis+cluster://host:port,host:port`. "
            "Empty: a broker inside the one process.",
        ),
    ]
    redis_prefix: Annotated[
        str, _means("REDIS_PREFIX", "hub:", STORAGE, kinds.PREFIX, "What all keys and channels in Redis begin with.")
    ]
    database_url: Annotated[
        SecretUrl | None,
        _means(
            "DATABASE_URL", "", STORAGE, kinds.DATABASE_URL, "The PostgreSQL database. Empty: SQLite in `DATA_DIR`."
        ),
    ]
    data_dir: Annotated[
        Path, _means("DATA_DIR", "data", STORAGE, kinds.PATH, "The directory of all that is kept in files.")
    ]
    namespaces_file: Annotated[
        Path | None, _means("NAMESPACES_FILE", "", STORAGE, kinds.PATH, "A TOML file with more channel namespaces.")
    ]
    jwt_secret: Annotated[
        Secret | None,
        _means(
            "JWT_SECRET",
            "",
            TOKENS,
            kinds.secret(min_chars=32),
            "Signs the tokens. Required with `DATABASE_URL` or `REDIS_URL`; else made and kept in `DATA_DIR`.",
        ),
    ]
    encryption_keys: Annotated[
        tuple[Secret, ...],
        _means(
            "ENCRYPTION_KEYS",
            "",
            TOKENS,
            kinds.secrets(min_chars=32),
            "Seal the secrets in the database, the newest first; `python -m hub rotate-keys` makes the others "
            "superfluous. Empty: a key derived from `JWT_SECRET`, which then must not change, or one kept in "
            "`DATA_DIR`.",
        ),
    ]
    jwt_access_expiry_s: Annotated[
        Seconds, _means("JWT_ACCESS_EXPIRY", "15m", TOKENS, _SPAN, "How long an access token is valid.")
    ]
    jwt_refresh_expiry_s: Annotated[
        Seconds, _means("JWT_REFRESH_EXPIRY", "7d", TOKENS, _SPAN, "How long a refresh token is valid.")
    ]
    jwt_jwks_url: Annotated[
        str | None,
        _means("JWT_JWKS_URL", "", TOKENS, kinds.WEB_URL, "The keys of someone else's login, as a JWKS address."),
    ]
    jwt_public_key: Annotated[
        str | None,
        _means("JWT_PUBLIC_KEY", "", TOKENS, kinds.PUBLIC_KEY, "The key of someone else's login."),
    ]
    jwt_audience: Annotated[
        str | None, _means("JWT_AUDIENCE", "", TOKENS, kinds.TEXT, "The audience that such tokens must name.")
    ]
    jwt_issuer: Annotated[
        str | None, _means("JWT_ISSUER", "", TOKENS, kinds.TEXT, "The issuer that such tokens must name.")
    ]
    oidc_issuer: Annotated[
        str | None,
        _means(
            "OIDC_ISSUER",
            "",
            SIGN_IN,
            kinds.WEB_URL,
            "Whose accounts may sign in here by OpenID Connect, such as `https://accounts.google.com`. Empty: none.",
        ),
    ]
    oidc_client_id: Annotated[
        str | None, _means("OIDC_CLIENT_ID", "", SIGN_IN, kinds.TEXT, "What it calls us. Required with `OIDC_ISSUER`.")
    ]
    oidc_client_secret: Annotated[
        Secret | None, _means("OIDC_CLIENT_SECRET", "", SIGN_IN, kinds.secret(), "The password for that, if any.")
    ]
    oidc_name: Annotated[str, _means("OIDC_NAME", "Google", SIGN_IN, kinds.TEXT, "What users call it, for the button.")]
    rate_limit_max: Annotated[
        int,
        _means(
            "RATE_LIMIT_MAX",
            "100",
            LIMITS,
            kinds.integer(1, 1_000_000_000),
            "How many HTTP requests a user, a key, or an address without a token has in each window.",
        ),
    ]
    rate_limit_time_window_s: Annotated[
        Seconds, _means("RATE_LIMIT_TIME_WINDOW", "15m", LIMITS, _SPAN, "How long that window is.")
    ]
    login_rate_limit_max: Annotated[
        int | None,
        _means(
            "LOGIN_RATE_LIMIT_MAX",
            "",
            LIMITS,
            kinds.integer(1, 1_000_000_000),
            "How many times an address may fail to log in, or register, in such a window. "
            "Empty: a fifth of `RATE_LIMIT_MAX`.",
        ),
    ]
    plans_file: Annotated[
        Path | None,
        _means(
            "PLANS_FILE",
            "",
            LIMITS,
            kinds.PATH,
            "A TOML file that says per plan and exchange: real-time, delayed or none. Empty: all in real time.",
        ),
    ]
    max_connections: Annotated[
        int,
        _means(
            "MAX_CONNECTIONS",
            "0",
            LIMITS,
            kinds.integer(0, 10_000_000),
            "How many sockets a process takes. 0: as many as it has file descriptors for.",
        ),
    ]
    max_connections_per_user: Annotated[
        int,
        _means(
            "MAX_CONNECTIONS_PER_USER",
            "0",
            LIMITS,
            kinds.integer(0, 10_000_000),
            "How many sockets a user may have open. 0: no limit.",
        ),
    ]
    strict_symbols: Annotated[
        bool,
        _means(
            "STRICT_SYMBOLS",
            "false",
            LIMITS,
            kinds.TRUTH,
            "Refuse to subscribe to a symbol that the loaded instrument list doesn't know.",
        ),
    ]
    feed: Annotated[
        tuple[str, ...],
        _means("FEED", "simulator", SOURCES, kinds.several_of(*FEEDS), "Where prices come from."),
    ]
    feed_symbols: Annotated[
        tuple[str, ...],
        _means(
            "FEED_SYMBOLS",
            "",
            SOURCES,
            kinds.PLACES,
            "Instruments that are always carried, heard or not; the others only while somebody hears them.",
        ),
    ]
    feed_mode: Annotated[
        str,
        _means(
            "FEED_MODE",
            "full",
            SOURCES,
            kinds.one_of("ltp", "quote", "full"),
            "How much of each instrument is asked of a broker; depth comes with full alone.",
        ),
    ]
    sessions_file: Annotated[
        Path | None,
        _means(
            "SESSIONS_FILE",
            "",
            SOURCES,
            kinds.PATH,
            "A TOML file with holidays, special hours and halts that the calendar doesn't know; read when it changes.",
        ),
    ]
    record_file: Annotated[
        Path | None,
        _means(
            "RECORD_FILE", "", SOURCES, kinds.PATH, "Record all that comes over brokers' wires here, for `FEED=replay`."
        ),
    ]
    replay_file: Annotated[
        Path | None,
        _means(
            "REPLAY_FILE",
            "",
            SOURCES,
            kinds.PATH,
            "What `FEED=replay` plays: a recording, a CSV of ticks or candles, or a bhavcopy.",
        ),
    ]
    replay_speed: Annotated[
        float,
        _means("REPLAY_SPEED", "1", SOURCES, kinds.SPEED, "How many times as fast as it was recorded."),
    ]
    signals_timeframe: Annotated[
        str,
        _means(
            "SIGNALS_TIMEFRAME",
            "15m",
            SOURCES,
            kinds.one_of("off", "1m", "3m", "5m", "15m", "30m", "1h", "1d"),
            "The candles that trading signals are made from; `off` makes none.",
        ),
    ]
    simulator_rate: Annotated[
        int,
        _means(
            "SIMULATOR_RATE",
            "250",
            SOURCES,
            kinds.integer(1, 50_000),
            "How many ticks a second the simulator makes.",
        ),
    ]
    simulator_symbols: Annotated[
        int,
        _means(
            "SIMULATOR_SYMBOLS",
            "0",
            SOURCES,
            kinds.integer(0, 100_000),
            "How many invented symbols the simulator adds to its own 53, for load.",
        ),
    ]
    simulator_seed: Annotated[
        int | None,
        _means(
            "SIMULATOR_SEED",
            "",
            SOURCES,
            kinds.integer(0, 2**53),
            "Makes the simulator repeat itself: the same seed, the same prices, and no invented past before them.",
        ),
    ]
    simulator_hours: Annotated[
        str,
        _means(
            "SIMULATOR_HOURS",
            "always",
            SOURCES,
            kinds.one_of("always", "clock"),
            "When the simulated market is open: around the clock, or in the exchange's own hours.",
        ),
    ]
    smtp_host: Annotated[
        str | None,
        _means(
            "SMTP_HOST",
            "",
            EMAIL,
            kinds.HOST,
            "The mail server. Empty: mail goes to files in `DATA_DIR/outbox`.",
        ),
    ]
    smtp_port: Annotated[
        int,
        _means(
            "SMTP_PORT",
            "587",
            EMAIL,
            kinds.integer(1, 65535),
            "Its port. 465: TLS from the start; any other: STARTTLS where the server offers it.",
        ),
    ]
    smtp_user: Annotated[str | None, _means("SMTP_USER", "", EMAIL, kinds.TEXT, "Who we are to it.")]
    smtp_password: Annotated[
        Secret | None, _means("SMTP_PASSWORD", "", EMAIL, kinds.secret(), "The password for that.")
    ]
    smtp_from: Annotated[
        str | None,
        _means(
            "SMTP_FROM",
            "",
            EMAIL,
            kinds.TEXT,
            "The sender of all mail, `Name <address>`; the name is the service's. Required with `SMTP_HOST`.",
        ),
    ]
    dkim_selector: Annotated[
        str | None,
        _means("DKIM_SELECTOR", "", EMAIL, kinds.TEXT, "Sign mail by DKIM under this selector of the sender's domain."),
    ]
    dkim_private_key: Annotated[
        Secret | None,
        _means("DKIM_PRIVATE_KEY", "", EMAIL, kinds.PRIVATE_KEY, "The RSA or Ed25519 key for that."),
    ]
    twilio_account_sid: Annotated[
        str | None,
        _means(
            "TWILIO_ACCOUNT_SID",
            "",
            PHONE,
            kinds.TEXT,
            "The Twilio account. Empty: SMS and calls go to files in `DATA_DIR/outbox`.",
        ),
    ]
    twilio_auth_token: Annotated[
        Secret | None,
        _means("TWILIO_AUTH_TOKEN", "", PHONE, kinds.secret(), "Its token, which also signs the callbacks."),
    ]
    twilio_from: Annotated[str | None, _means("TWILIO_FROM", "", PHONE, kinds.TEXT, "The number that sends and calls.")]
    twilio_messaging_service_sid: Annotated[
        str | None,
        _means(
            "TWILIO_MESSAGING_SERVICE_SID",
            "",
            PHONE,
            kinds.TEXT,
            "The messaging service that sends instead.",
        ),
    ]
    twilio_base_url: Annotated[
        str | None,
        _means(
            "TWILIO_BASE_URL",
            "",
            PHONE,
            kinds.WEB_URL,
            "Another address of the API. Empty: Twilio's own.",
        ),
    ]
    voice_calls_per_second: Annotated[
        int,
        _means(
            "VOICE_CALLS_PER_SECOND",
            "1",
            PHONE,
            kinds.integer(1, 1000),
            "How many calls Twilio begins in a second for this account, all processes together.",
        ),
    ]
    dlt_file: Annotated[
        Path | None,
        _means(
            "DLT_FILE",
            "",
            PHONE,
            kinds.PATH,
            "A TOML file of the SMS templates registered for India (DLT). Empty: SMS go out as they are written.",
        ),
    ]
    vapid_private_key: Annotated[
        Secret | None,
        _means(
            "VAPID_PRIVATE_KEY",
            "",
            PUSH,
            kinds.PRIVATE_KEY,
            "The P-256 key that push messages to browsers are signed with. Empty: one is derived from `JWT_SECRET`, or "
            "made and kept in `DATA_DIR`.",
        ),
    ]
    vapid_subject: Annotated[
        str | None,
        _means(
            "VAPID_SUBJECT",
            "",
            PUSH,
            kinds.TEXT,
            "`mailto:` or `https:` address where push services reach whoever runs this. Empty: the sender of mail.",
        ),
    ]
    fcm_credentials_file: Annotated[
        Path | None,
        _means(
            "FCM_CREDENTIALS_FILE",
            "",
            PUSH,
            kinds.PATH,
            "The JSON file of a Google service account, to reach Android and iOS through Firebase. Empty: not at all.",
        ),
    ]
    webhook_networks: Annotated[
        tuple[str, ...],
        _means(
            "WEBHOOK_NETWORKS",
            "",
            PUSH,
            kinds.NETWORKS,
            "Private addresses and networks that users' webhooks may reach all the same, by http too.",
        ),
    ]
    ml_service_url: Annotated[
        str | None,
        _means(
            "ML_SERVICE_URL",
            "",
            SERVICES,
            kinds.WEB_URL,
            "The service that scores signals, asked at `/predict`. Empty: the rules alone.",
        ),
    ]
    ml_service_timeout_s: Annotated[
        Seconds, _means("ML_SERVICE_TIMEOUT", "30s", SERVICES, _WAIT, "How long its answer may take.")
    ]
    log_level: Annotated[
        str,
        _means(
            "LOG_LEVEL",
            "INFO",
            LOGGING,
            kinds.one_of("DEBUG", "INFO", "WARNING", "ERROR", fold=str.upper),
            "The least important lines to log.",
        ),
    ]
    log_format: Annotated[
        str, _means("LOG_FORMAT", "text", LOGGING, kinds.one_of("text", "json"), "For people or for programs.")
    ]
    flush_interval_s: Annotated[
        Seconds,
        _means(
            "FLUSH_INTERVAL",
            "10ms",
            TIMING,
            kinds.duration("1ms", "1s"),
            "Under load, how often the frames collected for each socket are written.",
        ),
    ]
    heartbeat_interval_s: Annotated[
        Seconds, _means("HEARTBEAT_INTERVAL", "25s", TIMING, _WAIT, "How often each socket hears a heartbeat.")
    ]
    write_timeout_s: Annotated[
        Seconds,
        _means("WRITE_TIMEOUT", "15s", TIMING, _WAIT, "A socket that has taken nothing for so long is dropped."),
    ]
    drain_timeout_s: Annotated[
        Seconds,
        _means(
            "DRAIN_TIMEOUT",
            "10s",
            TIMING,
            kinds.duration("0s", "1h"),
            "How long a process that ends may take to finish what it began.",
        ),
    ]


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """The definition of one setting: `field` of `Settings`, `name` in the environment, `default` as one writes it."""

    field: str
    name: str
    default: str
    group: str
    kind: Kind[Any]
    description: str
    empty: object
    """The value where neither the environment nor a default gives one."""


def _definitions() -> Iterator[Setting]:
    for field, hint in get_type_hints(Settings, include_extras=True).items():
        meta: Meta = hint.__metadata__[0]
        empty = () if get_origin(hint.__origin__) is tuple else None
        yield Setting(field=field, description=meta.description or "", empty=empty, **(meta.extra or {}))


SETTINGS: tuple[Setting, ...] = tuple(_definitions())
"""All settings, in the order of the documentation."""

_NAMES = {setting.name for setting in SETTINGS}

_OURS_ALONE = ("JWT_", "RATE_LIMIT_", "NAMESPACES_", "REPLAY_", "FLUSH_", "SIMULATOR_", "ML_SERVICE_", "CORS_")
"""Prefixes under which nobody else has variables, so that an unknown one is a mistake."""

_NEEDS = (
    ("SMTP_HOST", "SMTP_FROM"),
    ("SMTP_USER", "SMTP_PASSWORD"),
    ("DKIM_SELECTOR", "DKIM_PRIVATE_KEY"),
    ("DKIM_PRIVATE_KEY", "DKIM_SELECTOR"),
    ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
    ("OIDC_ISSUER", "OIDC_CLIENT_ID"),
)
"""What makes no sense without the other."""

_FEEDS_OWN = ("KITE_", "UPSTOX_", "ANGEL_", "DHAN_", "FYERS_", "SHOONYA_")
"""Prefixes of the feeds' credentials, which the feeds read themselves at every connect."""

_SERVICE_LINK = re.compile(r".+_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_\w+)?)")


def load(environ: Mapping[str, str], dotenv: Path | None = None) -> Settings:
    """The settings of `environ`, and below it those of the file `dotenv` where that exists.

    An empty value counts as not set. Raises SettingsError with every fault at once, none of which shows a secret.
    """
    given, faults = _read(dotenv) if dotenv is not None else ({}, [])
    given = {name: value for name, value in (given | dict(environ)).items() if value}
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        try:
            values[setting.field] = _value(setting, given.get(setting.name, setting.default))
        except ValueError as exc:
            faults.append(f"{setting.name}: {exc}")
    faults += _missing(given, values)
    faults += _mistyped(given)
    if faults:
        raise SettingsError(faults)
    return Settings(**values)


def _read(path: Path) -> tuple[dict[str, str], list[str]]:
    try:
        return parse_dotenv(path.read_text(encoding="utf-8-sig"), source=path.name)
    except FileNotFoundError:
        return {}, []
    except UnicodeDecodeError:
        return {}, [f"{path.name}: expected UTF-8 text"]
    except OSError as exc:
        return {}, [f"{path.name}: can't be read: {exc.strerror}"]


def _value(setting: Setting, text: str) -> object:
    if not text:
        return setting.empty
    try:
        return setting.kind.parse(text if setting.kind.secret else text.strip())
    except ValueError as exc:
        shown = "" if setting.kind.secret else f", got {hide_userinfo(text)!r}"
        raise ValueError(f"{exc}{shown}") from None


def _missing(given: Mapping[str, str], values: Mapping[str, Any]) -> Iterator[str]:
    shared = [name for name in ("DATABASE_URL", "REDIS_URL") if name in given]
    if shared and "JWT_SECRET" not in given:
        yield f"JWT_SECRET: required as soon as {' or '.join(shared)} is set; 32 characters or more"
    if "replay" in values.get("feed", ()) and "REPLAY_FILE" not in given:
        yield "REPLAY_FILE: required with FEED=replay"
    for name, needed in _NEEDS:
        if name in given and needed not in given:
            yield f"{needed}: required with {name}"
    if "TWILIO_ACCOUNT_SID" in given and not given.keys() & {"TWILIO_FROM", "TWILIO_MESSAGING_SERVICE_SID"}:
        yield "TWILIO_FROM: required with TWILIO_ACCOUNT_SID, or TWILIO_MESSAGING_SERVICE_SID instead"


def _service_link(name: str, value: str) -> bool:
    """Whether it is what Kubernetes puts into the environment for each service beside us."""
    return bool(_SERVICE_LINK.fullmatch(name)) or (name.endswith("_PORT") and "://" in value)


def _mistyped(given: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(given.keys() - _NAMES):
        if name.startswith(_FEEDS_OWN) or _service_link(name, given[name]):
            continue
        if candidate := meant(name, sorted(_NAMES)):
            yield f"{name}: no such setting; {candidate} is one"
        elif prefix := next((prefix for prefix in _OURS_ALONE if name.startswith(prefix)), None):
            family = ", ".join(sorted(known for known in _NAMES if known.startswith(prefix)))
            yield f"{name}: no such setting; {family} {'are' if ',' in family else 'is one'}"
