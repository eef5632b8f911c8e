"""Splits, bonuses and dividends: alerts are set on prices of before, which mean something else from the ex-date on.

An action is applied once, in one transaction: conditions, bands and baselines are rescaled, and so is what the engine
remembers (without the last price of before, the first one after it would cross nothing). The shards concerned are taken
from their engines, which then begin anew from what is stored here.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any

import msgspec
from msgspec import structs
from sqlalchemy import RowMapping, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.transactions import ConstraintBroken, reading, writing
from notifiers.alerts.alert import Alert, Status
from notifiers.alerts.late import as_late, parted
from notifiers.alerts.notices import add_notices
from notifiers.alerts.rows import SHOWN, alert_of, json_text
from notifiers.alerts.shards import evict
from notifiers.alerts.store import end, tell
from notifiers.conditions import tree as trees
from notifiers.conditions.options import Options
from notifiers.conditions.rescale import Instrument, rescale
from notifiers.conditions.text import text
from notifiers.conditions.tree import Condition, Extreme, Field, Indicator, Move, Step, walk
from notifiers.engine.compiling import Unsuitable
from notifiers.engine.engine import Engine
from notifiers.engine.samples import Rule
from schemas.errors import CommandError, ErrorCode
from schemas.tables import alert_tracks, alerts, corporate_actions

DISABLED = "corporate_action"
ADJUSTED = "adjusted"
"""What owners are told, as the reason of a notice."""
MOST = 1_000_000
_GOING_ON = (Status.ACTIVE.value, Status.PAUSED.value)
_rows = alerts.c


class Policy(StrEnum):
    """What becomes of alerts."""

    RESCALE = "rescale"
    DISABLE = "disable"


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an instrument: from `ex_date` on its prices are those of before times `factor`.

    A split of one share into five is 1/5, a bonus of 1:1 is 1/2, a dividend of 30 at 3000 is 99/100.
    """

    exchange: str
    symbol: str
    kind: str
    """split, bonus or dividend."""
    numerator: int
    denominator: int
    ex_date: date

    @property
    def factor(self) -> Fraction:
        """By what prices are multiplied."""
        return Fraction(self.numerator, self.denominator)


class Applied(msgspec.Struct, frozen=True):
    """How many alerts were rescaled, and how many had to be disabled."""

    rescaled: int
    disabled: int


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An action that was applied, and by whom."""

    id: int
    action: Action
    policy: Policy
    created_at_ms: int
    created_by: str


class CorporateActions:
    """Applies actions. `wall` tells Unix seconds."""

    def __init__(self, engine: AsyncEngine, *, wall: Callable[[], float]) -> None:
        self._engine = engine
        self._wall = wall

    async def apply(self, action: Action, policy: Policy, *, by: str) -> Applied:
        """Applies an action: on its ex-date, before the market opens.

        Raises CommandError CONFLICT where it was applied before, BAD_REQUEST for a factor that makes no sense;
        Unavailable. Cancelling is safe.
        """
        if not (0 < action.numerator <= MOST and 0 < action.denominator <= MOST):
            raise CommandError(ErrorCode.BAD_REQUEST, "A factor is of numbers from 1 to {most}", most=MOST)
        now_ms = int(self._wall() * 1000)
        try:
            async with writing(self._engine) as connection:
                await connection.execute(insert(corporate_actions).values(_row(action, policy, by, now_ms)))
                return await _apply(connection, action, policy, now_ms)
        except ConstraintBroken as exc:
            raise CommandError(
                ErrorCode.CONFLICT, "The {kind} of {symbol} has been applied", kind=action.kind, symbol=action.symbol
            ) from exc

    async def listed(self, *, page: int, limit: int) -> tuple[list[Recorded], int]:
        """A page of those that were applied, the newest first, and how many there are."""
        actions = corporate_actions.c
        query = select(corporate_actions).order_by(actions.id.desc()).limit(limit).offset((page - 1) * limit)
        async with reading(self._engine) as connection:
            found = [_recorded(row) for row in (await connection.execute(query)).mappings()]
            total = await connection.scalar(select(func.count()).select_from(corporate_actions))
        return found, int(total or 0)


def _recorded(row: RowMapping) -> Recorded:
    action = Action(**{name: row[name] for name in Action.__struct_fields__})
    return Recorded(
        id=row["id"],
        action=action,
        policy=Policy(row["policy"]),
        created_at_ms=row["created_at_ms"],
        created_by=row["created_by"],
    )


def _row(action: Action, policy: Policy, by: str, now_ms: int) -> dict[str, Any]:
    values = structs.asdict(action)
    return values | {"policy": policy.value, "created_at_ms": now_ms, "created_by": by}


async def _apply(connection: AsyncConnection, action: Action, policy: Policy, now_ms: int) -> Applied:
    concerned = await _concerned(connection, action)
    for shard in sorted({one.shard for one, _ in concerned}):
        await evict(connection, shard)  # first of all: what its engine commits until then is read below
    concerned = await _concerned(connection, action)
    for shard in sorted({one.shard for one, _ in concerned}):
        await _rescale_memory(connection, shard, concerned, action, now_ms)
    rescaled: list[tuple[Alert, bytes | None]] = []
    if policy is Policy.RESCALE:
        rescaled = [(after, state) for alert, state in concerned if (after := _rescaled(alert, action)) is not None]
    left = {alert.id for alert, _ in concerned} - {alert.id for alert, _ in rescaled}
    await _store(connection, rescaled, now_ms)
    await end(connection, sorted(left), Status.DISABLED, DISABLED, now_ms)
    return Applied(len(rescaled), len(left))


async def _concerned(connection: AsyncConnection, action: Action) -> list[tuple[Alert, bytes | None]]:
    """Alerts that go on and look at the instrument, each with what the engine remembers of it."""
    named = _rows.tree.contains(f'"symbol":{msgspec.json.encode(action.symbol).decode()}', autoescape=True)
    own = and_(_rows.exchange == action.exchange, _rows.symbol == action.symbol)
    query = select(*SHOWN, _rows.state).where(_rows.status.in_(_GOING_ON), or_(own, named)).order_by(_rows.id)
    rows = (await connection.execute(query.with_for_update())).mappings()
    found = [(alert_of(row), row["state"]) for row in rows]
    return [(alert, state) for alert, state in found if (action.exchange, action.symbol) in _places(alert)]


def _places(alert: Alert) -> Collection[Instrument]:
    return {
        (one.exchange or alert.exchange, one.symbol or alert.symbol)
        for one in walk(alert.tree)
        if isinstance(one, Field | Indicator | Extreme)
    }


def _rescaled(alert: Alert, action: Action) -> Alert | None:
    """The alert in prices of after the action; None where that can't be told."""
    own, acted = (alert.exchange, alert.symbol), (action.exchange, action.symbol)
    done = rescale(alert.tree, own, acted, action.factor)
    if done.left:
        return None
    same = own == acted
    return structs.replace(
        alert,
        tree=done.tree,
        condition=text(done.tree),
        options=_options(alert.options, alert.tree, done.tree, action.factor) if same else alert.options,
        baseline=_baseline(alert, action.factor) if same else alert.baseline,
        version=alert.version + 1,
    )


def _options(options: Options, before: Condition, after: Condition, factor: Fraction) -> Options:
    """A band is in the level's own unit: it is a price's where the constant has been rescaled."""
    if options.band is None or options.band_percent or before == after:
        return options
    return structs.replace(options, band=round(float(options.band * factor), 7))


def _baseline(alert: Alert, factor: Fraction) -> Any:
    baseline = alert.baseline
    if baseline is None:
        return None
    return structs.replace(
        baseline,
        price=round(baseline.price * factor),
        high=None if baseline.high is None else round(baseline.high * factor),
        low=None if baseline.low is None else round(baseline.low * factor),
    )


async def _rescale_memory(
    connection: AsyncConnection,
    shard: int,
    concerned: Sequence[tuple[Alert, bytes | None]],
    action: Action,
    now_ms: int,
) -> None:
    """Stores what an engine remembers of the instrument after the action."""
    tracks = alert_tracks.c
    query = select(tracks.source, tracks.state).where(tracks.shard == shard)
    sources = {row.source: row.state for row in await connection.execute(query)}
    rules = [_rule(alert, state) for alert, state in concerned if alert.shard == shard]
    kept = rescaled_tracks(sources, rules, action)
    rows = [{"at": source, "kept": state, "now": now_ms} for source, state in sorted(kept.items()) if source in sources]
    if rows:
        stored = update(alert_tracks).where(tracks.shard == shard, tracks.source == bindparam("at"))
        await connection.execute(stored.values(state=bindparam("kept"), updated_at_ms=bindparam("now")), rows)


def rescaled_tracks(sources: dict[str, bytes], rules: Iterable[Rule], action: Action) -> Mapping[str, bytes]:
    """What an engine with these rules would remember, had prices always been those of after the action. Pure."""
    engine = Engine()
    for source, state in sources.items():
        engine.restore_track(source, state)
    for rule in rules:
        with suppress(Unsuitable):  # it is disabled by whoever loads it
            engine.put(rule)
    late = {one.exchange for one in engine.sources if parted(one.exchange)[0] == action.exchange}
    for exchange in sorted({action.exchange, *late}):
        engine.rescale(exchange, action.symbol, action.numerator, action.denominator)
    return engine.kept().tracks


def _remembers_prices(tree: Condition) -> bool:
    """Whether what the engine keeps of the rule itself holds prices: then it begins anew."""
    return any(isinstance(one, Move | Step) for one in walk(tree))


def _rule(alert: Alert, state: bytes | None) -> Rule:
    rule = Rule(
        id=alert.id,
        version=alert.version,
        exchange=alert.exchange,
        symbol=alert.symbol,
        tree=alert.tree,
        options=alert.options,
        baseline=alert.baseline,
        fired=alert.fired,
        last_fired_ms=alert.last_fired_ms,
        expires_at_ms=alert.expires_at_ms,
        created_at_ms=alert.created_at_ms,
        state=state,
    )
    return as_late(rule, alert.delay_s)


async def _store(connection: AsyncConnection, rescaled: Sequence[tuple[Alert, bytes | None]], now_ms: int) -> None:
    if not rescaled:
        return
    rows = [
        {
            "alert": one.id,
            "tree_": trees.encode(one.tree),
            "text_": one.condition,
            "options_": json_text(one.options),
            "baseline_": json_text(one.baseline),
            "state_": None if _remembers_prices(one.tree) else state,
            "version_": one.version,
            "now": now_ms,
        }
        for one, state in rescaled
    ]
    stored = update(alerts).where(_rows.id == bindparam("alert"))
    await connection.execute(
        stored.values(
            tree=bindparam("tree_"),
            condition=bindparam("text_"),
            options=bindparam("options_"),
            baseline=bindparam("baseline_"),
            state=bindparam("state_"),
            version=bindparam("version_"),
            updated_at_ms=bindparam("now"),
        ),
        rows,
    )
    await tell(connection, [(one.shard, one.id) for one, _ in rescaled], now_ms)
    await add_notices(connection, [structs.replace(one, updated_at_ms=now_ms) for one, _ in rescaled], ADJUSTED, now_ms)
