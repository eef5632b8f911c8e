"""Tokens that have been verified lately, so that a signature is checked once and not at every request.

Nothing here says that a token is still good: its times, and whether it was revoked, are looked at on every use. Tokens
that were refused are not kept. Tokens themselves stand nowhere: a dump of this memory would be a bunch of open doors,
and a digest takes well under a microsecond.
"""

import hashlib
from collections import OrderedDict

import msgspec

from auth.identity import Identity

MAX_TOKENS = 4096
"""Some 4 MB at most. Only who holds valid tokens fills it, and the one that was used longest ago goes first."""


class VerifiedToken(msgspec.Struct, frozen=True, gc=False):
    """Whose the token is, and between which times (Unix seconds)."""

    identity: Identity
    not_before: float
    ends_at: float


class VerifiedTokens:
    """The verified tokens of one verifier."""

    def __init__(self, max_tokens: int = MAX_TOKENS) -> None:
        self._max_tokens = max_tokens
        self._tokens: OrderedDict[bytes, VerifiedToken] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, token: str) -> VerifiedToken | None:
        """What is known of the token; an ASCII text."""
        digest = _digest(token)
        known = self._tokens.get(digest)
        if known is not None:
            self._tokens.move_to_end(digest)
        return known

    def keep(self, token: str, identity: Identity, *, not_before: float, ends_at: float) -> None:
        """Know the token from now on."""
        self._tokens[_digest(token)] = VerifiedToken(identity, not_before, ends_at)
        if len(self._tokens) > self._max_tokens:
            self._tokens.popitem(last=False)

    def clear(self) -> None:
        """Forget them all."""
        self._tokens.clear()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("ascii")).digest()
