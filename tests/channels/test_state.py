"""What the registry remembers of a channel, and when it may forget it."""

from channels.channel import ChannelNames
from channels.fanout import Group
from channels.namespace import Namespaces
from channels.outbox import Outbox, Subscription
from channels.shape import Shape
from channels.state import ChannelState
from hub.sockets.codec import JSON
from tests.channels.transports import Pipe

NAMES = ChannelNames(Namespaces())


def test_a_channel_is_idle_until_somebody_comes_and_after_the_last_has_left() -> None:
    channel = NAMES.parse("market:RELIANCE")
    state = ChannelState(channel)
    assert state.idle
    state.joining += 1
    assert not state.idle
    state.joining -= 1
    shape = Shape(JSON)
    group = state.groups[shape] = Group(channel, shape, None, 0)
    assert state.idle
    outbox = Outbox(Pipe(), client="c", user="u")
    group.members[outbox] = Subscription(outbox, channel, shape)
    assert not state.idle
    group.members.clear()
    state.watchers.append(lambda _: None)
    assert not state.idle


def test_a_log_channel_keeps_what_it_hears_until_its_place_is_known() -> None:
    assert ChannelState(NAMES.parse("signals:generated")).waiting == []
    assert ChannelState(NAMES.parse("market:RELIANCE")).waiting is None
