"""Links out of messages: whoever has one may do the one thing that it is for, without logging in.

A token is what it says and a MAC over that, by a key of its own kind: none passes for another kind's, nor for any
other token of the house. Unsubscribing has no end (RFC 8058 asks for that); neither has an acknowledgement, which does
no harm.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from notifiers.people.preferences import MessageKind, Unsubscribed
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode
from schemas.secret import Secret

MAX_TOKEN = 1024
_MAC_BYTES = 16

UserId = Annotated[str, Meta(min_length=1, max_length=128)]

T = TypeVar("T", bound=msgspec.Struct)


class Unsubscribing(msgspec.Struct, frozen=True, array_like=True):
    """Who wants no more of what by which channel."""

    user: UserId
    channel: Way
    kind: MessageKind | None = None

    @property
    def wish(self) -> Unsubscribed:
        """As it stands among the preferences."""
        return Unsubscribed(channel=self.channel, kind=self.kind)


class Acknowledging(msgspec.Struct, frozen=True, array_like=True):
    """Who acknowledges which firing, told by which channel."""

    user: UserId
    trigger: int
    channel: Way


class Links:
    """Makes and reads such links. `base_url` is where the world reaches the hub, without a slash at its end."""

    def __init__(self, secret: Secret, base_url: str) -> None:
        self._secret = secret.reveal().encode()
        self._base_url = base_url

    def unsubscribe(self, user: str, channel: Way, kind: MessageKind | None = None) -> str:
        """The address that a mail names in `List-Unsubscribe`."""
        return f"{self._base_url}/api/v1/unsubscribe/{self._sign('unsubscribe', Unsubscribing(user, channel, kind))}"

    def acknowledge(self, user: str, trigger: int, channel: Way) -> str:
        """The address at which a firing is acknowledged."""
        return f"{self._base_url}/api/v1/acknowledge/{self._sign('acknowledge', Acknowledging(user, trigger, channel))}"

    def read_unsubscribe(self, token: str) -> Unsubscribing:
        """What such a token says. Raises CommandError NOT_FOUND for one that is none of ours."""
        return self._open("unsubscribe", token, Unsubscribing)

    def read_acknowledge(self, token: str) -> Acknowledging:
        """What such a token says. Raises CommandError NOT_FOUND for one that is none of ours."""
        return self._open("acknowledge", token, Acknowledging)

    def _sign(self, purpose: str, said: msgspec.Struct) -> str:
        text = msgspec.json.encode(said)
        return base64.urlsafe_b64encode(self._mac(purpose, text) + text).rstrip(b"=").decode()

    def _open(self, purpose: str, token: str, what: type[T]) -> T:
        octets = _octets(token)
        mac, text = octets[:_MAC_BYTES], octets[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(purpose, text)):
            raise CommandError(ErrorCode.NOT_FOUND, "This link is not complete, or not ours")
        return msgspec.json.decode(text, type=what)

    def _mac(self, purpose: str, text: bytes) -> bytes:
        key = hmac.digest(self._secret, f"tickhub link {purpose}".encode(), hashlib.sha256)
        return hmac.digest(key, text, hashlib.sha256)[:_MAC_BYTES]


def _octets(token: str) -> bytes:
    """What a token holds; nothing for what is none."""
    if len(token) > MAX_TOKEN or not token.isascii():
        return b""
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
