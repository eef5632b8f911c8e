"""What the registry knows of one channel that is heard here: for whom, since when, and how far."""

import asyncio
from collections.abc import Callable

from channels.broker import Publication
from channels.channel import Channel
from channels.fanout import Group
from channels.namespace import Policy
from channels.shape import Shape, Update
from schemas.commands import Position

Watcher = Callable[[Update], None]
"""Told every update of a channel inside this process; must neither wait nor raise."""


class ChannelState:
    """One channel with local subscribers or watchers."""

    __slots__ = (
        "asked",
        "broker_offset",
        "channel",
        "claims",
        "count",
        "groups",
        "heard",
        "joining",
        "last",
        "log",
        "position",
        "steady",
        "trails",
        "waiting",
        "watchers",
    )

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.log = channel.namespace.policy is Policy.LOG
        self.groups: dict[Shape, Group] = {}
        self.watchers: list[Watcher] = []
        self.joining = 0
        """Subscribers and watchers on their way in; they keep the state alive."""
        self.claims = 0
        """How often the broker was asked to hear this channel."""
        self.heard = False
        """The broker has confirmed that it does."""
        self.asked = False
        """The broker has told a latest channel's newest value, or that there is none."""
        self.last: Update | None = None
        self.count = 0
        self.broker_offset = 0
        """The newest counted offset of a latest channel; 0 after an interruption, when the count may restart."""
        self.position: Position | None = None
        """How far a log channel has been passed on; None until it is known."""
        self.waiting: list[Publication] | None = [] if self.log else None
        """What a log channel says while its place is unknown or a gap is open; None while all is well."""
        self.steady = asyncio.Event()
        self.trails: list[list[Publication]] = []
        """For each subscriber on its way in: what has been passed on since its position was read."""

    @property
    def idle(self) -> bool:
        """Whether nobody hears the channel here, and nobody is about to."""
        return not (self.joining or self.watchers or any(group.members for group in self.groups.values()))
