"""What each plan is entitled to: prices of an exchange in real time, delayed, or not at all.

Exchanges license real-time prices apart from delayed ones, so whoever runs a hub says here what its users may have. The
built-in table gives everybody everything in real time, which is right for simulated prices and for one's own account;
a TOML file changes it:

    [free]
    default = "15m"     # every exchange not named here
    MCX = "none"

    [basic]
    NSE = "15m"
    BSE = "realtime"
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from auth.identity import Identity, Plan, Role
from schemas.durations import parse_duration
from schemas.errors import CommandError, ErrorCode
from schemas.market import EXCHANGES

REALTIME = 0
MAX_DELAY_S = 86_400

_DEFAULT = "default"

Rule = int | None
"""A delay in seconds, REALTIME, or None: not at all."""


class Plans:
    """Entitlements by plan and exchange. `rules` as in the file, read; without any, everything is in real time."""

    def __init__(self, rules: Mapping[Plan, Mapping[str, Rule]] | None = None) -> None:
        self._rules = rules or {}

    @classmethod
    def load(cls, path: Path) -> "Plans":
        """The table of a TOML file. Raises ValueError with every fault on a line of its own, OSError."""
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise ValueError(f"{path}: {exc}") from exc
        rules: dict[Plan, dict[str, Rule]] = {}
        faults: list[str] = []
        for name, table in tables.items():
            if name not in set(Plan) or not isinstance(table, dict):
                faults.append(f"[{name}] is none of the plans {', '.join(Plan)}")
                continue
            rules[Plan(name)] = read = {}
            for exchange, text in table.items():
                try:
                    read[exchange] = _rule(exchange, text)
                except ValueError as exc:
                    faults.append(f"[{name}] {exchange}: {exc}")
        if faults:
            raise ValueError("\n".join(faults))
        return cls(rules)

    @property
    def delays_s(self) -> frozenset[int]:
        """All delays that some plan has."""
        return frozenset(rule for table in self._rules.values() for rule in table.values() if rule)

    def withholds(self, identity: Identity) -> bool:
        """Whether the bearer may not have some exchange at all."""
        return identity.role is Role.USER and None in self._rules.get(identity.plan, {}).values()

    def delay_s(self, identity: Identity, exchange: str) -> int:
        """By how many seconds an exchange's prices come late to the bearer.

        Raises CommandError PERMISSION_DENIED where they may not be had at all. Administrators and publishers have all.
        """
        if identity.role is not Role.USER:
            return REALTIME
        rules = self._rules.get(identity.plan, {})
        rule = rules.get(exchange, rules.get(_DEFAULT, REALTIME))
        if rule is None:
            raise CommandError(ErrorCode.PERMISSION_DENIED, f"the plan {identity.plan} has no prices of {exchange}")
        return rule


def _rule(exchange: str, text: object) -> Rule:
    if exchange != _DEFAULT and exchange not in EXCHANGES:
        raise ValueError(f"is none of default, {', '.join(sorted(EXCHANGES))}")
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
