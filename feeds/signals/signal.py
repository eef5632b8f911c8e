"""One signal as it is kept and published. Prices in 1/PRICE_SCALE, times in Unix seconds."""

import math
from enum import StrEnum
from typing import Any

import msgspec

from feeds.signals.rules import SignalType
from schemas.errors import CommandError, ErrorCode
from schemas.market import PRICE_SCALE, moment_text
from schemas.publications import SignalPayload

MAX_PRICE = 10**17
"""Ten thousand million rupees: what every engine can hold and count with."""


MAX_SCORE = 1e6
MAX_TIME_S = 2**40
MAX_REASON = 4_000
MAX_REASON_BYTES = 32 * 1024
_LONGEST = {"exchange": 16, "symbol": 64, "timeframe": 8, "created_by": 128}


class Status(StrEnum):
    """Whether a signal still stands."""

    ACTIVE = "ACTIVE"
    CLOSED = "CLOSED"
    EXPIRED = "EXPIRED"


class Outcome(StrEnum):
    """Why a signal was closed."""

    TARGET = "target"
    STOP = "stop"
    MANUAL = "manual"
    REVERSAL = "reversal"
    """The rules gave the opposite signal."""


class Source(StrEnum):
    """Who gave a signal."""

    RULES = "rules"
    ML = "ml"
    """The rules, and a prediction had its say."""
    API = "api"


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A signal before it is stored. `reason` is a text, or texts by language."""

    exchange: str
    symbol: str
    signal_type: SignalType
    confidence: float
    timeframe: str | None = None
    entry_price: int | None = None
    target_price: int | None = None
    stop_loss: int | None = None
    ml_score: float | None = None
    reason: str | dict[str, Any] | None = None
    source: Source = Source.API
    created_by: str | None = None
    expires_at: int


class Signal(Draft, frozen=True, kw_only=True):
    """A stored signal."""

    id: int
    status: Status
    outcome: Outcome | None = None
    close_price: int | None = None
    created_at: int
    updated_at: int
    updated_by: str | None = None
    closed_at: int | None = None
    announced_at: int | None = None
    """When subscribers were told."""


def check(signal: Draft) -> None:
    """Raises CommandError BAD_REQUEST where a field cannot be kept or makes no sense.

    Of the prices that are given, BUY wants stop < entry < target and SELL the opposite.
    """
    _check_texts(signal)
    if not (math.isfinite(signal.confidence) and 0 <= signal.confidence <= 100):
        raise _refused("confidence lies from 0 to 100")
    if signal.ml_score is not None and not abs(signal.ml_score) <= MAX_SCORE:
        raise _refused("ml_score lies from -{most} to {most}", most=f"{MAX_SCORE:g}")
    if not 0 <= signal.expires_at <= MAX_TIME_S:
        raise _refused("expires_at is no time in Unix seconds")
    _check_prices(signal)


def _check_prices(signal: Draft) -> None:
    prices = (signal.stop_loss, signal.entry_price, signal.target_price)
    given = [price for price in prices if price is not None]
    if any(not 0 < price <= MAX_PRICE for price in given):
        raise _refused("prices are above 0 and at most {most}", most=MAX_PRICE // PRICE_SCALE)
    if signal.signal_type is SignalType.BUY and given != sorted(set(given)):
        raise _refused("BUY needs stop_loss < entry_price < target_price")
    if signal.signal_type is SignalType.SELL and given != sorted(set(given), reverse=True):
        raise _refused("SELL needs target_price < entry_price < stop_loss")


def _check_texts(signal: Draft) -> None:
    for name, longest in _LONGEST.items():
        text = getattr(signal, name)
        if text is not None and (len(text) > longest or "\0" in text):
            raise _refused("{name} has at most {most} characters", name=name, most=longest)
    if not signal.symbol or not signal.exchange:
        raise _refused("a signal has an exchange and a symbol")
    if isinstance(signal.reason, str) and len(signal.reason) > MAX_REASON:
        raise _refused("{name} has at most {most} characters", name="reason", most=MAX_REASON)
    if len(msgspec.json.encode(signal.reason)) > MAX_REASON_BYTES:
        raise _refused("{name} has at most {most} bytes", name="reason", most=MAX_REASON_BYTES)


def payload(signal: Signal) -> bytes:
    """The signal as a publication: compact JSON, decimals."""
    return msgspec.json.encode(
        SignalPayload(
            id=signal.id,
            symbol=signal.symbol,
            exchange=signal.exchange,
            timeframe=signal.timeframe,
            signal_type=signal.signal_type.value,
            confidence=signal.confidence,
            entry_price=_decimal(signal.entry_price),
            target_price=_decimal(signal.target_price),
            stop_loss=_decimal(signal.stop_loss),
            ml_score=signal.ml_score,
            reason=signal.reason,
            status=signal.status.value,
            time=moment_text(signal.created_at),
        )
    )


def _decimal(price: int | None) -> float | None:
    return None if price is None else price / PRICE_SCALE


def _refused(text: str, /, **values: object) -> CommandError:
    return CommandError(ErrorCode.BAD_REQUEST, text, **values)
