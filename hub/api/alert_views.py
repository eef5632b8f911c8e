"""Alerts, what they fired and what became of it, as HTTP shows them: texts for times, decimals, words."""

import msgspec

from notifiers.alerts.alert import Alert, Status
from notifiers.alerts.facts import Facts
from notifiers.alerts.history import Trigger
from notifiers.conditions.options import SESSIONS, Escalation, Frequency, Overnight, Rearm
from notifiers.conditions.tree import Condition, Timeframe
from notifiers.conditions.words import words
from notifiers.engine.samples import Firing
from notifiers.outbox.delivery import Attempt, AttemptState, Delivery, History, Kind
from notifiers.outbox.delivery import Status as DeliveryStatus
from notifiers.providers.segments import Encoding
from notifiers.way import Way
from schemas.durations import duration_text
from schemas.market import PRICE_SCALE, MarketState, ist_text


class BaselineView(msgspec.Struct, frozen=True, kw_only=True):
    """The instrument's price when the alert was made, and of when it was."""

    price: float
    time: str


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """One alert. `condition` is its canonical text, `words` say it in the language of whoever asks."""

    id: int
    name: str | None
    status: Status
    status_reason: str | None
    exchange: str
    symbol: str
    condition: str
    tree: Condition
    words: str
    channels: tuple[Way, ...]
    frequency: Frequency
    timeframe: Timeframe
    cooldown: str
    rearm: Rearm | None
    rearm_after: str | None
    band: float | str | None
    initially: str
    overnight: Overnight
    sessions: tuple[MarketState, ...]
    max_per_day: int | None
    max_total: int | None
    critical: bool
    escalation: tuple[Escalation, ...]
    message: str | None
    language: str | None
    delay: str | None
    """How late the prices are that it looks at, as its owner's are."""
    baseline: BaselineView | None
    fired: int
    last_fired_at: str | None
    expires_at: str | None
    created_at: str
    updated_at: str
    version: int
    warnings: tuple[str, ...] = ()
    """Which channels reach nobody yet, and why; only said where an alert is made or gets other channels."""


class AlertPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of alerts."""

    items: list[AlertView]
    total: int
    page: int
    limit: int


class TriggerView(msgspec.Struct, frozen=True, kw_only=True):
    """One firing, suppressed firing (`reason` says why) or test, with the way that it took.

    `at` is the exchange's time; received, evaluated, enqueued and taken by the first provider are ours.
    """

    id: int
    number: int
    kind: str
    reason: str | None
    at: str
    received_at: str
    evaluated_at: str
    enqueued_at: str
    provider_at: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None
    price: float | None
    previous: float | None
    previous_at: str | None
    current: float | None
    level: float | None
    via: str
    gap: bool
    source: str
    sample: int
    condition: str
    inputs: dict[str, float | None]


class TriggerPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of what an alert has fired, the newest first."""

    items: list[TriggerView]
    total: int
    page: int
    limit: int


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a provider."""

    number: int
    state: AttemptState
    provider: str
    reason: str | None
    started_at: str
    finished_at: str | None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery. `cost` counts parts of an SMS, and a call as one."""

    id: int
    alert: int | None
    trigger: int | None
    kind: Kind
    channel: Way
    status: DeliveryStatus
    reason: str | None
    provider: str | None
    provider_status: str | None
    cost: int
    created_at: str
    due_at: str | None
    """When it goes out, where it waits."""
    expires_at: str
    sent_at: str | None
    finished_at: str | None
    attempts: list[AttemptView]


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of deliveries, the newest first."""

    items: list[DeliveryView]
    total: int
    page: int
    limit: int


class SegmentsView(msgspec.Struct, frozen=True, kw_only=True):
    """What an SMS costs: `count` parts."""

    encoding: Encoding
    units: int
    count: int


class SaidView(msgspec.Struct, frozen=True, kw_only=True):
    """What would be said in one language: title and line of a notification, the mail's text, the SMS and its parts.

    `sms_problem` says why no SMS can say it: it is too long, or fits no registered template.
    """

    language: str
    title: str
    line: str
    text: str
    sms: str | None
    segments: SegmentsView | None
    sms_problem: str | None


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """What a test sends, or would: `trigger` is None where nothing was sent."""

    dry_run: bool
    trigger: int | None
    channels: tuple[Way, ...]
    language: str
    said: list[SaidView]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A condition as it is understood: `happens` is `edge` (at a moment) or `level` (for a while).

    `levels` are the constants that it compares the instrument's price with.
    """

    exchange: str
    symbol: str
    condition: str
    tree: Condition
    happens: str
    words: dict[str, str]
    levels: list[float]
    said: list[SaidView]


class FiredView(msgspec.Struct, frozen=True, kw_only=True):
    """When an alert would have fired, at which price of its instrument, and as its how manyth time."""

    time: str
    price: float | None
    number: int


class BacktestView(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert would have fired over `bars` minutes, the first of which begins at `from`.

    `fired` are the last 500 of `total`. `note` says what could not be tried.
    """

    exchange: str
    symbol: str
    condition: str
    bars: int
    from_: str | None = msgspec.field(name="from")
    to: str | None
    fired: list[FiredView]
    total: int
    levels: list[float]
    note: str | None


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it was not acknowledged before."""

    acknowledged: bool


def fired_view(one: Firing) -> FiredView:
    """A firing of a backtest."""
    return FiredView(time=ist_text(one.at_ms), price=one.price, number=one.number)


def alert_view(alert: Alert, language: str) -> AlertView:
    """An alert for its owner, in their language."""
    options = alert.options
    return AlertView(
        id=alert.id,
        name=alert.name,
        status=alert.status,
        status_reason=alert.status_reason,
        exchange=alert.exchange,
        symbol=alert.symbol,
        condition=alert.condition,
        tree=alert.tree,
        words=words(alert.tree, language, alert.exchange, alert.symbol),
        channels=alert.channels,
        frequency=options.frequency,
        timeframe=options.timeframe,
        cooldown=_duration(options.cooldown_ms),
        rearm=options.rearm,
        rearm_after=_duration(options.rearm_after_ms) if options.rearm_after_ms else None,
        band=f"{options.band:g}%" if options.band is not None and options.band_percent else options.band,
        initially=options.initially,
        overnight=options.overnight,
        sessions=options.sessions or SESSIONS,
        max_per_day=options.max_per_day,
        max_total=options.max_total,
        critical=options.critical,
        escalation=options.escalation,
        message=alert.message,
        language=alert.language,
        delay=_duration(alert.delay_s * 1000) if alert.delay_s else None,
        baseline=_baseline(alert),
        fired=alert.fired,
        last_fired_at=_moment(alert.last_fired_ms),
        expires_at=_moment(alert.expires_at_ms),
        created_at=ist_text(alert.created_at_ms),
        updated_at=ist_text(alert.updated_at_ms),
        version=alert.version,
    )


def _baseline(alert: Alert) -> BaselineView | None:
    if alert.baseline is None:
        return None
    return BaselineView(price=alert.baseline.price / PRICE_SCALE, time=ist_text(alert.baseline.time_ms))


def trigger_view(one: Trigger) -> TriggerView:
    """A firing, with what it looked at."""
    facts: Facts = one.facts
    return TriggerView(
        id=one.id,
        number=one.number,
        kind=one.kind,
        reason=one.reason,
        at=ist_text(one.at_ms),
        received_at=ist_text(one.received_at_ms),
        evaluated_at=ist_text(one.evaluated_at_ms),
        enqueued_at=ist_text(one.enqueued_at_ms),
        provider_at=_moment(one.provider_at_ms),
        acknowledged_at=_moment(one.acknowledged_at_ms),
        acknowledged_by=one.acknowledged_by,
        price=facts.price,
        previous=facts.previous,
        previous_at=_moment(facts.previous_ms),
        current=facts.current,
        level=facts.level,
        via=facts.via,
        gap=facts.gap,
        source=facts.source,
        sample=facts.sample,
        condition=facts.condition,
        inputs=dict(facts.inputs),
    )


def delivery_view(history: History) -> DeliveryView:
    """A delivery, with every attempt at it."""
    one: Delivery = history.delivery
    return DeliveryView(
        id=one.id,
        alert=one.alert_id,
        trigger=one.trigger_id,
        kind=one.kind,
        channel=one.channel,
        status=one.status,
        reason=one.reason,
        provider=one.provider,
        provider_status=one.provider_status,
        cost=one.cost,
        created_at=ist_text(one.created_at_ms),
        due_at=ist_text(one.due_at_ms) if one.status is DeliveryStatus.QUEUED else None,
        expires_at=ist_text(one.expires_at_ms),
        sent_at=_moment(one.sent_at_ms),
        finished_at=_moment(one.finished_at_ms),
        attempts=[_attempt(attempt) for attempt in history.attempts],
    )


def _attempt(one: Attempt) -> AttemptView:
    return AttemptView(
        number=one.number,
        state=one.state,
        provider=one.provider,
        reason=one.reason,
        started_at=ist_text(one.started_at_ms),
        finished_at=_moment(one.finished_at_ms),
    )


def _duration(milliseconds: int) -> str:
    return duration_text(milliseconds / 1000) if milliseconds else "0s"


def _moment(time_ms: int | None) -> str | None:
    return None if time_ms is None else ist_text(time_ms)
