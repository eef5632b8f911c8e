"""What is kept of rules and tracks, as bytes: written without bounds being broken, and read with suspicion.

The bytes come back from a database, maybe from another release: whoever reads them says of what types they are made.
"""

from typing import Any, TypeVar

import msgspec

from schemas.errors import TickhubError

T = TypeVar("T")

_FAULTS = (msgspec.MsgspecError, OverflowError, RecursionError, TypeError, ValueError)
"""What msgspec raises for what it can't write, such as integers of more than 64 bits, or can't read."""


class Unwritable(TickhubError):
    """A state that has no bytes."""


class Unreadable(TickhubError):
    """Bytes that are no state of what they are given to."""


def written(state: object) -> bytes:
    """The bytes of a state. Raises Unwritable."""
    try:
        return msgspec.msgpack.encode(state)
    except _FAULTS as exc:
        raise Unwritable(type(exc).__name__) from exc


def read(state: bytes, shape: type[T]) -> T:
    """The state of those bytes, of that shape. Raises Unreadable."""
    try:
        return msgspec.msgpack.decode(state, type=shape)
    except _FAULTS as exc:
        raise Unreadable(type(exc).__name__) from exc


def remembered(kept: object, shape: Any) -> Any:
    """A part of a state that was read, in that shape. Raises Unreadable."""
    try:
        return msgspec.convert(kept, shape)
    except _FAULTS as exc:
        raise Unreadable(type(exc).__name__) from exc
