"""The one runner of all brokers: an account's sockets, as one feed.

    BrokerFeed            the account: what is wanted, what can be said of it
    ├── Assignment        which socket carries what (pure)
    ├── Admission         one attempt at a time, and patience with refusals
    ├── Batches           from all sockets to one `publish`
    └── Line, some        one socket, kept open
        ├── Connection    one opened socket
        └── Watch         whether its silence is right (pure)

What a source's frames mean is the source's (`feeds.brokers.source`); everything that waits, retries or counts is here.
"""

import asyncio
import logging
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from channels.broker import Clock
from feeds.accounts.assignment import Assignment, Key
from feeds.accounts.batches import Batches
from feeds.accounts.line import Account, Line
from feeds.accounts.retry import Admission
from feeds.brokers.source import (
    Bad,
    Credentials,
    Event,
    InstrumentRefused,
    MarketStatus,
    Mode,
    OrderUpdate,
    Said,
    Source,
)
from feeds.feed import FeedStatus, Health, Publish, Refusal
from feeds.instruments import Instrument
from feeds.listings.directory import Directory
from feeds.publisher import SessionOf
from feeds.waiting import Chance, Sleep
from schemas.durations import Seconds

log = logging.getLogger("tickhub.feeds.accounts.runner")

WORST_FIRST = (
    Health.TOKEN_EXPIRED,
    Health.REFUSED,
    Health.STALE,
    Health.CONNECTING,
    Health.STANDBY,
    Health.LIVE,
    Health.CLOSED,
)
"""An account is as well as the worst of its sockets in use; live where one is live and others may rest."""

_TOLD_EVERY_S: Seconds = 60.0
_MOST_TOLD = 500
_TEXT_CHARS = 200


class BrokerFeed:
    """One broker's account as a feed.

    Args:
        source: the broker's protocol.
        directory: what the broker lists.
        credentials: reads the account's credentials anew, in a thread; may block. Raises `CredentialsMissing`.
        session_of: what an exchange does now.
        mode: how much of each instrument is asked for.
        on_order: gets the vendor's own JSON of each order update of the account.
        on_market: gets what the vendor says of its segments.
        tls: verifies the vendor's certificate. None: by the authorities that this machine trusts.
        clock: monotonic seconds.
        wall: Unix seconds.
        sleep: waits on `clock`.
        chance: a random number in [0, 1), for the pauses.
    """

    def __init__(
        self,
        source: Source,
        *,
        directory: Directory,
        credentials: Callable[[], Credentials],
        session_of: SessionOf,
        mode: Mode = "full",
        on_order: Callable[[bytes], None] | None = None,
        on_market: Callable[[MarketStatus], None] | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
        sleep: Sleep = asyncio.sleep,
        chance: Chance = random.random,
    ) -> None:
        self._source = source
        self._directory = directory
        self._wanted: Collection[Key] = ()
        self._on_order = on_order
        self._on_market = on_market
        self._tls = tls
        self._clock = clock
        self._told: dict[str, Seconds] = {}
        self._assignment = Assignment(source.limits)
        self._batches = Batches()
        account = Account(
            source=source,
            admission=Admission(credentials, clock=clock, sleep=sleep, chance=chance),
            batches=self._batches,
            session_of=session_of,
            mode=mode,
            on_event=self._hear,
            tls=self._context,
            clock=clock,
            wall=wall,
            sleep=sleep,
            chance=chance,
        )
        self._lines = [Line(account, number) for number in range(source.limits.connections)]
        self.bad: Counter[str] = Counter()
        """What made no sense on the wire, by reason."""
        self.refused = 0
        """Instruments that the vendor itself has refused."""

    @property
    def name(self) -> str:
        """The source's name."""
        return self._source.name

    @property
    def status(self) -> FeedStatus:
        """The state of the worst socket in use, by WORST_FIRST."""
        worst = min((line.status for line in self._lines if line.used), key=lambda one: WORST_FIRST.index(one.health))
        return FeedStatus(
            health=worst.health,
            since_ms=worst.since_ms,
            reason=worst.reason,
            instruments=sum(line.subscribed for line in self._lines),
            limit=self._assignment.capacity,
        )

    @property
    def frames(self) -> int:
        """Frames that have come in."""
        return sum(line.frames for line in self._lines)

    @property
    def reconnects(self) -> int:
        """How often a socket was opened again."""
        return sum(max(line.connects - 1, 0) for line in self._lines)

    @property
    def directory(self) -> Directory:
        """What the broker lists. A newer one takes effect at once."""
        return self._directory

    @directory.setter
    def directory(self, directory: Directory) -> None:
        self._directory = directory
        self._assignment.forgive()
        self.want(self._wanted)

    @property
    def exchanges(self) -> Collection[str]:
        """None: a broker brings what is wanted."""
        return ()

    def find(self, exchange: str, symbol: str) -> Instrument | None:
        """The instrument of that name, if the broker lists it."""
        listing = self._directory.find(exchange, symbol)
        return None if listing is None else listing.instrument

    def want(self, wanted: Collection[Key]) -> None:
        """From now on carry exactly these; where not all fit, a sequence's first, or those of a set that were there."""
        self._wanted = tuple(wanted) if isinstance(wanted, Sequence) else frozenset(wanted)
        self._assignment.update(self._wanted, self._directory)
        self._spread()

    def take_refusals(self) -> list[Refusal]:
        """What can't be carried, each told once as long as it stays so."""
        return self._assignment.take_refusals()

    async def run(self, publish: Publish) -> None:
        """Keeps the account's sockets open until cancelled, which takes about a second at most."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._batches.pour(publish), name=f"feed.{self.name}.publish")
                for number, line in enumerate(self._lines):
                    group.create_task(line.run(), name=f"feed.{self.name}.{number}")
        finally:
            for line in self._lines:
                line.stop()

    def _spread(self) -> None:
        for number, line in enumerate(self._lines):
            line.assign(self._assignment.on(number))

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _hear(self, event: Event) -> None:
        match event:
            case Bad(reason=reason, count=count):
                self.bad[reason] += count
                self._note(logging.WARNING, "feed.bad", reason)
            case InstrumentRefused(token=token, reason=reason):
                self._refuse(token, reason)
            case OrderUpdate(data=data):
                if self._on_order is not None:
                    self._on_order(data)
            case MarketStatus():
                if self._on_market is not None:
                    self._on_market(event)
            case Said(text=text):
                self._note(logging.INFO, "feed.said", text)
            case _:
                pass  # the connection has seen to it

    def _refuse(self, token: str, reason: str) -> None:
        if self._assignment.refuse(token, reason):
            self.refused += 1
            self._spread()

    def _note(self, level: int, event: str, text: str) -> None:
        """Logs a text of the vendor's, the same one at most once a minute."""
        short, now_s = text[:_TEXT_CHARS], self._clock()
        if now_s - self._told.get(short, -_TOLD_EVERY_S) < _TOLD_EVERY_S:
            return
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told[short] = now_s
        log.log(level, event, extra={"feed": self.name, "text": short})
