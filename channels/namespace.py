"""Namespaces: what all channels of one first word share — policy, who may hear, history, and what may be said.

The built-in ones stand here; a TOML file adds more (`Namespaces.load`), and administrators do at run time.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from schemas import publications
from schemas.durations import Seconds, parse_duration


class Policy(StrEnum):
    """What a channel's subscribers are owed."""

    LATEST = "latest"
    """Only the newest value counts: snapshot on subscribe, conflation for who is slow."""
    LOG = "log"
    """Every publication counts: offsets, history, recovery."""


class Access(StrEnum):
    """Who may subscribe: everyone with a token, a plan and those above it, admins, or only the owner."""

    ANY = "any"
    BASIC = "basic"
    PRO = "pro"
    ENTERPRISE = "enterprise"
    ADMIN = "admin"
    OWNER = "owner"
    """The name's last part is a user's id; `<namespace>:user` means the caller's own."""
    INTERNAL = "internal"
    """Between the hub's own processes; nobody outside may hear or say anything."""


class Publishers(StrEnum):
    """Which sockets may publish. Servers with a key always may, except on internal namespaces."""

    NONE = "none"
    SUBSCRIBERS = "subscribers"


class Form(StrEnum):
    """How the name behind the namespace is read."""

    FREE = "free"
    SYMBOL = "symbol"
    """`SYMBOL` or `EXCHANGE:SYMBOL`."""
    CANDLE = "candle"
    """`TIMEFRAME:SYMBOL` or `TIMEFRAME:EXCHANGE:SYMBOL`."""
    SIGNAL = "signal"
    """A lower-case word, else read as a symbol."""


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one namespace. `normalise` checks a publication and writes it as it travels."""

    name: str
    policy: Policy
    message_type: str
    access: Access = Access.ANY
    publish: Publishers = Publishers.NONE
    presence: bool = True
    form: Form = Form.FREE
    flat: bool = False
    """The publication's fields stand beside `channel` in the message instead of inside `data`."""
    history_size: int = 0
    history_age_s: Seconds = 0.0
    normalise: publications.Normalise = publications.any_object


_HOUR = 3600.0
_DAY = 24 * _HOUR
_LONGEST_AGE_S = 365 * _DAY

CONTROL = Namespace(
    name="control",
    policy=Policy.LOG,
    message_type="control",
    access=Access.INTERNAL,
    presence=False,
    history_size=1000,
    history_age_s=_HOUR,
)
"""Carries revocations between instances."""

BUILT_IN: tuple[Namespace, ...] = (
    Namespace(
        name="market",
        policy=Policy.LATEST,
        message_type="market:update",
        form=Form.SYMBOL,
        flat=True,
        normalise=publications.MARKET,
    ),
    Namespace(
        name="depth",
        policy=Policy.LATEST,
        message_type="depth:update",
        access=Access.BASIC,
        form=Form.SYMBOL,
        flat=True,
        normalise=publications.DEPTH,
    ),
    Namespace(
        name="candles",
        policy=Policy.LATEST,
        message_type="candles:update",
        form=Form.CANDLE,
        flat=True,
        normalise=publications.CANDLE,
    ),
    Namespace(
        name="signals",
        policy=Policy.LOG,
        message_type="signals:new",
        access=Access.BASIC,
        form=Form.SIGNAL,
        history_size=1000,
        history_age_s=_DAY,
        normalise=publications.SIGNAL,
    ),
    Namespace(
        name="alerts",
        policy=Policy.LOG,
        message_type="alerts:triggered",
        access=Access.OWNER,
        history_size=200,
        history_age_s=7 * _DAY,
    ),
    Namespace(name="status", policy=Policy.LATEST, message_type="status:update"),
    CONTROL,
)

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_TAKEN = frozenset(namespace.name for namespace in BUILT_IN) | {"delayed"}


class _Entry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    policy: Policy
    access: Access = Access.ANY
    publish: Publishers = Publishers.NONE
    presence: bool = True
    message_type: str | None = None
    history_size: int | None = None
    history_age: str | None = None
    fields: dict[str, str] | None = None


class Namespaces:
    """All namespaces by name."""

    def __init__(self, namespaces: tuple[Namespace, ...] = BUILT_IN) -> None:
        self._by_name = {namespace.name: namespace for namespace in namespaces}

    def __iter__(self) -> Iterator[Namespace]:
        return iter(self._by_name.values())

    def get(self, name: str) -> Namespace | None:
        """The namespace of that name, if there is one."""
        return self._by_name.get(name)

    def with_added(self, added: Iterable[Namespace]) -> "Namespaces":
        """These and others, which count instead of those of the same name here."""
        return Namespaces((*self._by_name.values(), *added))

    @classmethod
    def load(cls, path: Path) -> "Namespaces":
        """The built-in namespaces and those of a TOML file, one table each.

        Raises ValueError with every fault of the file on its own line; OSError where it can't be read.
        """
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise ValueError(f"{path}: {exc}") from exc
        try:
            return cls().with_added(read_namespaces(tables))
        except NamespaceFaults as exc:
            raise ValueError("\n".join(f"[{name}] {fault}" for name, fault in exc.faults)) from exc


class NamespaceFaults(ValueError):
    """Namespaces that make no sense: the name of each, and why."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__(faults)
        self.faults = faults


def read_namespaces(tables: Mapping[str, Any]) -> list[Namespace]:
    """The namespaces of a file's tables, or of an object of the same shape. Raises NamespaceFaults with all of them."""
    faults: list[tuple[str, str]] = []
    read: list[Namespace] = []
    for name, table in tables.items():
        try:
            if name in _TAKEN:
                raise ValueError("the name is taken by a built-in namespace")
            read.append(_namespace(name, table))
        except ValueError as exc:
            faults.append((name, str(exc)))
    if faults:
        raise NamespaceFaults(faults)
    return read


def _namespace(name: str, table: Mapping[str, Any]) -> Namespace:
    if not _NAME.fullmatch(name):
        raise ValueError("a namespace is a lower-case word of at most 32 letters, digits, - and _")
    entry = msgspec.convert(table, _Entry)  # a ValidationError is a ValueError
    if entry.access is Access.INTERNAL:
        raise ValueError("access internal is the hub's own")
    log = entry.policy is Policy.LOG
    if not log and (entry.history_size is not None or entry.history_age is not None):
        raise ValueError("history belongs to policy log")
    size = entry.history_size if entry.history_size is not None else (100 if log else 0)
    if not 0 <= size <= 100_000:
        raise ValueError("history_size is 0 to 100000")
    age_s = parse_duration(entry.history_age or "1h") if log else 0.0
    if log and not 1 <= age_s <= _LONGEST_AGE_S:
        raise ValueError("history_age is 1s to 365d")
    if entry.access is Access.OWNER and entry.publish is not Publishers.NONE:
        raise ValueError("clients cannot publish to owned channels")
    return Namespace(
        name=name,
        policy=entry.policy,
        message_type=entry.message_type or f"{name}:{'new' if log else 'update'}",
        access=entry.access,
        publish=entry.publish,
        presence=entry.presence,
        history_size=size,
        history_age_s=age_s,
        normalise=publications.schema_of_fields(name, entry.fields) if entry.fields else publications.any_object,
    )
