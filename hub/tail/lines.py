"""One line an update, for pipes and files."""

import time

from hub.tail.subscriptions import Message
from hub.tail.words import escaped, line_of
from hub.terminal import complain, printable, say
from schemas.durations import Seconds


class Lines:
    """A watcher that writes publications to stdout, as text or as they came, and all else to stderr."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def connected(self) -> None:
        """See `Watcher`."""

    def waiting(self, pause_s: Seconds, why: str) -> None:
        """See `Watcher`."""
        complain(f"reconnecting in {pause_s:.1f} s: {why}")

    def heard(self, message: Message, raw: str) -> None:
        """See `Watcher`. Raises NobodyReads."""
        say(escaped(raw) if self._as_json else line_of(message, int(time.time() * 1000)))

    def told(self, line: str) -> None:
        """See `Watcher`."""
        complain(printable(line))
