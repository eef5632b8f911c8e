"""What stands between a delivery and its provider: asked late, right before the attempt is written down.

Gates are handed to the worker in the order in which they are to be asked; what one of them holds or skips, the later
ones don't see. Whether a delivery is too late or its alert acknowledged, the outbox knows by itself.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import msgspec

from notifiers.outbox.delivery import Delivery
from notifiers.outbox.provider import Addressee
from notifiers.way import Way


class Hold(msgspec.Struct, frozen=True):
    """Not before `until_ms` (Unix), for `reason`.

    `keeps`: its time to live begins only then, as where its owner asks not to be woken; else it may get too late.
    """

    until_ms: int
    reason: str
    keeps: bool = False


class Skip(msgspec.Struct, frozen=True):
    """Not at all."""

    reason: str


class Instead(msgspec.Struct, frozen=True):
    """Not by this channel but by another one, for `reason`."""

    way: Way
    reason: str


Verdict: TypeAlias = Hold | Skip | Instead

Gate: TypeAlias = Callable[[Sequence[Delivery], Mapping[str, Addressee]], Awaitable[Mapping[int, Verdict]]]
"""Deliveries and those whom they are for, by user; answers with the verdicts on those that may not go, by their id.

Many at once, so that a gate which has to look something up looks once. Raises Unavailable where it can't tell: then
they all wait. A user without an addressee never gets as far as a gate.
"""

AddresseesOf: TypeAlias = Callable[[Collection[str]], Awaitable[Mapping[str, Addressee]]]
"""Whom deliveries are for, by user; who isn't there any more is left out. Raises Unavailable."""

EndpointsOf: TypeAlias = Callable[[Way, str], Awaitable[Sequence[str]]]
"""The endpoints of a user's for push or webhook, as `Delivery.endpoint` names them. Raises Unavailable."""
