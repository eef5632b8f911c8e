"""What is said on the socket, one example of each: in the order in which a connection would hear them."""

from typing import Any

from schemas.commands import (
    AnyCommand,
    Auth,
    History,
    Ping,
    Presence,
    Publish,
    Refresh,
    Subscribe,
    Subscriptions,
    Unsubscribe,
)
from schemas.errors import ErrorCode, UnsubscribeCode
from schemas.messages import (
    Entitled,
    Error,
    FailedChannel,
    Heartbeat,
    HistoryEntry,
    HistoryReply,
    Message,
    Pong,
    PresenceMember,
    PresenceReply,
    Published,
    Refreshed,
    Shutdown,
    Subscribed,
    SubscribedChannel,
    SubscriptionEntry,
    SubscriptionList,
    TokenExpiring,
    Unsubscribed,
    UnsubscribedReply,
    Welcome,
)

_TIME = 1795302000.25
_PRICE = {"price": 2500.5, "change": 12.4, "change_percent": 0.5, "state": "continuous"}
_MOMENT = "2026-11-23T09:15:01.250+05:30"
_SIGNAL = {"symbol": "RELIANCE", "exchange": "NSE", "signal_type": "BUY", "confidence": 72.5, "entry_price": 2500.5}
_ALERT = {
    "event": "triggered",
    "alert": 7,
    "trigger": 9,
    "time": "2026-11-23T10:15:02.000+05:30",
    "exchange": "NSE",
    "symbol": "RELIANCE",
    "condition": "price crosses above 2500",
    "words": "price crosses above \u20b92,500.00",
    "title": "RELIANCE \u20b92,510.50: price crosses above \u20b92,500.00",
    "message": "RELIANCE (NSE) is at \u20b92,510.50, 10:15:02 IST. Your alert: price crosses above \u20b92,500.00",
    "language": "en",
    "number": 1,
    "price": 2510.5,
    "previous": 2498.0,
    "current": 2510.5,
    "level": 2500.0,
    "via": "tick",
    "gap": False,
    "critical": False,
}
_WELCOME = Welcome(client="9f3c", user="7", heartbeat=25, expires_at=1795302900, time=_TIME)

COMMANDS: tuple[tuple[dict[str, Any], type[AnyCommand], Message], ...] = (
    ({"action": "auth", "token": "eyJhbGciOi…"}, Auth, _WELCOME),
    (
        {"action": "subscribe", "id": 1, "channels": ["market:RELIANCE", "signals:generated", "alerts:8"]},
        Subscribe,
        Subscribed(
            id=1,
            subscribed=[
                SubscribedChannel(requested="market:RELIANCE", channel="market:NSE:RELIANCE"),
                SubscribedChannel(requested="signals:generated", channel="signals:generated", epoch="k3", offset=41),
            ],
            failed=[
                FailedChannel(channel="alerts:8", code=ErrorCode.PERMISSION_DENIED, message="it belongs to someone")
            ],
        ),
    ),
    (
        {"action": "unsubscribe", "id": 2, "channel": "market:RELIANCE"},
        Unsubscribe,
        UnsubscribedReply(id=2, unsubscribed=["market:NSE:RELIANCE"], failed=[]),
    ),
    (
        {"action": "subscriptions", "id": 3},
        Subscriptions,
        SubscriptionList(id=3, subscriptions=[SubscriptionEntry(channel="signals:generated")]),
    ),
    ({"action": "ping", "id": 4}, Ping, Pong(id=4, time=_TIME)),
    ({"action": "refresh", "id": 5, "token": "eyJhbGciOi…"}, Refresh, Refreshed(id=5, expires_at=1795303800)),
    (
        {"action": "history", "id": 6, "channel": "signals:generated", "limit": 1},
        History,
        HistoryReply(
            id=6,
            channel="signals:generated",
            epoch="k3",
            offset=42,
            publications=[HistoryEntry(offset=42, data=_SIGNAL)],
        ),
    ),
    (
        {"action": "presence", "id": 7, "channel": "signals:generated"},
        Presence,
        PresenceReply(id=7, channel="signals:generated", clients=[PresenceMember(client="9f3c", user="7")]),
    ),
    (
        {"action": "publish", "id": 8, "channel": "chat:floor", "data": {"text": "good morning"}},
        Publish,
        Published(id=8, channel="chat:floor", epoch="k3", offset=1),
    ),
)
"""Each command with its struct and its answer."""

EVENTS: tuple[Message, ...] = (
    _WELCOME,
    Heartbeat(time=_TIME, feeds={"NSE": "live"}),
    Unsubscribed(channel="market:NSE:TCS", code=UnsubscribeCode.NOT_CARRIED, reason="no feed carries it"),
    TokenExpiring(expires_in=60),
    Entitled(plan="pro", role="user"),
    Shutdown(reconnect_after=1.7),
    Error(id=9, code=ErrorCode.BAD_REQUEST, message="Expected `str`, got `int` - at `$.channel`", temporary=False),
)
"""What the server says of its own accord, and the error that any command may get."""

PUBLICATIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "market": (
        {
            "type": "market:update",
            "channel": "market:NSE:RELIANCE",
            "exchange": "NSE",
            "symbol": "RELIANCE",
            **_PRICE,
            "time": _MOMENT,
            "seq": 918,
            "snapshot": True,
        },
    ),
    "depth": (
        {
            "type": "depth:update",
            "channel": "depth:NSE:RELIANCE",
            "exchange": "NSE",
            "symbol": "RELIANCE",
            "bids": [{"price": 2500.4, "quantity": 120, "orders": 3}],
            "asks": [{"price": 2500.6, "quantity": 80, "orders": 2}],
            "time": _MOMENT,
            "seq": 919,
        },
    ),
    "candles": (
        {
            "type": "candles:update",
            "channel": "candles:1m:NSE:RELIANCE",
            "exchange": "NSE",
            "symbol": "RELIANCE",
            "timeframe": "1m",
            "open": 2499.0,
            "high": 2501.0,
            "low": 2498.5,
            "close": 2500.5,
            "start": "2026-11-23T09:15:00.000+05:30",
            "volume": 1200,
            "seq": 920,
        },
    ),
    "signals": ({"type": "signals:new", "channel": "signals:generated", "offset": 42, "data": _SIGNAL},),
    "alerts": ({"type": "alerts:triggered", "channel": "alerts:user", "offset": 7, "data": _ALERT},),
    "status": ({"type": "status:update", "channel": "status:feeds", "seq": 3, "data": {"NSE": "live"}},),
}
"""Publications by namespace."""
