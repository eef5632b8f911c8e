"""Channel names: `namespace:name`, read once, written in one canonical form, and the errors for all others.

`market:reliance` is `market:NSE:RELIANCE`; `alerts:user`, asked for by user 7, is `alerts:7`.
"""

import re

import msgspec
from msgspec import structs

from channels.namespace import Access, Form, Namespace, Namespaces
from schemas.errors import CommandError, ErrorCode
from schemas.market import EXCHANGES, TIMEFRAMES

MAX_LENGTH = 255
DEFAULT_EXCHANGE = "NSE"
DELAYED = "delayed"
"""The first word of delayed channels; no namespace may have it."""
OWN = "user"
"""The name that stands for the caller's own id in namespaces with access `owner`."""

_PRINTABLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_WORD = re.compile(r"[a-z][a-z0-9_-]*")
_CACHE_SIZE = 50_000


class Channel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One channel: its canonical name, its namespace, and what the name says of an instrument."""

    name: str
    namespace: Namespace
    exchange: str | None = None
    symbol: str | None = None
    timeframe: str | None = None
    owner: str | None = None
    delay_s: int = 0
    """This channel repeats another one, so many seconds later."""

    @property
    def public_name(self) -> str:
        """The name that clients see.

        An owner's own channel is always `<namespace>:user`; a delayed channel has the name of the one it repeats.
        """
        if self.owner is not None:
            return f"{self.namespace.name}:{OWN}"
        return self.name.split(":", 2)[2] if self.delay_s else self.name

    def delayed(self, delay_s: int) -> "Channel":
        """The channel that repeats this one so many seconds later. No client can name it."""
        return structs.replace(self, name=f"{DELAYED}:{delay_s}:{self.name}", delay_s=delay_s)

    def __hash__(self) -> int:
        return hash(self.name)


class ChannelNames:
    """Reads channel names against the known namespaces. Names that were read are remembered, up to a bound."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._read: dict[str, Channel] = {}

    @property
    def namespaces(self) -> Namespaces:
        """What names are read against."""
        return self._namespaces

    def replace(self, namespaces: Namespaces) -> None:
        """Read names against these namespaces from now on; for channels that were read before see `renewed`."""
        self._namespaces = namespaces
        self._read.clear()

    def renewed(self, channel: Channel) -> Channel | None:
        """The same channel under its namespace's present rules.

        The channel itself where these have not changed, or the namespace is gone; None where under them it would be
        another channel: one with a log instead of a newest value, or of an owner instead of everyone.
        """
        before = channel.namespace
        now = self._namespaces.get(before.name)
        if now is None or now == before:
            return channel
        if now.policy is not before.policy or (now.access is Access.OWNER) is not (before.access is Access.OWNER):
            return None
        return structs.replace(channel, namespace=now)

    def parse(self, text: str, *, user: str | None = None) -> Channel:
        """The channel of a name as a client (`user` is its id) or a publisher (no `user`) wrote it.

        Raises CommandError UNKNOWN_CHANNEL where the name is malformed or its namespace unknown, INVALID_SYMBOL
        where the namespace wants a symbol and the name holds none, PERMISSION_DENIED for someone else's channel.
        """
        channel = self._read.get(text)
        if channel is None:
            channel = self._parse(text, user)
            if channel.owner is None or not text.endswith(f":{OWN}"):  # `alerts:user` differs from user to user
                if len(self._read) >= _CACHE_SIZE:
                    self._read.clear()
                self._read[text] = channel
        if user is not None and channel.owner is not None and channel.owner != user:
            raise CommandError(ErrorCode.PERMISSION_DENIED, "{channel} belongs to someone else", channel=text)
        return channel

    def _parse(self, text: str, user: str | None) -> Channel:
        if len(text) > MAX_LENGTH:
            raise CommandError(
                ErrorCode.UNKNOWN_CHANNEL, "A channel name has at most {most} characters", most=MAX_LENGTH
            )
        if not _PRINTABLE.fullmatch(text):
            raise CommandError(
                ErrorCode.UNKNOWN_CHANNEL, "{name!a} is no name of printable ASCII characters", name=text[:80]
            )
        word, colon, rest = text.partition(":")
        namespace = self._namespaces.get(word)
        if namespace is None or namespace.access is Access.INTERNAL:
            raise CommandError(ErrorCode.UNKNOWN_CHANNEL, "No namespace {word!r}", word=word)
        if not colon or not rest.strip():
            raise CommandError(ErrorCode.UNKNOWN_CHANNEL, "{name!r} names no channel in {word!r}", name=text, word=word)
        return self._read_name(namespace, rest, user)

    def _read_name(self, namespace: Namespace, rest: str, user: str | None) -> Channel:
        match namespace.form:
            case Form.SYMBOL:
                return self._instrument(namespace, rest)
            case Form.CANDLE:
                timeframe, _, name = rest.partition(":")
                if timeframe not in TIMEFRAMES or not name:
                    raise CommandError(
                        ErrorCode.UNKNOWN_CHANNEL,
                        "{namespace}:{rest} is no {namespace}:TIMEFRAME:EXCHANGE:SYMBOL;"
                        " timeframes are 1m 3m 5m 15m 30m 1h 1d",
                        namespace=namespace.name,
                        rest=rest,
                    )
                return self._instrument(namespace, name, timeframe=timeframe)
            case Form.SIGNAL if not _WORD.fullmatch(rest):
                return self._instrument(namespace, rest)
            case Form.SIGNAL | Form.FREE:
                pass
        if namespace.access is Access.OWNER:
            if rest == OWN:
                if user is None:
                    raise CommandError(
                        ErrorCode.UNKNOWN_CHANNEL,
                        "{channel} is whose? Name the user's id",
                        channel=f"{namespace.name}:{OWN}",
                    )
                rest = user
            return Channel(name=f"{namespace.name}:{rest}", namespace=namespace, owner=rest)
        return Channel(name=f"{namespace.name}:{rest}", namespace=namespace)

    def _instrument(self, namespace: Namespace, text: str, *, timeframe: str | None = None) -> Channel:
        exchange, colon, symbol = text.upper().partition(":")
        if not colon:
            exchange, symbol = DEFAULT_EXCHANGE, exchange
        if exchange not in EXCHANGES:
            raise CommandError(
                ErrorCode.INVALID_SYMBOL,
                "{exchange!r} is none of the exchanges {exchanges}",
                exchange=exchange,
                exchanges=" ".join(sorted(EXCHANGES)),
            )
        if not symbol or symbol != symbol.strip() or ":" in symbol:
            raise CommandError(ErrorCode.INVALID_SYMBOL, "{symbol!r} is no symbol", symbol=text)
        place = f"{timeframe}:{exchange}:{symbol}" if timeframe else f"{exchange}:{symbol}"
        return Channel(
            name=f"{namespace.name}:{place}",
            namespace=namespace,
            exchange=exchange,
            symbol=symbol,
            timeframe=timeframe,
        )
