"""The chain of the audit trail: what an entry's hash covers, and how a chain is checked. Nothing here asks anybody.

The entries of one level form one chain, in the order of their ids:

    hash = SHA-256(previous_hash in ASCII + canonical form), in lower-case hex

The canonical form is an object of JSON with sorted keys, without spaces, all but ASCII escaped; a field that is None is
left out. It holds every column but the two hashes, and `details` as the text that is stored, so that whoever has a copy
of the table can check it with any language's standard library.

A change, a gap or another order shows. What doesn't: entries taken off a chain's end, or a whole chain written anew by
somebody who may write to the table. Against that helps a copy of each chain's last hash that is kept elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable

import msgspec

GENESIS = "0" * 64
"""What stands for the hash before a chain's first entry."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table `audit`. A draft has neither id nor hashes yet."""

    id: int = 0
    at_ms: int
    level: str
    action: str
    actor: str | None = None
    target: str | None = None
    address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    risk: int | None = None
    details: str = "{}"
    previous_hash: str = GENESIS
    hash: str = ""


_HASHES = frozenset({"previous_hash", "hash"})
_COVERED = tuple(sorted(name for name in Entry.__struct_fields__ if name not in _HASHES))


def canonical(entry: Entry) -> bytes:
    """All that the entry says, apart from the hashes; two that differ never have the same bytes."""
    said = {name: value for name in _COVERED if (value := getattr(entry, name)) is not None}
    return json.dumps(said, separators=(",", ":"), default=_foreign).encode("ascii")


def _foreign(value: object) -> dict[str, str]:
    """A value that no entry ever had; SQLite keeps bytes in a column of text if somebody puts them there."""
    return {"foreign": repr(value)}


def hash_of(entry: Entry, previous_hash: str) -> str:
    """The entry's hash where it follows the one with that hash."""
    before = str(previous_hash).encode("utf-8", "surrogatepass")  # hex, unless somebody has changed the table
    return hashlib.sha256(before + canonical(entry)).hexdigest()


def seal(draft: Entry, *, entry_id: int, previous_hash: str) -> Entry:
    """The draft as the chain's next entry."""
    numbered = msgspec.structs.replace(draft, id=entry_id, previous_hash=previous_hash)
    return msgspec.structs.replace(numbered, hash=hash_of(numbered, previous_hash))


def verify(entries: Iterable[Entry], anchor: str = GENESIS) -> int | None:
    """The id of the first entry that doesn't follow from what stands before it; None where all do.

    `anchor` is the hash before the first of them, so a long chain can be checked in parts: the next part's anchor is
    the hash of this one's last entry.
    """
    previous_hash = anchor
    for entry in entries:
        if entry.previous_hash != previous_hash or entry.hash != hash_of(entry, previous_hash):
            return entry.id
        previous_hash = entry.hash
    return None
