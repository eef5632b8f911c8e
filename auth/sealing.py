"""Secrets at rest: sealed with a key that the database doesn't hold, and sealed anew when the key changes.

A sealed value is `<key id>.<base64url of nonce and AES-256-GCM ciphertext>`. Its context, e.g. `totp:u_1`, is the
associated data: a value that somebody moves to another row doesn't open there. Nonces are random; by NIST SP 800-38D a
key may seal 2**32 values.
"""

import base64
import binascii
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Column, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.transactions import reading, writing
from schemas.errors import TickhubError
from schemas.tables import accounts, webhook_endpoints

MIN_KEY_BYTES = 32

_ID_BYTES = 4
_NONCE_BYTES = 12
_PAGE = 500


class Unsealable(TickhubError):
    """A sealed value doesn't open. `known_key` is whether it is of a key at hand, and so was changed or moved."""

    def __init__(self, *, known_key: bool) -> None:
        super().__init__(known_key)
        self.known_key = known_key

    def __str__(self) -> str:
        if self.known_key:
            return "a sealed value was changed, or belongs to another row"
        return "a value was sealed with a key that is not at hand"


class Sealer:
    """Seals with the first of its keys, and opens what any of them has sealed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Raises ValueError where there is no key, or one of less than 32 bytes."""
        if not keys or any(len(key) < MIN_KEY_BYTES for key in keys):
            raise ValueError(f"values are sealed with one key or more, each of at least {MIN_KEY_BYTES} bytes")
        named = [_named(key) for key in keys]
        self._first = named[0][0]
        self._ciphers = dict(reversed(named))  # of two keys with one id the first counts

    def seal(self, text: str, context: str) -> str:
        """The text, readable to nobody without the key, and only in this context."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, text.encode(), context.encode())
        return f"{self._first}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """The text again. Raises Unsealable where it was sealed with another key, in another context, or changed."""
        key_id, _, body = sealed.partition(".")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise Unsealable(known_key=False)
        try:
            raw = base64.b64decode(body, altchars=b"-_", validate=True)
            if base64.urlsafe_b64encode(raw).decode() != body:  # the last letter has bits that nothing decodes
                raise Unsealable(known_key=True)
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode()).decode()
        except (binascii.Error, ValueError, InvalidTag):
            raise Unsealable(known_key=True) from None

    def outdated(self, sealed: str) -> bool:
        """Whether another key than the first has sealed it."""
        return sealed.partition(".")[0] != self._first


def _named(key: bytes) -> tuple[str, AESGCM]:
    """A cipher and the id of its key, each out of its own part of what is derived: the id tells nothing of the key."""
    derived = HKDF(SHA256(), length=_ID_BYTES + 32, salt=None, info=b"tickhub sealed values").derive(key)
    return derived[:_ID_BYTES].hex(), AESGCM(derived[_ID_BYTES:])


class SealedColumn(NamedTuple):
    """A column of sealed values; `purpose` and the row's id are the context of each."""

    purpose: str
    row_id: Column[Any]
    value: Column[Any]

    def context(self, row_id: object) -> str:
        """What the value of that row is bound to."""
        return f"{self.purpose}:{row_id}"


TOTP_SECRET = SealedColumn("totp", accounts.c.id, accounts.c.totp_secret)
WEBHOOK_SECRET = SealedColumn("webhook", webhook_endpoints.c.id, webhook_endpoints.c.secret)
WEBHOOK_PREVIOUS = SealedColumn("webhook", webhook_endpoints.c.id, webhook_endpoints.c.previous_secret)
"""In the same context, so that a secret which is replaced goes there as it is."""

SEALED_COLUMNS: tuple[SealedColumn, ...] = (TOTP_SECRET, WEBHOOK_SECRET, WEBHOOK_PREVIOUS)
"""All there are; whoever seals another column adds it here, or it will not open once its key is gone."""


class Resealed(NamedTuple):
    """How many values were sealed anew, and how many no key at hand opens; these were left as they are."""

    resealed: int
    unsealable: int


async def reseal(
    engine: AsyncEngine,
    sealer: Sealer,
    columns: Sequence[SealedColumn] = SEALED_COLUMNS,
    *,
    tell: Callable[[int, int], None] = lambda *_: None,
) -> Resealed:
    """Seal with the first key whatever another has sealed. May be run at any time, beside users, and again.

    `tell` hears how many of how many have been looked at.

    Cancelling is safe; what was done stays done. Raises Unavailable where the database fails.
    """
    resealed = unsealable = seen = 0
    total = sum([await _count(engine, column) for column in columns])
    for column in columns:
        after: object = None
        while rows := await _page(engine, column, after):
            for row_id, sealed in rows:
                try:
                    resealed += await _reseal_one(engine, sealer, column, row_id, sealed)
                except Unsealable:
                    unsealable += 1
            after = rows[-1][0]
            seen += len(rows)
            tell(seen, total)
    return Resealed(resealed, unsealable)


async def _count(engine: AsyncEngine, column: SealedColumn) -> int:
    async with reading(engine) as connection:
        return (await connection.execute(select(func.count(column.value)))).scalar_one()


async def _page(engine: AsyncEngine, column: SealedColumn, after: object) -> Sequence[Any]:
    query = select(column.row_id, column.value).where(column.value.is_not(None)).order_by(column.row_id).limit(_PAGE)
    if after is not None:
        query = query.where(column.row_id > after)
    async with reading(engine) as connection:
        return (await connection.execute(query)).all()


async def _reseal_one(engine: AsyncEngine, sealer: Sealer, column: SealedColumn, row_id: object, sealed: str) -> int:
    """1 where the value is sealed anew, 0 where it needn't be or its owner has changed it meanwhile."""
    context = column.context(row_id)
    text = sealer.open(sealed, context)
    if not sealer.outdated(sealed):
        return 0
    change = update(column.value.table).where(column.row_id == row_id, column.value == sealed)
    async with writing(engine) as connection:
        return (await connection.execute(change.values({column.value: sealer.seal(text, context)}))).rowcount
