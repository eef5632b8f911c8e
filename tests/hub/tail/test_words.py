import json
from typing import Any

import pytest

from hub.tail.words import escaped, line_of, said
from schemas.market import ist_text

CAME_MS = 1_795_301_125_250


def test_a_price_is_a_line_of_figures() -> None:
    message = {
        "type": "market:update", "channel": "market:NSE:TCS", "price": 3139.65, "change": -8.2, "change_percent": -0.0,
        "bid": 3139.6, "volume": 12345678, "time": "2026-11-23T09:15:01.250+05:30", "seq": 1,
    }  # fmt: skip
    assert line_of(message, CAME_MS) == "09:15:01.250\tmarket:NSE:TCS\t3139.65\t-8.2\t0\t3139.6\t-\t12345678"


SAID: dict[str, tuple[dict[str, Any], str]] = {
    "signals:new": (
        {"data": {"symbol": "INFY", "signal_type": "BUY", "confidence": 71.5, "stop_loss": 9}},
        "BUY INFY  71.5 %  stop 9",
    ),
    "alerts:triggered": ({"data": {"event": "triggered", "title": "INFY above 9"}}, "triggered  INFY above 9"),
    "alerts:delivery": (
        {"data": {"event": "delivery", "channel": "sms", "status": "dead", "reason": "x", "alert": 7}},
        "sms dead: x  (alert 7)",
    ),
    "status:update": ({"data": {"NSE": {"state": "closed"}, "BSE": "live", "time": "x"}}, "NSE closed, BSE live"),
    "candles:update": (
        {"channel": "c", "open": 1.0, "high": 3, "low": 1, "close": 2, "seq": 1},
        "O 1 H 3 L 1 C 2 V -",
    ),
    "depth:update": ({"channel": "d", "bids": [{"price": 1, "quantity": 5}], "asks": []}, "1 x 5 | -"),
    "chat:new": ({"channel": "chat:a", "offset": 1, "data": {"n": 1}}, '{"n":1}'),
}


@pytest.mark.parametrize("kind", SAID)
def test_each_kind_of_message_is_said_in_a_line(kind: str) -> None:
    message, text = SAID[kind]
    assert said({"type": kind} | message) == text


def test_a_message_without_a_time_has_that_of_its_coming_and_commands_no_terminal() -> None:
    line = line_of({"type": "chat:new", "channel": "chat:a", "data": {"text": "\x1b[2J\n\x9b"}}, CAME_MS)
    assert line.startswith(ist_text(CAME_MS)[11:23])
    assert all(char.isprintable() or char == "\t" for char in line)


def test_json_that_was_heard_commands_no_terminal_and_says_the_same() -> None:
    raw = '{"type": "news:x",\n "data": {"text": "a\x9b2J\x7f \\u001b[2J मराठी"}}'
    shown = escaped(raw)
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in shown)
    assert json.loads(shown) == json.loads(raw)
