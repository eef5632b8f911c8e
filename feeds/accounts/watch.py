"""Whether a connection's silence is right: the clock, the session calendar, and what was heard last. Pure.

Three things look alike from outside. At night nothing comes, and that is right. In an open market a dead connection
brings nothing either, not even the vendor's heartbeat. And a connection that lives may carry heartbeats and no prices,
because the vendor has forgotten what was subscribed: the fault that nobody notices.
"""

from collections.abc import Iterable
from enum import Enum

from schemas.durations import Seconds
from schemas.market import MarketState

NO_DATA_S: Seconds = 60.0
"""For how long a market in continuous trading may bring signs of life only."""
LONGEST_NO_DATA_S: Seconds = 960.0
ASKED_AGAIN_S: Seconds = 20.0
"""For how long prices may not come after they were asked for again."""
AUCTION_SILENCE_S: Seconds = 360.0
"""For how long an auction may bring nothing from a vendor without heartbeats: it has parts in which nothing moves."""
SNAPSHOT_S: Seconds = 10.0
"""Prices that come so soon after subscribing are the last ones, and prove nothing about the market's."""

_MOVING = frozenset({MarketState.PRE_OPEN, MarketState.CONTINUOUS, MarketState.CLOSING_AUCTION})


class Finding(Enum):
    """What the watch says."""

    WELL = "well"
    AT_REST = "at rest"
    """No market is open; silence is right."""
    NO_DATA = "no data"
    """Signs of life, but no prices for too long: time to ask for them again. Said once."""
    WAITING = "waiting"
    """They have been asked for again, and still don't come."""
    MUTE = "mute"
    """Asking again has not helped."""
    DEAD = "dead"
    """Nothing at all has come for too long."""


class Watch:
    """Watches one line over all its connections. Times are seconds of one monotonic clock.

    The patience with a market without prices doubles each time it ends, up to LONGEST_NO_DATA_S, and shrinks back once
    prices move by themselves: whoever watches but one option that nobody trades is not reconnected all day.
    """

    def __init__(self, silence_s: Seconds) -> None:
        self.silence_s = silence_s
        """For how long nothing at all may come from an open market."""
        self._heard_s = 0.0
        self._data_s = 0.0
        self._subscribed_s = 0.0
        self._lacking_since_s: Seconds | None = None
        self._moving_since_s: Seconds | None = None
        self._continuous_since_s: Seconds | None = None
        self._beats = False
        self._patience_s = NO_DATA_S

    def connected(self, now_s: Seconds) -> None:
        """A new connection begins."""
        self._heard_s = self._data_s = self._subscribed_s = now_s
        self._lacking_since_s = None
        self._beats = False

    def subscribed(self, now_s: Seconds, *, first: bool) -> None:
        """Instruments were asked for; `first`: there were none before."""
        self._subscribed_s = now_s
        if first:
            self._data_s = now_s

    def heard(self, now_s: Seconds, *, data: bool, beat: bool = False) -> None:
        """A frame came: with prices, with a sign of life that is nothing else, or with anything."""
        self._heard_s = now_s
        self._beats = self._beats or beat
        if not data:
            return
        self._data_s = now_s
        self._lacking_since_s = None
        if now_s - self._subscribed_s > SNAPSHOT_S:
            self._patience_s = NO_DATA_S

    def judge(self, now_s: Seconds, states: Iterable[MarketState]) -> Finding:
        """What the silence means while the markets of the subscribed instruments are in these states."""
        present = set(states)
        self._moving_since_s = _since(self._moving_since_s, now_s, holds=bool(present & _MOVING))
        continuous = MarketState.CONTINUOUS in present
        self._continuous_since_s = _since(self._continuous_since_s, now_s, holds=continuous)
        if self._moving_since_s is None:
            self._lacking_since_s = None
            return Finding.AT_REST
        allowed_s = self.silence_s if continuous or self._beats else max(self.silence_s, AUCTION_SILENCE_S)
        if now_s - max(self._heard_s, self._moving_since_s) > allowed_s:
            return Finding.DEAD
        return self._judge_data(now_s)

    def _judge_data(self, now_s: Seconds) -> Finding:
        if self._lacking_since_s is not None:
            return Finding.MUTE if now_s - self._lacking_since_s > ASKED_AGAIN_S else Finding.WAITING
        if self._continuous_since_s is None:
            return Finding.WELL
        if now_s - max(self._data_s, self._continuous_since_s) <= self._patience_s:
            return Finding.WELL
        self._lacking_since_s = now_s
        self._patience_s = min(LONGEST_NO_DATA_S, self._patience_s * 2)
        return Finding.NO_DATA


def _since(before_s: Seconds | None, now_s: Seconds, *, holds: bool) -> Seconds | None:
    if not holds:
        return None
    return now_s if before_s is None else before_s
