"""What outsiders say with a plain `PUBLISH hub:<channel> <JSON>`: read with the same rules as everything else.

Whoever can reach Redis can publish anything, so nothing here raises: what can't be used is counted by reason and
dropped, and a line a minute and reason says so.
"""

import logging
from collections import Counter

from channels.broker import Clock
from channels.channel import Channel, ChannelNames
from schemas.errors import CommandError
from schemas.publications import MAX_BYTES

log = logging.getLogger("tickhub.channels.outsiders")

LOG_INTERVAL_S = 60.0


class Outsiders:
    """Reads raw publications under one prefix. `clock` is monotonic seconds."""

    def __init__(self, names: ChannelNames, prefix: str, *, clock: Clock) -> None:
        self.rejected: Counter[str] = Counter()
        """How many were dropped, by reason: unknown_channel, too_big, bad_payload."""
        self._names = names
        self._skip = len(prefix)
        self._clock = clock
        self._logged: dict[str, tuple[float, int]] = {}

    def channel(self, name: bytes) -> Channel | None:
        """The channel that a pub/sub channel's name stands for; None, and counted, where there is none."""
        try:
            return self._names.parse(name[self._skip :].decode("ascii"))
        except (CommandError, UnicodeDecodeError):
            self.reject("unknown_channel")
            return None

    def payload(self, channel: Channel, data: bytes) -> bytes | None:
        """The payload as it is published; None, and counted, where the namespace's schema refuses it."""
        if len(data) > MAX_BYTES:
            self.reject("too_big")
            return None
        try:
            return channel.namespace.normalise(data)
        except CommandError:
            self.reject("bad_payload")
            return None

    def reject(self, reason: str) -> None:
        """Count one message that is dropped, and log it at most once a minute."""
        self.rejected[reason] += 1
        now, count = self._clock(), self.rejected[reason]
        logged_at, logged = self._logged.get(reason, (-LOG_INTERVAL_S, 0))
        if now - logged_at >= LOG_INTERVAL_S:
            self._logged[reason] = (now, count)
            log.warning("broker.outsider_rejected", extra={"reason": reason, "count": count - logged, "total": count})
