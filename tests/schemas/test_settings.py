import os
import re
import string
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SettingsError
from schemas.secret import Secret, SecretUrl
from schemas.settings import SETTINGS, Settings, load

SECRET = "s3cret-" * 5
CONTRACT_DEFAULTS = {
    "HOST": "127.0.0.1",
    "PORT": "8081",
    "REDIS_URL": "",
    "REDIS_PREFIX": "hub:",
    "DATABASE_URL": "",
    "DATA_DIR": "data",
    "JWT_SECRET": "",
    "JWT_ACCESS_EXPIRY": "15m",
    "JWT_REFRESH_EXPIRY": "7d",
    "JWT_JWKS_URL": "",
    "JWT_PUBLIC_KEY": "",
    "JWT_AUDIENCE": "",
    "JWT_ISSUER": "",
    "CORS_ORIGIN": "",
    "RATE_LIMIT_MAX": "100",
    "RATE_LIMIT_TIME_WINDOW": "15m",
    "FEED": "simulator",
    "REPLAY_FILE": "",
    "REPLAY_SPEED": "1",
    "SMTP_HOST": "",
    "SMTP_PORT": "587",
    "SMTP_USER": "",
    "SMTP_PASSWORD": "",
    "SMTP_FROM": "",
    "TWILIO_ACCOUNT_SID": "",
    "TWILIO_AUTH_TOKEN": "",
    "TWILIO_FROM": "",
    "TWILIO_MESSAGING_SERVICE_SID": "",
    "TWILIO_BASE_URL": "",
    "PUBLIC_URL": "",
    "ML_SERVICE_URL": "",
    "ML_SERVICE_TIMEOUT": "30s",
    "NAMESPACES_FILE": "",
    "LOG_LEVEL": "INFO",
    "LOG_FORMAT": "text",
    "FLUSH_INTERVAL": "10ms",
}
"""What the contract promises, written out by hand."""

# What machines, shells, containers, CI systems, desktops and neighbouring programs put into an environment.
COMMON = """
HOME HOSTNAME HOSTTYPE PATH PWD OLDPWD SHELL SHLVL USER USERNAME LOGNAME LANG LANGUAGE LC_ALL LC_CTYPE LC_TIME TERM
TERM_PROGRAM COLORTERM COLUMNS LINES DISPLAY WAYLAND_DISPLAY EDITOR VISUAL PAGER LESS MAIL TZ TMPDIR TMP TEMP TEMPDIR
XDG_DATA_DIRS XDG_DATA_HOME XDG_CONFIG_HOME XDG_RUNTIME_DIR XDG_SESSION_TYPE DBUS_SESSION_BUS_ADDRESS SSH_AUTH_SOCK
SSH_CLIENT SSH_CONNECTION SSH_TTY GPG_AGENT_INFO DEBUG NODE_ENV ENV ENVIRONMENT CI GITHUB_ACTIONS GITHUB_TOKEN
GITHUB_SHA RUNNER_OS GITLAB_CI BUILD_NUMBER JENKINS_URL PYTHONPATH PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE
PYTHONHASHSEED VIRTUAL_ENV PIP_INDEX_URL UV_CACHE_DIR CONDA_PREFIX NVM_DIR GOPATH JAVA_HOME CARGO_HOME RUST_LOG
HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE
KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_SERVICE_PORT_HTTPS KUBERNETES_PORT
KUBERNETES_PORT_443_TCP KUBERNETES_PORT_443_TCP_ADDR KUBERNETES_PORT_443_TCP_PORT KUBERNETES_PORT_443_TCP_PROTO
REDIS_PORT REDIS_PORT_6379_TCP REDIS_PORT_6379_TCP_ADDR REDIS_SERVICE_HOST REDIS_SERVICE_PORT REDIS_HOST
REDIS_PASSWORD REDIS_DB REDIS_TLS_URL ML_SERVICE_SERVICE_HOST ML_SERVICE_SERVICE_PORT ML_SERVICE_SERVICE_PORT_HTTP
ML_SERVICE_PORT_80_TCP ML_SERVICE_PORT_80_TCP_ADDR DATABASE_HOST DATABASE_PORT DATABASE_USER DATABASE_PASSWORD
DATABASE_NAME DATABASE_DSN DATABASE_DIR DB_HOST DB_PORT DB_URL PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGDATA
POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_HOST SMTP_USERNAME SMTP_PASS SMTP_SERVER SMTP_TLS SMTP_SECURE
SMTP_STARTTLS SMTP_SENDER TWILIO_API_KEY TWILIO_API_SECRET TWILIO_SID TWILIO_PHONE_NUMBER TWILIO_ACCOUNT
DYNO WEB_CONCURRENCY HEROKU_APP_NAME FLY_APP_NAME RENDER RAILWAY_ENVIRONMENT WEBSITE_HOSTNAME GAE_ENV K_SERVICE
AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_PROFILE AZURE_CLIENT_ID GOOGLE_APPLICATION_CREDENTIALS
DOCKER_HOST COMPOSE_PROJECT_NAME INVOCATION_ID JOURNAL_STREAM NOTIFY_SOCKET LISTEN_FDS LISTEN_PID WATCHDOG_USEC
SENTRY_DSN OTEL_EXPORTER_OTLP_ENDPOINT DD_AGENT_HOST PROMETHEUS_MULTIPROC_DIR LOG_DIR LOG_FILE LOG_PATH SEED PROC PS1
PUBLIC_IP PUBLIC_KEY BASE_URL APP_URL API_URL FRONTEND_URL SECRET_KEY JWKS_URL MAX_WORKERS MAX_REQUESTS TIMEOUT
WORKERS THREADS RELOAD SORT BOOST GHOST HOPE FEAT HOSTALIASES WINDOWID WINDOW MODEL BROKER SYSTEMROOT COMSPEC
NUMBER_OF_PROCESSORS OS APPDATA PROGRAMFILES PROGRAMDATA WSL_DISTRO_NAME
KITE_API_KEY KITE_ACCESS_TOKEN KITE_ACCESS_TOKEN_FILE UPSTOX_ACCESS_TOKEN ANGEL_API_KEY ANGEL_CLIENT_CODE
DHAN_CLIENT_ID DHAN_ACCESS_TOKEN FYERS_APP_ID FYERS_ACCESS_TOKEN SHOONYA_USER_ID SHOONYA_PASSWORD_FILE _
""".split()  # noqa: SIM905 - a list literal of these would be two hundred lines


def faults(**environ: str) -> list[str]:
    """What `load` says is wrong; nothing wrong is a failure of the test."""
    with pytest.raises(SettingsError) as caught:
        load(environ)
    return caught.value.faults


def test_defaults_are_the_contract_s() -> None:
    ours = {setting.name: setting.default for setting in SETTINGS}
    assert {name: ours.get(name) for name in CONTRACT_DEFAULTS} == CONTRACT_DEFAULTS


def test_an_empty_environment_is_enough() -> None:
    settings = load({})
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 8081, Path("data"))
    assert settings.redis_url is settings.database_url is settings.jwt_secret is None
    assert (settings.jwt_access_expiry_s, settings.jwt_refresh_expiry_s) == (900, 7 * 86400)
    assert (settings.feed, settings.cors_origin, settings.flush_interval_s) == (("simulator",), (), 0.01)


def test_an_empty_value_counts_as_not_set() -> None:
    assert load({setting.name: "" for setting in SETTINGS}) == load({})


def test_each_setting_reaches_its_field() -> None:
    settings = load(
        {
            "HOST": "0.0.0.0",
            "PORT": "80",
            "REDIS_URL": "redis://:pw@cache:6379/1",
            "DATABASE_URL": "postgres://me:pw@db/app",
            "JWT_SECRET": SECRET,
            "CORS_ORIGIN": "https://App.example.com:443, http://localhost:3000",
            "ENCRYPTION_KEYS": f"{SECRET}, {SECRET[::-1]}",
            "TRUSTED_PROXIES": "10.0.0.0/8, 127.0.0.1,2001:db8::/32 ,127.0.0.1/32",
            "FEED": "replay, Kite",
            "REPLAY_FILE": "day.bin",
            "REPLAY_SPEED": "2.5",
            "STRICT_SYMBOLS": "TRUE",
            "LOG_LEVEL": "debug",
            "SIMULATOR_SEED": "7",
            "SIMULATOR_HOURS": "clock",
            "PUBLIC_URL": "https://hub.example.com/",
            "WRITE_TIMEOUT": "500ms",
            "JWT_PUBLIC_KEY": "keys/login.pem",
        }
    )
    assert (settings.host, settings.port) == ("0.0.0.0", 80)
    assert settings.redis_url == SecretUrl("redis://:pw@cache:6379/1")
    assert settings.database_url == SecretUrl("postgres://me:pw@db/app")
    assert settings.jwt_secret == Secret(SECRET)
    assert settings.cors_origin == ("https://app.example.com", "http://localhost:3000")
    assert settings.encryption_keys == (Secret(SECRET), Secret(SECRET[::-1]))
    assert settings.trusted_proxies == ("10.0.0.0/8", "127.0.0.1/32", "2001:db8::/32")
    assert (settings.feed, settings.replay_file, settings.replay_speed) == (("replay", "kite"), Path("day.bin"), 2.5)
    assert (settings.strict_symbols, settings.log_level) == (True, "DEBUG")
    assert (settings.simulator_seed, settings.simulator_hours) == (7, "clock")
    assert (settings.public_url, settings.write_timeout_s) == ("https://hub.example.com", 0.5)
    assert settings.jwt_public_key == "keys/login.pem"


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("PORT", "abc", "PORT: expected 1 to 65535, got 'abc'"),
        ("PORT", "0", "PORT: expected 1 to 65535, got '0'"),
        ("PORT", "65536", "PORT: expected 1 to 65535, got '65536'"),
        ("PORT", "8_081", "PORT: expected 1 to 65535, got '8_081'"),
        ("PORT", "٨٠٨١", "PORT: expected 1 to 65535, got '٨٠٨١'"),
        ("HOST", "no host", "HOST: expected an IP address or a host name, got 'no host'"),
        ("JWT_ACCESS_EXPIRY", "15", "JWT_ACCESS_EXPIRY: expected a duration"),
        ("JWT_ACCESS_EXPIRY", "0s", "JWT_ACCESS_EXPIRY: expected a duration from 1s"),
        ("JWT_REFRESH_EXPIRY", "9" * 400 + "d", "JWT_REFRESH_EXPIRY: expected a duration"),
        ("FLUSH_INTERVAL", "2s", "FLUSH_INTERVAL: expected a duration from 1ms to 1s"),
        ("FLUSH_INTERVAL", "0.5ms", "FLUSH_INTERVAL: expected a duration from 1ms to 1s"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: expected DEBUG, INFO, WARNING or ERROR, got 'loud'"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT: expected text or json, got 'xml'"),
        ("STRICT_SYMBOLS", "maybe", "STRICT_SYMBOLS: expected true or false, got 'maybe'"),
        ("FEED", "simulator,bloomberg", "FEED: expected some of simulator, replay"),
        ("FEED", "simulator,", "FEED: expected some of simulator, replay"),
        ("FEED", "simulator,simulator", "FEED: expected each at most once, got 'simulator,simulator'"),
        ("FEED", "replay", "REPLAY_FILE: required with FEED=replay"),
        ("REPLAY_SPEED", "-1", "REPLAY_SPEED: expected a number above 0, got '-1'"),
        ("REPLAY_SPEED", "nan", "REPLAY_SPEED: expected a number above 0, got 'nan'"),
        ("REDIS_PREFIX", "{hub}:", "REDIS_PREFIX: expected 1 to 64 ASCII characters"),
        ("REDIS_PREFIX", "hub*", "REDIS_PREFIX: expected 1 to 64 ASCII characters"),
        ("REDIS_PREFIX", "h b", "REDIS_PREFIX: expected 1 to 64 ASCII characters"),
        ("CORS_ORIGIN", "*,https://a.example", "CORS_ORIGIN: expected origins"),
        ("CORS_ORIGIN", "https://a.example/path", "CORS_ORIGIN: expected origins"),
        ("CORS_ORIGIN", "a.example", "CORS_ORIGIN: expected origins"),
        ("CORS_ORIGIN", "null", "CORS_ORIGIN: expected origins"),
        ("CORS_ORIGIN", "https://a.example:99999", "CORS_ORIGIN: expected origins"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "TRUSTED_PROXIES: expected addresses or networks"),
        ("TRUSTED_PROXIES", "proxy.example", "TRUSTED_PROXIES: expected addresses or networks"),
        ("TRUSTED_PROXIES", "10.0.0.1,", "TRUSTED_PROXIES: expected addresses or networks"),
        ("LOGIN_RATE_LIMIT_MAX", "0", "LOGIN_RATE_LIMIT_MAX: expected 1 to"),
        ("PUBLIC_URL", "ftp://a.example", "PUBLIC_URL: expected http://"),
        ("JWT_SECRET", "short", "JWT_SECRET: expected 32 characters or more, got 5"),
        ("JWT_SECRET", " " * 40, "JWT_SECRET: expected 32 characters or more, got 0"),
        ("ENCRYPTION_KEYS", "short", "ENCRYPTION_KEYS: expected 32 characters or more, got 5"),
        ("ENCRYPTION_KEYS", f"{SECRET},", "ENCRYPTION_KEYS: expected 32 characters or more, got 0"),
        ("ENCRYPTION_KEYS", f"{SECRET}, {SECRET}", "ENCRYPTION_KEYS: expected each at most once"),
        ("JWT_PUBLIC_KEY", "-----BEGIN PRIVATE KEY-----\nx", "JWT_PUBLIC_KEY: expected a public key"),
        ("JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----", "JWT_PUBLIC_KEY: expected a whole PEM"),
        ("SIMULATOR_HOURS", "never", "SIMULATOR_HOURS: expected always or clock, got 'never'"),
    ],
)
def test_a_wrong_value_is_a_fault_that_opens_with_the_name(name: str, value: str, fault: str) -> None:
    found = faults(**{name: value})
    assert len(found) == 1
    assert found[0].startswith(fault)


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
@pytest.mark.parametrize(
    "value",
    [
        "hunter2",
        "mysql://me:hunter2@db/app",
        "://hunter2",
        "http://hunter2",
        "redis://:hunter2/x@db",
        "redis://me:1?hunter2@db",
        "redis://:hunter2@a,b",
        "redis://",
        "postgresql://me:hunter2@db:port/app",
        "postgres://me:1#hunter2@db",
        "postgres://me:hunter2@",
    ],
)
def test_a_wrong_address_is_never_repeated(name: str, value: str) -> None:
    found = faults(**{name: value, "JWT_SECRET": SECRET})
    assert len(found) == 1
    assert found[0].startswith(f"{name}: expected ")
    assert "hunter2" not in found[0]


@pytest.mark.parametrize("name", ["PUBLIC_URL", "JWT_JWKS_URL", "ML_SERVICE_URL", "TWILIO_BASE_URL", "CORS_ORIGIN"])
def test_a_password_in_a_public_address_is_refused_and_not_repeated(name: str) -> None:
    (fault,) = faults(**{name: "https://me:hunter2@example.com"})
    assert "hunter2" not in fault


@pytest.mark.parametrize("url", ["redis+cluster://a:7000,b:7001", "rediss://:p%40w@h:1/0?timeout=1", "redis://[::1]:1"])
def test_redis_addresses(url: str) -> None:
    assert load({"REDIS_URL": url, "JWT_SECRET": SECRET}).redis_url == SecretUrl(url)


def test_a_pem_may_stand_on_one_line() -> None:
    settings = load({"JWT_PUBLIC_KEY": r"-----BEGIN PUBLIC KEY-----\nMII=\n-----END PUBLIC KEY-----"})
    assert settings.jwt_public_key == "-----BEGIN PUBLIC KEY-----\nMII=\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    "environ", [{"DATABASE_URL": "postgresql://db/app"}, {"REDIS_URL": "redis://cache"}], ids=["database", "redis"]
)
def test_shared_servers_need_a_shared_secret(environ: dict[str, str]) -> None:
    (fault,) = faults(**environ)
    assert fault.startswith("JWT_SECRET: required")
    assert load(environ | {"JWT_SECRET": SECRET}).jwt_secret == Secret(SECRET)


def test_all_faults_are_told_at_once_a_line_each() -> None:
    found = faults(PORT="x", LOG_LEVEL="x", FEED="replay", REDIS_URL="redis://h", JWT_SECERT="hunter2")
    assert sorted(line.partition(":")[0] for line in found) == [
        "JWT_SECERT",
        "JWT_SECRET",
        "LOG_LEVEL",
        "PORT",
        "REPLAY_FILE",
    ]
    assert not any("\n" in line or "hunter2" in line for line in found)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("REDIS_ULR", "REDIS_URL"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("PROT", "PORT"),
        ("FEEDS", "FEED"),
        ("JWT_SECERT", "JWT_SECRET"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("TWILIO_AUTH_TOKN", "TWILIO_AUTH_TOKEN"),
        ("SMTP_PASWORD", "SMTP_PASSWORD"),
        ("RATE_LIMIT_WINDOW", "RATE_LIMIT_TIME_WINDOW"),
        ("JWT_EXPIRES_IN", "JWT_ACCESS_EXPIRY"),
        ("SIMULATOR_TICKS", "SIMULATOR_RATE"),
        ("CORS_ORIGINS_ALLOWED", "CORS_ORIGIN"),
    ],
)
def test_a_mistyped_name_is_a_fault_with_a_suggestion(name: str, meant: str) -> None:
    (fault,) = faults(**{name: "hunter2"})
    assert fault.startswith(f"{name}: ")
    assert meant in fault
    assert "hunter2" not in fault


@pytest.mark.parametrize("name", COMMON)
def test_other_programs_variables_are_left_alone(name: str) -> None:
    value = "tcp://10.0.0.1:6379" if name.endswith("_PORT") else "anything"
    assert load({name: value}) == load({})


def test_this_machine_s_environment_is_no_fault() -> None:
    ours = {setting.name for setting in SETTINGS}
    assert load({name: value for name, value in os.environ.items() if name not in ours}) == load({})


@given(st.dictionaries(st.sampled_from([setting.name for setting in SETTINGS]), st.text(string.printable, max_size=40)))
def test_any_values_load_or_are_faults(environ: dict[str, str]) -> None:
    outcome: Settings | SettingsError
    try:
        outcome = load(environ)
    except SettingsError as exc:
        outcome = exc
    told = [line.partition(":")[0] for line in outcome.faults] if isinstance(outcome, SettingsError) else ["PORT"]
    assert told
    assert set(told) <= {setting.name for setting in SETTINGS}


@given(st.from_regex(r"[a-zA-Z0-9!?/@#%]{16,60}", fullmatch=True))
def test_no_fault_and_no_repr_shows_a_secret(value: str) -> None:
    environ = {
        setting.name: f"redis://:{value}@h" if setting.name.endswith("_URL") else value
        for setting in SETTINGS
        if setting.kind.secret and setting.name != "JWT_PUBLIC_KEY"
    }
    try:
        shown = repr(load(environ))
    except SettingsError as exc:
        shown = f"{exc} {exc!r}"
    assert value not in shown


def test_the_settings_are_neither_changed_nor_encoded() -> None:
    settings = load({"JWT_SECRET": SECRET})
    with pytest.raises(AttributeError):
        settings.port = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)
    assert SECRET not in repr(settings)
    assert SECRET not in repr(msgspec.structs.asdict(settings))


def test_the_file_is_read_below_the_environment(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("\ufeffPORT=1\nexport HOST='0.0.0.0' # all\nLOG_FORMAT=json\n", encoding="utf-8")
    settings = load({"PORT": "2"}, file)
    assert (settings.port, settings.host, settings.log_format) == (2, "0.0.0.0", "json")


def test_a_file_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    assert load({}, tmp_path / ".env") == load({})


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"PORT=1\nhunter2\n", ".env line 2: expected NAME=value"),
        (b"PROT=hunter2\n", "PROT: no such setting; PORT is one"),
        (b"SMTP_USER=\xff\n", ".env: expected UTF-8 text"),
    ],
)
def test_a_faulty_file_is_told(tmp_path: Path, content: bytes, fault: str) -> None:
    file = tmp_path / ".env"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load({}, file)
    assert caught.value.faults == [fault]


def test_a_file_that_is_a_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't be read"):
        load({}, tmp_path)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_each_definition_is_complete(setting: object) -> None:
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", setting.name)  # type: ignore[attr-defined]
    assert setting.description.endswith(".")  # type: ignore[attr-defined]
    assert setting.field.removesuffix("_s") == setting.name.lower()  # type: ignore[attr-defined]
