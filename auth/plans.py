"""What each plan may do: prices of an exchange in real time, delayed or not at all, and how much of everything.

Exchanges license real-time prices apart from delayed ones, so whoever runs a hub says here what its users may have. The
built-in table gives everybody everything in real time, which is right for simulated prices and for one's own account;
a TOML file changes it, and so does the same document as JSON while it runs:

    [free]
    default = "15m"           # every exchange not named here
    MCX = "none"
    connections = 2           # sockets at once; 0: without limit
    channels = 50             # of one socket
    withheld = ["candles"]    # namespaces that the plan doesn't have, whatever they themselves say
    alerts = 10
    sms_per_month = 0
    requests = 100            # over HTTP in a window; null, where JSON says it: RATE_LIMIT_MAX
    api_metrics = false       # whether usage metrics may be read
    price = 0                 # rupees a month, only shown; null: on request

What a document doesn't name of a plan stays as built in.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from auth.identity import Identity, Plan, Role
from schemas.durations import duration_text, parse_duration
from schemas.errors import CommandError, ErrorCode
from schemas.market import EXCHANGES

REALTIME = 0
MAX_DELAY_S = 86_400
MAX_CHANNELS = 3000
"""Channels of one socket, whatever the plan."""

_DEFAULT = "default"
_MOST = 1_000_000_000

Rule = int | None
"""A delay in seconds, REALTIME, or None: not at all."""


class PlanRules(msgspec.Struct, frozen=True, kw_only=True):
    """What one plan may do. `prices` is by exchange, `default` for those not named; else as in the document."""

    price: int | None
    prices: Mapping[str, Rule] = {}
    withheld: tuple[str, ...] = ()
    connections: int = 0
    channels: int = MAX_CHANNELS
    alerts: int
    sms_per_month: int
    requests: int | None = None
    api_metrics: bool = False

    def delay_s(self, exchange: str) -> Rule:
        """By how many seconds an exchange's prices come late; None: not at all."""
        return self.prices.get(exchange, self.prices.get(_DEFAULT, REALTIME))


BUILT_IN: Mapping[Plan, PlanRules] = {
    Plan.FREE: PlanRules(price=0, alerts=10, sms_per_month=0),
    Plan.BASIC: PlanRules(price=499, alerts=50, sms_per_month=50),
    Plan.PRO: PlanRules(price=1499, alerts=500, sms_per_month=500, api_metrics=True),
    Plan.ENTERPRISE: PlanRules(price=None, alerts=10_000, sms_per_month=10_000, api_metrics=True),
}

_RANGES = {
    "price": (0, _MOST),
    "connections": (0, _MOST),
    "channels": (1, MAX_CHANNELS),
    "alerts": (0, _MOST),
    "sms_per_month": (0, _MOST),
    "requests": (1, _MOST),
}
_NULLABLE = frozenset({"price", "requests"})


class Plans:
    """The table of plans. May be replaced while it runs: who holds it sees the new one."""

    def __init__(self, rules: Mapping[Plan, PlanRules] = BUILT_IN) -> None:
        self.rules = rules
        self.delays_s = frozenset(rule for one in rules.values() for rule in one.prices.values() if rule)
        """All delays that some plan has."""

    @classmethod
    def load(cls, path: Path) -> "Plans":
        """The table of a TOML file. Raises ValueError with every fault on a line of its own, OSError."""
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise ValueError(f"{path}: {exc}") from exc
        return cls.read(document)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Plans":
        """The table of a document. Raises ValueError with every fault on a line of its own: `[plan] name: what`."""
        rules = dict(BUILT_IN)
        faults: list[str] = []
        for name, table in document.items():
            if name not in set(Plan) or not isinstance(table, Mapping):
                faults.append(f"[{_shown(name)}] is none of the plans {', '.join(Plan)}")
                continue
            plan = Plan(name)
            try:
                rules[plan] = _rules(table, rules[plan])
            except ExceptionGroup as exc:
                faults += [f"[{name}] {fault}" for fault in exc.exceptions]
        if faults:
            raise ValueError("\n".join(faults))
        return cls(rules)

    def replace(self, other: "Plans") -> None:
        """Become the other table."""
        self.rules = other.rules
        self.delays_s = other.delays_s

    def as_document(self) -> dict[str, dict[str, Any]]:
        """The whole table as a document that `read` takes."""
        return {str(plan): _document(rules) for plan, rules in self.rules.items()}

    def of(self, plan: Plan) -> PlanRules:
        """What a plan may do."""
        return self.rules[plan]

    def withholds(self, identity: Identity) -> bool:
        """Whether the bearer may not have some exchange at all."""
        return identity.role is Role.USER and None in self.of(identity.plan).prices.values()

    def delay_s(self, identity: Identity, exchange: str) -> int:
        """By how many seconds an exchange's prices come late to the bearer.

        Raises CommandError PERMISSION_DENIED where they may not be had at all. Administrators and publishers have all.
        """
        if identity.role is not Role.USER:
            return REALTIME
        rule = self.of(identity.plan).delay_s(exchange)
        if rule is None:
            raise CommandError(
                ErrorCode.PERMISSION_DENIED,
                "the plan {plan} has no prices of {exchange}",
                plan=identity.plan,
                exchange=exchange,
            )
        return rule


def _rules(table: Mapping[str, Any], rules: PlanRules) -> PlanRules:
    """The rules, changed as a table says. Raises an ExceptionGroup of ValueErrors, one for each fault."""
    changes: dict[str, Any] = {}
    prices = dict(rules.prices)
    faults: list[ValueError] = []
    for name, value in table.items():
        try:
            if name in _RANGES:
                changes[name] = _number(name, value)
            elif name == "api_metrics":
                changes[name] = _switch(value)
            elif name == "withheld":
                changes[name] = tuple(dict.fromkeys(_words(value)))
            else:
                prices[name] = _price(name, value)
        except ValueError as exc:
            faults.append(ValueError(f"{_shown(name)}: {exc}"))
    if faults:
        raise ExceptionGroup("a plan's table", faults)
    return structs.replace(rules, prices=prices, **changes)


def _shown(name: str) -> str:
    """A name that somebody made up, short and on one line."""
    return name[:40] if name.isprintable() else ascii(name)[:40]


def _document(rules: PlanRules) -> dict[str, Any]:
    document = structs.asdict(rules)
    prices = document.pop("prices")
    document["withheld"] = list(rules.withheld)
    return document | {_DEFAULT: "realtime"} | {exchange: _text(rule) for exchange, rule in prices.items()}


def _text(rule: Rule) -> str:
    match rule:
        case None:
            return "none"
        case 0:
            return "realtime"
        case _:
            return duration_text(rule)


def _number(name: str, value: object) -> int | None:
    if value is None and name in _NULLABLE:
        return None
    least, most = _RANGES[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"expected a whole number from {least} to {most}")
    return value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")  # noqa: TRY004 - all faults of a document are ValueErrors
    return value


def _words(value: object) -> Iterator[str]:
    if not isinstance(value, list):
        raise ValueError("expected a list of namespaces")  # noqa: TRY004 - as above
    for word in value:
        if not isinstance(word, str):
            raise ValueError("expected the names of namespaces")  # noqa: TRY004 - as above
        yield word


def _price(exchange: str, text: object) -> Rule:
    if exchange != _DEFAULT and exchange not in EXCHANGES:
        known = ", ".join([*_RANGES, "api_metrics", "withheld", _DEFAULT, *sorted(EXCHANGES)])
        raise ValueError(f"is none of {known}")
    match text:
        case "realtime":
            return REALTIME
        case "none":
            return None
        case str() if text[-1:].isalpha():
            delay_s = parse_duration(text)
        case _:
            raise ValueError('expected "realtime", "none" or a delay such as "15m"')
    if not 1 <= delay_s <= MAX_DELAY_S or delay_s != int(delay_s):
        raise ValueError("a delay is 1s to 1d, in whole seconds")
    return int(delay_s)
