"""The registry: which channels this process hears, for whom, and that nobody misses anything unawares.

It is the broker's sink. On a latest channel the newest value is what counts: it is kept, numbered and fanned out. On
a log channel every publication counts: only the next offset is passed on, and where one is missing the channel waits
until the gap is filled from history, or its subscribers are told that it can't be.
"""

import asyncio
import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

import msgspec

from channels.broker import Broker, HistoryPage, Member, Publication
from channels.channel import Channel, ChannelNames
from channels.fanout import Fanout, Group, next_turn
from channels.outbox import Outbox, Subscription
from channels.recovery import merge
from channels.shape import Shape, Update
from channels.state import ChannelState, Watcher
from schemas.commands import Position
from schemas.errors import CommandError, Unavailable, UnsubscribeCode
from schemas.phrases import Phrase

log = logging.getLogger("tickhub.channels.registry")

MAX_WAITING = 10_000
"""Publications of one log channel that wait for a gap to be filled; with more, the gap is told instead."""


class Wish(msgspec.Struct, frozen=True):
    """One channel that somebody wants, in which shape, and from where on (log channels)."""

    channel: Channel
    shape: Shape
    since: Position | None = None


class Joined(msgspec.Struct, frozen=True):
    """A granted wish, not yet live: `Registry.start` makes it so, after the reply has been written."""

    subscription: Subscription
    position: Position | None = None
    recovered: bool | None = None
    missed: tuple[Publication, ...] = ()
    trail: list[Publication] = []
    """What the log channel passed on since `position` was read, still growing."""


class Registry:
    """Channels with local subscribers. One per process; everything happens in its event loop."""

    def __init__(self, broker: Broker, fanout: Fanout) -> None:
        self._broker = broker
        self._fanout = fanout
        self._states: dict[str, ChannelState] = {}
        self._repairs: dict[ChannelState, None] = {}
        self._refreshes: dict[ChannelState, None] = {}
        self._dropped: list[tuple[Channel, int]] = []
        self._interruptions = 0
        self._changes = 0
        self._work = asyncio.Event()
        self.publications = 0
        self.gaps_filled = 0
        self.gaps_told = 0

    @property
    def channel_count(self) -> int:
        """Channels that are heard here."""
        return len(self._states)

    @property
    def changes(self) -> int:
        """How often somebody began or ceased to hear something; while it is the same, so is `wanted`."""
        return self._changes

    def wanted(self) -> set[str]:
        """What the subscribers of instruments' channels want from the feeds, see `channels.demand`."""
        return {
            name
            for state in self._states.values()
            if state.channel.symbol is not None
            for group in state.groups.values()
            for name in _wanted(state.channel, group.shape)
        }

    # -- the broker's sink ----------------------------------------------------------------------------------------

    def deliver(self, publications: Sequence[Publication]) -> None:
        """Take publications in order; see `channels.broker.Sink`."""
        states = self._states
        for publication in publications:
            state = states.get(publication.channel)
            if state is None:
                continue
            if state.log:
                self._take_log(state, publication)
            else:
                self._take_latest(state, publication)
        self.publications += len(publications)
        self._fanout.settle()

    def interrupted(self) -> None:
        """Something may have been lost: every log channel compares its position, every latest one its value."""
        self._interruptions += 1
        for state in self._states.values():
            if not state.log:
                state.broker_offset = 0
                self._refreshes[state] = None
            elif state.position is not None:
                self._lose_place(state)
        self._work.set()

    def members(self, channel: str) -> list[Member]:
        """Who hears the channel in this process."""
        state = self._states.get(channel)
        if state is None:
            return []
        return [Member(outbox.client, outbox.user) for group in state.groups.values() for outbox in group.members]

    def _take_latest(self, state: ChannelState, publication: Publication) -> None:
        offset = publication.offset
        if offset:
            if offset <= state.broker_offset:
                return
            state.broker_offset = offset
        previous = state.last
        number = max(offset, previous.number + 1 if previous else 1)
        self._pass_on(state, Update(publication, number), previous)

    def _take_log(self, state: ChannelState, publication: Publication) -> None:
        if not publication.offset:
            self._pass_on(state, Update(publication, 0), None)
            return
        if state.waiting is not None:
            if len(state.waiting) < MAX_WAITING:
                state.waiting.append(publication)
            return
        position = state.position
        if position is None or publication.epoch != position.epoch or publication.offset > position.offset + 1:
            self._lose_place(state)
            if state.waiting is not None:
                state.waiting.append(publication)
        elif publication.offset == position.offset + 1:
            self._pass_on_log(state, publication)

    def _pass_on_log(self, state: ChannelState, publication: Publication) -> None:
        state.position = Position(publication.epoch, publication.offset)
        for trail in state.trails:
            trail.append(publication)
        self._pass_on(state, Update(publication, publication.offset), None)

    def _pass_on(self, state: ChannelState, update: Update, previous: Update | None) -> None:
        if not state.log:
            state.last = update
        state.count += 1
        for group in state.groups.values():
            if group.members:
                self._fanout.offer(group, update, state.count, previous)
        for watcher in state.watchers:
            watcher(update)

    # -- subscribing ----------------------------------------------------------------------------------------------

    async def join(self, outbox: Outbox, wishes: Sequence[Wish]) -> list[Joined | CommandError]:
        """Prepare subscriptions: an answer for each wish, in order. Nothing is sent before `start`.

        The caller then writes its reply and calls `start` for what it was granted without awaiting in between; it
        calls `abandon` instead where it can't. Cancelling is safe.
        """
        states = [self._enter(wish.channel) for wish in wishes]
        answers: list[Joined | CommandError] = []
        try:
            await self._hear(states)
            for wish, state in zip(wishes, states, strict=True):
                answers.append(await self._grant(outbox, wish, state))
        except BaseException:
            for answer, state in zip_longest(answers, states):
                if isinstance(answer, Joined):
                    self.abandon(answer)
                else:
                    self._exit(state)
            raise
        for answer, state in zip(answers, states, strict=True):
            if isinstance(answer, CommandError):
                self._exit(state)
        return answers

    def start(self, joined: Joined) -> None:
        """Make one subscription live: what it missed or the snapshot first, then everything that comes."""
        subscription = joined.subscription
        state = self._states[subscription.channel.name]
        group = self._group(state, subscription.shape)
        self._fanout.flush_group(group)
        group.members[subscription.outbox] = subscription
        state.joining -= 1
        self._changes += 1
        if state.log:
            self._start_log(state, group, joined)
        else:
            self._start_latest(state, group, subscription)

    def abandon(self, joined: Joined) -> None:
        """Give up a subscription that was granted and not started."""
        state = self._states[joined.subscription.channel.name]
        self._end_trail(state, joined.trail)
        self._exit(state)

    def leave(self, subscription: Subscription) -> None:
        """End a subscription. What was published before is still written; nothing after."""
        state = self._states.get(subscription.channel.name)
        if state is None:
            return
        group = state.groups.get(subscription.shape)
        if group is not None and group.members.get(subscription.outbox) is subscription:
            self._fanout.flush_group(group)
            del group.members[subscription.outbox]
            if not group.members:
                del state.groups[subscription.shape]
        self._changes += 1
        subscription.outbox.held.pop(subscription, None)
        self._drop_if_idle(state)

    def flush(self) -> None:
        """Write what waits for the next tick, now."""
        self._fanout.flush()

    def resume(self, outbox: Outbox) -> None:
        """The outbox's transport has room again."""
        self._fanout.resume(outbox)

    async def watch(self, channel: Channel, watcher: Watcher) -> None:
        """Call `watcher` with the present value and every update from now on. It must not raise."""
        state = self._enter(channel)
        try:
            await self._hear([state])
            state.watchers.append(watcher)
            if state.last is not None:
                watcher(state.last)
            if state.log and state.position is None:
                self._lose_place(state)
        finally:
            self._exit(state)

    def unwatch(self, channel: Channel, watcher: Watcher) -> None:
        """Call `watcher` no longer."""
        state = self._states.get(channel.name)
        if state is not None and watcher in state.watchers:
            state.watchers.remove(watcher)
            self._drop_if_idle(state)

    def position(self, channel: str) -> Position | None:
        """How far a log channel that is heard here has been passed on."""
        state = self._states.get(channel)
        return state.position if state is not None else None

    def _enter(self, channel: Channel) -> ChannelState:
        state = self._states.get(channel.name)
        if state is None:
            state = self._states[channel.name] = ChannelState(channel)
        state.joining += 1
        return state

    def _exit(self, state: ChannelState) -> None:
        state.joining -= 1
        self._drop_if_idle(state)

    def _drop_if_idle(self, state: ChannelState) -> None:
        if state.idle and self._states.get(state.channel.name) is state:
            del self._states[state.channel.name]
            self._repairs.pop(state, None)
            self._refreshes.pop(state, None)
            if state.claims:
                self._dropped.append((state.channel, state.claims))
                self._work.set()

    def _group(self, state: ChannelState, shape: Shape) -> Group:
        group = state.groups.get(shape)
        if group is None:
            group = state.groups[shape] = Group(state.channel, shape, state.last, state.count)
        return group

    def _start_log(self, state: ChannelState, group: Group, joined: Joined) -> None:
        self._end_trail(state, joined.trail)
        reached = joined.position
        for publication in joined.trail:
            if reached is None or (publication.epoch, publication.offset) != (reached.epoch, reached.offset + 1):
                reached = None
                break
            reached = Position(publication.epoch, publication.offset)
        if reached != state.position:  # the channel was cut off from its past after this subscriber was granted
            self._end(joined.subscription, UnsubscribeCode.INSUFFICIENT_STATE)
            return
        run = [group.encode(Update(one, one.offset)) for one in (*joined.missed, *joined.trail)]
        if run:
            joined.subscription.outbox.put(b"".join(run))

    @staticmethod
    def _end_trail(state: ChannelState, trail: list[Publication]) -> None:
        state.trails = [one for one in state.trails if one is not trail]

    def _start_latest(self, state: ChannelState, group: Group, subscription: Subscription) -> None:
        subscription.count = state.count
        if state.last is None:
            return
        if subscription.outbox.behind:  # many snapshots at once must not drown a reader: it gets them as it reads
            self._fanout.hold_snapshot(group, subscription)
            return
        subscription.sent = state.last
        if subscription.shape.max_frequency is not None:
            period = 1 / subscription.shape.max_frequency
            subscription.due = next_turn(asyncio.get_running_loop().time(), period)
        subscription.outbox.put(group.snapshot_of(state.last))

    async def _hear(self, states: Sequence[ChannelState]) -> None:
        """Let the broker hear what it does not yet, in one go, and bring the newest values and positions."""
        new = [state for state in states if not state.heard]
        if new:
            await self._broker.subscribe([state.channel for state in new])
            for state in new:
                state.claims += 1  # only now: a subscribe that fails or is cancelled counts for nothing
                state.heard = True
        await self._refresh([state for state in states if not (state.log or state.asked)], only_missing=True)

    async def _refresh(self, states: Sequence[ChannelState], *, only_missing: bool = False) -> None:
        """Bring the newest values of latest channels; a broker that is away is asked again in the background."""
        if not states:
            return
        try:
            values = await self._broker.last([state.channel for state in states])
        except Unavailable:
            for state in states:
                state.asked = True  # in the background
                self._refreshes[state] = None
            self._work.set()
            return
        for state in states:
            state.asked = True
            value = values.get(state.channel.name)
            if value is None or (state.last is not None and (only_missing or state.last.payload == value.payload)):
                continue
            self._take_latest(state, value)
        self._fanout.settle()

    async def _grant(self, outbox: Outbox, wish: Wish, state: ChannelState) -> Joined | CommandError:
        subscription = Subscription(outbox, wish.channel, wish.shape)
        if not state.log:
            return Joined(subscription)
        try:
            return await self._grant_log(subscription, wish, state)
        except Unavailable as exc:
            return exc.refusal

    async def _grant_log(self, subscription: Subscription, wish: Wish, state: ChannelState) -> Joined:
        trail: list[Publication] = []
        since = wish.since
        here = await self._place(state)
        if since is not None and since.epoch == here.epoch and since.offset > here.offset:
            self._lose_place(state)  # the client has heard more elsewhere than we have here
            here = await self._place(state)
        state.trails.append(trail)
        if since is None or since == here:
            return Joined(subscription, here, None if since is None else True, (), trail)
        try:
            page = await self._read_since(state.channel, since)
        except BaseException:
            self._end_trail(state, trail)
            raise
        merged = merge(since, page, trail)
        if not merged.complete or not _reaches(merged.position, here):
            return Joined(subscription, here, recovered=False, trail=trail)
        missed = tuple(one for one in merged.publications if one.offset <= here.offset)
        return Joined(subscription, here, recovered=True, missed=missed, trail=trail)

    async def _place(self, state: ChannelState) -> Position:
        """Where a log channel stands, once that is known."""
        if state.position is None and state.waiting is not None:
            await self._find_place(state)
        while state.waiting is not None or state.position is None:
            state.steady.clear()
            try:
                async with asyncio.timeout(5):
                    await state.steady.wait()
            except TimeoutError as exc:
                raise Unavailable("channel", "its place in the log is not known at the moment") from exc
        return state.position

    async def _find_place(self, state: ChannelState) -> None:
        while True:
            before = self._interruptions
            page = await self._broker.history(state.channel, limit=0)
            if state.position is not None:
                return
            if before == self._interruptions:  # else the page may be older than what was lost
                self._settle_place(state, page.position, ())
                return

    async def _read_since(self, channel: Channel, since: Position) -> HistoryPage:
        return await self._broker.history(channel, since=since, limit=max(channel.namespace.history_size, 1))

    # -- gaps -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Fill gaps, refresh values and let go of channels nobody wants, until cancelled."""
        pause_s = 0.0
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                await self._work_off()
                pause_s = 0.0
            except Unavailable as exc:
                pause_s = min(2.0, pause_s * 2 or 0.1)
                log.warning("registry.waiting", extra={"what": exc.what, "pause_s": pause_s})
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
                self._work.set()

    async def _work_off(self) -> None:
        while self._dropped:
            channel, claims = self._dropped[-1]
            await self._broker.unsubscribe([channel] * claims)
            self._dropped.remove((channel, claims))
        refreshes = list(self._refreshes)
        self._refreshes.clear()
        await self._refresh(refreshes)
        if any(state in self._refreshes for state in refreshes):
            raise Unavailable("broker", "values could not be refreshed")
        for state in list(self._repairs):
            if state in self._repairs:
                await self._repair_or_queue_again(state)

    async def _repair_or_queue_again(self, state: ChannelState) -> None:
        del self._repairs[state]  # first: what is lost during the repair asks for another one
        try:
            await self._repair(state)
        except Unavailable:
            if self._states.get(state.channel.name) is state:
                self._repairs[state] = None  # behind the others, which may fare better
            raise

    def _lose_place(self, state: ChannelState) -> None:
        if state.waiting is None:
            state.waiting = []
        self._repairs[state] = None
        self._work.set()

    async def _repair(self, state: ChannelState) -> None:
        since = state.position
        if since is None:
            await self._find_place(state)
            return
        page = await self._read_since(state.channel, since)
        waiting = state.waiting or []
        merged = merge(since, page, waiting)
        overflowed = len(waiting) >= MAX_WAITING
        if merged.complete and not overflowed:
            if merged.publications:
                self.gaps_filled += 1
            self._settle_place(state, since, merged.publications)
            return
        self.gaps_told += 1
        log.warning("channel.gap", extra={"channel": state.channel.name, "since": since.offset})
        self._end_all(state, UnsubscribeCode.INSUFFICIENT_STATE)
        state.waiting = [one for one in waiting if one.epoch == page.position.epoch]
        self._settle_place(state, page.position, ())
        if overflowed:
            self._lose_place(state)

    def _settle_place(self, state: ChannelState, position: Position, publications: Iterable[Publication]) -> None:
        """The place is known again: pass on what belongs behind it, then what has waited."""
        waiting, state.waiting = state.waiting or [], None
        state.position = position
        for publication in publications:
            self._pass_on_log(state, publication)
        for publication in waiting:
            self._take_log(state, publication)
        state.steady.set()
        self._fanout.settle()

    def end_instrument(self, exchange: str, symbol: str, code: UnsubscribeCode, reason: Phrase) -> None:
        """End all subscriptions of an instrument's channels, for a reason that subscribers are told."""
        place = (exchange, symbol)
        for state in [one for one in self._states.values() if (one.channel.exchange, one.channel.symbol) == place]:
            self._end_all(state, code, reason)

    def renew(self, names: ChannelNames) -> None:
        """Namespaces have been replaced: write publications by their new rules.

        Subscriptions end where the channel would be another one; they may be asked for again. Whether a subscriber may
        still hear a channel, and what becomes of channels without a namespace, is for whoever knows the subscribers.
        """
        for state in list(self._states.values()):
            channel = names.renewed(state.channel)
            if channel is None:
                self._end_all(state, UnsubscribeCode.INSUFFICIENT_STATE)
            elif channel is not state.channel:
                self._renew(state, channel)

    def _renew(self, state: ChannelState, channel: Channel) -> None:
        self._fanout.flush()  # what waits was said under the old rules
        state.channel = channel
        for group in state.groups.values():
            group.channel = channel
            group.snapshot = group.given = None
            for subscription in group.members.values():
                subscription.channel = channel

    def _end_all(self, state: ChannelState, code: UnsubscribeCode, reason: Phrase | None = None) -> None:
        subscriptions = [one for group in state.groups.values() for one in group.members.values()]
        for subscription in subscriptions:
            self._end(subscription, code, reason)

    def _end(self, subscription: Subscription, code: UnsubscribeCode, reason: Phrase | None = None) -> None:
        self.leave(subscription)
        if subscription.outbox.on_unsubscribed is not None:
            subscription.outbox.on_unsubscribed(subscription, code, reason)


def _wanted(channel: Channel, shape: Shape) -> Iterator[str]:
    yield channel.public_name
    for indicator in shape.indicators:
        yield f"{channel.public_name}#{indicator}"


def _reaches(position: Position, goal: Position) -> bool:
    return position.epoch == goal.epoch and position.offset >= goal.offset
