"""Which channels are to be heard, where their logs stand, and what the server says about them. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hub.terminal import printable
from schemas.errors import TEMPORARY, UnsubscribeCode

_AT_ONCE = 200
"""Channels a command; one of the longest names stays below the protocol's 64 KiB."""

Message = Mapping[str, Any]


class Subscriptions:
    """What was asked for, by the names that were typed."""

    def __init__(self, channels: Sequence[str], *, max_frequency: float | None) -> None:
        self._wanted = list(dict.fromkeys(channels))
        self._max_frequency = max_frequency
        self._positions: dict[str, dict[str, Any]] = {}
        self._requested: dict[str, str] = {}
        self._again: list[str] = []
        self._asked: dict[int, list[str]] = {}

    @property
    def none_left(self) -> bool:
        """Whether there is nothing more to hear."""
        return not self._wanted

    def commands(self) -> Iterator[dict[str, Any]]:
        """What to say on a new connection: logs go on from where they were."""
        self._again.clear()
        return self._subscribing(self._wanted)

    def again(self) -> list[dict[str, Any]]:
        """What to say for the channels that could not be had for the moment, or have lost messages."""
        channels, self._again = self._again, []
        return list(self._subscribing(channels))

    def _subscribing(self, channels: Sequence[str]) -> Iterator[dict[str, Any]]:
        for start in range(0, len(channels), _AT_ONCE):
            some = list(channels[start : start + _AT_ONCE])
            number = len(self._asked) + 1
            self._asked[number] = some
            command: dict[str, Any] = {"action": "subscribe", "id": number, "channels": some}
            if self._max_frequency is not None:
                command["max_frequency"] = self._max_frequency
            if recover := {name: self._positions[name] for name in some if name in self._positions}:
                command["recover"] = recover
            yield command

    def take(self, message: Message) -> Iterable[str]:
        """Learn from any message; what is worth telling, as lines."""
        match message["type"]:
            case "subscribed":
                return self._subscribed(message)
            case "unsubscribed" if "channel" in message:
                return self._ended(message)
            case "error" if message.get("id") in self._asked:
                return [self._failed({**message, "channel": one}) for one in self._asked[message["id"]]]
            case "error":
                return [printable(f"{message['code']}: {message['message']}")]
            case _ if "offset" in message:
                requested = self._requested.get(message["channel"])
                if requested in self._positions:
                    self._positions[requested]["offset"] = message["offset"]
                return ()
            case _:
                return ()

    def _subscribed(self, message: Message) -> list[str]:
        told: list[str] = []
        for entry in message["subscribed"]:
            requested = entry["requested"]
            self._requested[entry["channel"]] = requested
            if "epoch" in entry:
                # What is recovered comes after this, and each has its offset.
                if requested not in self._positions or not entry.get("recovered"):
                    self._positions[requested] = {"epoch": entry["epoch"], "offset": entry["offset"]}
                if entry.get("recovered") is False:
                    told.append(f"{entry['channel']}: what was said meanwhile is gone; going on from here")
            if "delay" in entry:
                told.append(f"{entry['channel']}: {entry['delay'] // 60} minutes late, as the plan has it")
        return told + [self._failed(entry) for entry in message["failed"]]

    def _failed(self, entry: Message) -> str:
        if entry["code"] in TEMPORARY:
            self._again.append(entry["channel"])
            return printable(f"{entry['channel']}: {entry['code']}: {entry['message']}; trying again")
        self._drop(entry["channel"])
        return printable(f"{entry['channel']}: {entry['code']}: {entry['message']}")

    def _ended(self, message: Message) -> list[str]:
        channel: str = message["channel"]
        requested = self._requested.get(channel, channel)
        text = printable(f"{channel}: {message['code']}: {message['reason']}")
        if message["code"] < UnsubscribeCode.INSUFFICIENT_STATE:
            self._drop(requested)
            return [text]
        self._positions.pop(requested, None)
        self._again.append(requested)
        return [f"{text}; subscribing again"]

    def _drop(self, requested: str) -> None:
        self._positions.pop(requested, None)
        if requested in self._wanted:
            self._wanted.remove(requested)
