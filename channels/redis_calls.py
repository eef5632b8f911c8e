"""How publications become calls of the scripts, and what the scripts answer."""

import secrets
from collections.abc import Iterator, Sequence

import msgspec

from channels.broker import IDEMPOTENCY_WINDOW_S, Receipt
from channels.channel import Channel
from channels.lease import Fence
from channels.redis_link import Call
from channels.redis_scripts import IDLE_POSITION_S, LATEST, PUBLISH, Keys


class Entry(msgspec.Struct, frozen=True):
    """One publication on its way in; `ingest_id` where it came over the ingest stream."""

    channel: Channel
    payload: bytes
    key: str | None = None
    ingest_id: bytes = b""


def publish_call(
    keys: Keys, word: bytes, partition: int, entries: Sequence[Entry], *, incarnation: bytes = b""
) -> Call:
    """The script that publishes entries of one partition. Raises ValueError for a payload of several lines."""
    named = [keys.last[partition], keys.ingested[partition]]
    arguments: list[bytes | int] = [
        word,
        keys.envelopes[partition],
        new_epoch(),
        int(IDEMPOTENCY_WINDOW_S * 1000),
        IDLE_POSITION_S * 1000,
        incarnation,
    ]
    for entry in entries:
        if b"\n" in entry.payload:
            raise ValueError("a payload is one line")
        namespace, name = entry.channel.namespace, entry.channel.name.encode("ascii")
        named += (
            keys.position(partition, name),
            keys.log(partition, name),
            keys.idempotency(partition, name, entry.key or ""),
        )
        arguments += (
            name,
            entry.payload,
            namespace.policy.encode(),
            b"0" if entry.key is None else b"1",
            namespace.history_size,
            int(namespace.history_age_s * 1000),
            entry.ingest_id,
        )
    return Call(PUBLISH, named, arguments)


def latest_call(keys: Keys, word: bytes, partition: int, values: Sequence[bytes], fence: Fence | None = None) -> Call:
    """The script that sets last values, `channel, payload, …` of one partition, and publishes if there is a `word`."""
    shown: tuple[bytes, bytes | int] = (b"", b"") if fence is None else (f" {fence.name}".encode(), fence.number)
    return Call(LATEST, [keys.last[partition]], [word, keys.envelopes[partition], *shown, *values])


def receipts(reply: list[bytes | int]) -> list[Receipt]:
    """What the publishing script answers with."""
    return [Receipt(int(offset), _text(epoch), bool(duplicate)) for offset, epoch, duplicate in _triples(reply)]


def _triples(reply: list[bytes | int]) -> Iterator[tuple[bytes | int, bytes | int, bytes | int]]:
    rest = iter(reply)
    return zip(rest, rest, rest, strict=True)


def _text(value: bytes | int) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def new_epoch() -> bytes:
    """A name for a log channel's next epoch, in case it needs one."""
    return secrets.token_hex(6).encode()
