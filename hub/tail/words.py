"""What a message says, as text for people and for `cut`. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

from hub.tail.subscriptions import Message
from hub.terminal import printable
from schemas.market import EXCHANGES, ist_text

_PLAIN = ("price", "change", "change_percent", "bid", "ask", "volume")
_NOT_DATA = {"type", "channel", "offset", "seq", "snapshot", "missed", "time", "delay", "exchange", "symbol"}


_COMMANDS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def escaped(raw: str) -> str:
    """The same JSON in one line that can't command the terminal: control characters as JSON escapes them."""
    return _COMMANDS.sub(lambda found: " " if found[0] in "\t\n\r" else f"\\u{ord(found[0]):04x}", raw)


def line_of(message: Message, came_ms: int) -> str:
    """One update in one line: its time, its channel, what it says, with tabs between."""
    fields = _market(message) if message["type"] == "market:update" else [said(message)]
    return "\t".join([time_of(message, came_ms), printable(message["channel"]), *fields])


def _market(message: Message) -> list[str]:
    return [_number(message.get(name)) for name in _PLAIN]


def _number(value: object) -> str:
    return f"{value or 0:.10g}" if isinstance(value, (int, float)) else "-" if value is None else printable(str(value))


def time_of(message: Message, came_ms: int) -> str:
    """`09:15:01.250` by India's clock: as the message says, else when it came."""
    data = message.get("data")
    text = message.get("time") or message.get("start") or (data.get("time") if isinstance(data, Mapping) else None)
    return printable((text if isinstance(text, str) and len(text) >= 19 else ist_text(came_ms))[11:23])


def said(message: Message) -> str:
    """What a message says, in one line."""
    data = message.get("data")
    body = data if isinstance(data, Mapping) else {k: v for k, v in message.items() if k not in _NOT_DATA}
    match message["type"].partition(":")[0]:
        case "signals" if "signal_type" in body:
            text = _signal(body)
        case "alerts" if "event" in body:
            text = _alert(body)
        case "candles" if "close" in body:
            text = _candle(body)
        case "depth" if "bids" in body:
            text = f"{_level(body['bids'])} | {_level(body['asks'])}"
        case "status":
            text = _status(body)
        case _:
            text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return printable(text)


def _signal(body: Mapping[str, Any]) -> str:
    names = (("entry", "entry_price"), ("target", "target_price"), ("stop", "stop_loss"), ("ML", "ml_score"))
    figures = [f"{word} {_number(body[name])}" for word, name in names if body.get(name) is not None]
    reason = body.get("reason")
    told = [reason] if isinstance(reason, str) else []
    return "  ".join([f"{body['signal_type']} {body['symbol']}", f"{_number(body['confidence'])} %", *figures, *told])


def _alert(body: Mapping[str, Any]) -> str:
    match body["event"]:
        case "delivery":
            why = f": {body['reason']}" if body.get("reason") else ""
            return f"{body.get('channel')} {body.get('status')}{why}  (alert {body.get('alert')})"
        case event:
            told = body.get("title") or body.get("words") or body.get("message") or body.get("reason") or ""
            return f"{event}  {told}"


def _candle(body: Mapping[str, Any]) -> str:
    figures = " ".join(f"{name[0].upper()} {_number(body.get(name))}" for name in ("open", "high", "low", "close"))
    return f"{figures} V {_number(body.get('volume'))}{'  closed' if body.get('closed') else ''}"


def _status(body: Mapping[str, Any]) -> str:
    """`NSE continuous, BSE continuous`; what is no exchange is left out."""
    states = {name: one.get("state") if isinstance(one, Mapping) else one for name, one in body.items()}
    return ", ".join(f"{name} {state}" for name, state in states.items() if name in EXCHANGES)


def _level(levels: list[Any]) -> str:
    if not levels:
        return "-"
    best = levels[0]
    return f"{_number(best['price'])} x {_number(best['quantity'])}" if isinstance(best, Mapping) else str(best)
