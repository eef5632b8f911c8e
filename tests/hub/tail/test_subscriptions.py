from typing import Any

from hub.tail.subscriptions import Subscriptions


def asked(*channels: str) -> tuple[Subscriptions, list[dict[str, Any]]]:
    subscriptions = Subscriptions(channels, max_frequency=None)
    return subscriptions, list(subscriptions.commands())


def reply(*subscribed: dict[str, Any], failed: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"type": "subscribed", "subscribed": list(subscribed), "failed": list(failed)}


LOG = {"requested": "signals:generated", "channel": "signals:generated", "epoch": "k3", "offset": 41}


def test_a_log_goes_on_after_the_last_message_that_came() -> None:
    subscriptions, (first,) = asked("market:TCS", "signals:generated")
    assert "recover" not in first
    told = subscriptions.take(reply({"requested": "market:TCS", "channel": "market:NSE:TCS"}, LOG))
    assert list(told) == []
    subscriptions.take({"type": "signals:new", "channel": "signals:generated", "offset": 42, "data": {}})
    subscriptions.take({"type": "signals:new", "channel": "signals:generated", "data": {}})  # live only
    (again,) = subscriptions.commands()
    assert again["channels"] == ["market:TCS", "signals:generated"]
    assert again["recover"] == {"signals:generated": {"epoch": "k3", "offset": 42}}


def test_what_is_recovered_counts_from_where_it_was() -> None:
    """The connection may break again before all of it has come."""
    subscriptions, _ = asked("signals:generated")
    subscriptions.take(reply(LOG))
    subscriptions.take(reply(LOG | {"offset": 50, "recovered": True}))
    (again,) = subscriptions.commands()
    assert again["recover"]["signals:generated"]["offset"] == 41


def test_a_log_that_is_gone_is_told_and_begun_anew() -> None:
    subscriptions, _ = asked("signals:generated")
    subscriptions.take(reply(LOG))
    (line,) = subscriptions.take(reply(LOG | {"epoch": "m1", "offset": 3, "recovered": False}))
    assert "gone" in line
    (again,) = subscriptions.commands()
    assert again["recover"]["signals:generated"] == {"epoch": "m1", "offset": 3}


def test_what_is_refused_for_good_is_not_asked_for_again() -> None:
    subscriptions, _ = asked("nope:x", "market:TCS")
    failed = {"channel": "nope:x", "code": "UNKNOWN_CHANNEL", "message": "No namespace\x1b[2J"}
    (line,) = subscriptions.take(reply(failed=(failed,)))
    assert line == "nope:x: UNKNOWN_CHANNEL: No namespace [2J"
    (again,) = subscriptions.commands()
    assert again["channels"] == ["market:TCS"]
    subscriptions.take({"type": "unsubscribed", "channel": "market:TCS", "code": 2003, "reason": "no"})
    assert subscriptions.none_left


def test_what_is_refused_for_now_is_asked_for_again() -> None:
    subscriptions, _ = asked("market:TCS")
    failed = {"channel": "market:TCS", "code": "NOT_AVAILABLE", "message": "later"}
    assert list(subscriptions.take(reply(failed=(failed,))))
    (again,) = subscriptions.again()
    assert again["channels"] == ["market:TCS"]
    assert subscriptions.again() == []


def test_a_channel_with_a_gap_is_subscribed_again_from_the_present() -> None:
    subscriptions, _ = asked("signals:generated")
    subscriptions.take(reply(LOG))
    subscriptions.take({"type": "unsubscribed", "channel": "signals:generated", "code": 2500, "reason": "lost"})
    (again,) = subscriptions.again()
    assert again["channels"] == ["signals:generated"]
    assert "recover" not in again


def test_a_refused_command_refuses_its_channels() -> None:
    subscriptions, (command,) = asked("market:TCS")
    error = {"type": "error", "id": command["id"], "code": "LIMIT_EXCEEDED", "message": "too many", "temporary": False}
    assert list(subscriptions.take(error)) == ["market:TCS: LIMIT_EXCEEDED: too many"]
    assert subscriptions.none_left


def test_many_channels_are_asked_for_in_several_commands() -> None:
    names = [f"market:NSE:{'X' * 240}{number}" for number in range(1000)]
    _, commands = asked(*names)
    assert [name for command in commands for name in command["channels"]] == names
    assert all(len(str(command)) < 64 * 1024 for command in commands)
