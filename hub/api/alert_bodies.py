"""What is asked of `/api/v1/alerts`: bodies and queries, and what their options mean."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, structs

from auth.addresses import MAX_NAME, read_name
from hub.api.auth import Language
from hub.http.requests import ExchangeText, Page
from notifiers.conditions.options import Escalation, Frequency, Options, Overnight, Rearm
from notifiers.conditions.tree import Condition, Timeframe
from notifiers.way import Way
from notifiers.wording.placeholders import check_message
from schemas.durations import parse_duration
from schemas.errors import CommandError, ErrorCode
from schemas.market import MarketState

MAX_COOLDOWN_MS = 7 * 86_400_000
MAX_CONDITION = 4000
"""Characters."""
MAX_STEPS = 4

SymbolText = Annotated[str, Meta(min_length=1, max_length=72)]
"""A symbol, perhaps with its exchange before it."""
ConditionText = Annotated[str, Meta(min_length=1, max_length=MAX_CONDITION)]
DurationText = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(?:\.[0-9]{1,6})?(?:ms|s|m|h|d)$")]
"""`30s`, `5m`, `2h`."""
TimeText = Annotated[str, Meta(max_length=40)]
BandText = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(?:\.[0-9]{1,7})?%$")]
"""`0.5%`."""
Band = Annotated[float, Meta(gt=0, le=1e11)]
Ways = Annotated[tuple[Way, ...], Meta(min_length=1, max_length=6)]
Sessions = Annotated[tuple[MarketState, ...], Meta(min_length=1, max_length=6)]
Name = Annotated[str, Meta(max_length=MAX_NAME)]
Message = Annotated[str, Meta(max_length=1000)]
Escalations = Annotated[tuple[Escalation, ...], Meta(max_length=MAX_STEPS)]
Initially = Literal["fire", "wait"]
PerDay = Annotated[int, Meta(ge=1, le=1000)]
Total = Annotated[int, Meta(ge=1, le=1_000_000)]


class _OptionsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often an alert fires, and when not; what isn't said is the default, or stays as it is."""

    frequency: Frequency | UnsetType = UNSET
    timeframe: Timeframe | UnsetType = UNSET
    """The bars of the frequencies once_per_bar and once_per_bar_close."""
    cooldown: DurationText | UnsetType = UNSET
    rearm: Rearm | UnsetType | None = UNSET
    rearm_after: DurationText | UnsetType | None = UNSET
    band: Band | BandText | UnsetType | None = UNSET
    initially: Initially | UnsetType = UNSET
    overnight: Overnight | UnsetType = UNSET
    sessions: Sessions | UnsetType = UNSET
    max_per_day: PerDay | UnsetType | None = UNSET
    max_total: Total | UnsetType | None = UNSET
    critical: bool | UnsetType = UNSET
    escalation: Escalations | UnsetType = UNSET

    def applied_to(self, options: Options) -> Options:
        """The options with what is said here. Raises CommandError BAD_REQUEST, naming the place."""
        given: dict[str, Any] = {name: value for name in _AS_THEY_ARE if (value := getattr(self, name)) is not UNSET}
        if self.cooldown is not UNSET:
            given["cooldown_ms"] = milliseconds(self.cooldown, "$.cooldown")
        if self.rearm_after is not UNSET:
            after = self.rearm_after
            given["rearm_after_ms"] = 0 if after is None else milliseconds(after, "$.rearm_after")
        if self.band is not UNSET:
            given |= _band(self.band)
        if "sessions" in given:
            given["sessions"] = tuple(dict.fromkeys(given["sessions"]))
        if "escalation" in given:
            given["escalation"] = tuple(sorted(given["escalation"], key=lambda step: step.after_s))
        return structs.replace(options, **given)


_AS_THEY_ARE = (
    "frequency",
    "timeframe",
    "rearm",
    "initially",
    "overnight",
    "sessions",
    "max_per_day",
    "max_total",
    "critical",
    "escalation",
)


class AlertBody(_OptionsBody, frozen=True):
    """The body of `POST alerts`: what to wait for, and how to tell it.

    `condition` is a text (`price crosses above 2500`) or its tree. With `threshold` it may be one word or sign (`above`
    or `<=`), and `notification_type` names channels as the platform does.
    """

    symbol: SymbolText
    condition: ConditionText | Condition
    exchange: ExchangeText | None = None
    threshold: Annotated[float, Meta(ge=-1e11, le=1e11)] | None = None
    notification_type: Annotated[str, Meta(max_length=100)] | Annotated[list[str], Meta(max_length=10)] | None = None
    channels: Ways | None = None
    expires_at: int | TimeText | None = None
    language: Language | None = None
    message: Message | None = None
    name: Name | None = None


class AlertChangesBody(_OptionsBody, frozen=True):
    """The body of `PUT alerts/{id}`: what is to change. With `version`, only if the alert still has it.

    An alert that gets another instrument, condition or options begins anew.
    """

    symbol: SymbolText | UnsetType = UNSET
    exchange: ExchangeText | UnsetType = UNSET
    condition: ConditionText | Condition | UnsetType = UNSET
    channels: Ways | UnsetType = UNSET
    expires_at: int | TimeText | UnsetType | None = UNSET
    language: Language | UnsetType | None = UNSET
    message: Message | UnsetType | None = UNSET
    name: Name | UnsetType | None = UNSET
    version: Annotated[int, Meta(ge=1)] | None = None

    @property
    def is_about_words(self) -> bool:
        """Whether nothing is to change but what the alert says."""
        names = set(self.__struct_fields__) - {"name", "message", "language", "version"}
        return all(getattr(self, name) is UNSET for name in names)


class PreviewBody(_OptionsBody, frozen=True):
    """The body of `POST alerts/preview`: as for `POST alerts`."""

    symbol: SymbolText
    condition: ConditionText | Condition
    exchange: ExchangeText | None = None
    threshold: Annotated[float, Meta(ge=-1e11, le=1e11)] | None = None
    message: Message | None = None
    name: Name | None = None


class BacktestBody(_OptionsBody, frozen=True):
    """The body of `POST alerts/backtest`: as for `POST alerts`, over the last so many days that have candles."""

    symbol: SymbolText
    condition: ConditionText | Condition
    exchange: ExchangeText | None = None
    threshold: Annotated[float, Meta(ge=-1e11, le=1e11)] | None = None
    days: Annotated[int, Meta(ge=1, le=30)] = 1


class TestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST alerts/{id}/test`: with `dry_run` nothing is sent."""

    dry_run: bool = False


class AlertsQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET alerts`."""

    status: Literal["active", "paused", "fired", "expired", "disabled"] | None = None
    symbol: SymbolText | None = None
    exchange: ExchangeText | None = None


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET alerts/{id}/history`, the newest first."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    kind: Literal["fired", "suppressed", "test"] | None = None


class DeliveriesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET alerts/{id}/deliveries`, the newest first."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


def milliseconds(text: str, place: str) -> int:
    """Of a duration. Raises CommandError BAD_REQUEST for more than a week, naming `place`."""
    found = round(parse_duration(text) * 1000)
    if found > MAX_COOLDOWN_MS:
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected at most {most} - at `{place}`", most="7d", place=place)
    return found


def _band(band: float | str | None) -> dict[str, Any]:
    """How far beyond its level a value must be back: in its own unit, or with `%` a part of the level."""
    if not isinstance(band, str):
        return {"band": band, "band_percent": False}
    percent = float(band.strip().removesuffix("%"))
    if percent <= 0:
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected more than 0 - at `$.band`")
    return {"band": percent, "band_percent": True}


def checked_message(text: str | None) -> str | None:
    """A message as it may be. Raises CommandError BAD_REQUEST, saying where it is wrong."""
    if text is not None:
        check_message(text)
    return text


def checked_name(text: str | None) -> str | None:
    """A name as it may be, None for an empty one. Raises CommandError BAD_REQUEST."""
    return None if text is None else read_name(text) or None
