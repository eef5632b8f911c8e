"""Shoonya's feed, and that of every other broker on the Noren platform: JSON texts, decimal strings, only what changes.

    us      {"t":"c","uid":…,"actid":…,"susertoken":…,"source":"API"}     them    {"t":"ck","s":"OK"}
            {"t":"t","k":"NSE|22#BSE|508123"}   touchline                         tk, then tf
            {"t":"d","k":…}                     depth, five levels                dk, then df
            {"t":"u"…}, {"t":"ud"…}             no longer                         uk, udk
            {"t":"h"}                           every 3 s                         hk

`tk` and `dk` hold every field of one instrument (`e` and `tk` name it), `tf` and `df` only those that have changed, so
each connection keeps what it was told. A changed price may come without any of the others. Precision (`pp`), tick size
(`ti`) and lot (`ls`) are left to the instrument master, and decimals are read as they stand. Sources: NorenRestApiPy
0.0.22 and the README of ShoonyaApi-py.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import msgspec

from feeds.brokers.source import (
    Alive,
    Bad,
    Conversation,
    Credentials,
    Event,
    Frame,
    Heard,
    Http,
    InstrumentRefused,
    Limits,
    Mode,
    OrderUpdate,
    Ping,
    Ready,
    Request,
    TokenExpired,
)
from feeds.feed import Update
from feeds.instruments import Instrument, Listing
from schemas.market import Depth, Figures, Tick

URL = "wss://api.shoonya.com/NorenWSTP/"

_IST_OFFSET_S = 19_800
_DAY_S = 86_400

_SUBSCRIBE = {"ltp": "t", "quote": "t", "full": "d"}
_UNSUBSCRIBE = {"t": "u", "d": "ud"}
_SNAPSHOTS = frozenset({"tk", "dk"})
_CHANGES = frozenset({"tf", "df"})
_CALM = frozenset({"hk", "uk", "udk", "ok"})

_POWERS = (10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1)

_Message = Mapping[str, object]


def exact_price(text: str) -> int:
    """A decimal as an integer of 1/PRICE_SCALE, without a detour over floats: `2500.05` is 25000500000.

    Raises ValueError for anything but digits with at most one point and one sign, and beyond seven decimals.
    """
    whole, _, decimals = text.partition(".")
    digits = whole + decimals
    if len(decimals) > 7 or len(whole) > 12 or not digits.isascii() or not digits.removeprefix("-").isdigit():
        raise ValueError("no decimal")
    return int(digits) * _POWERS[len(decimals)]


def _quantity(text: str) -> int:
    if len(text) > 18 or not text.isascii() or not text.isdigit():
        raise ValueError("no quantity")
    return int(text)


def _epoch_s(text: str) -> int:
    if len(text) > 10:
        raise ValueError("no time")
    return _quantity(text)


def _clock_s(text: str) -> int:
    """`14:03:59` as seconds of the day; an epoch stays one."""
    if ":" not in text:
        return _epoch_s(text)
    hour, minute, second = (_quantity(part) for part in text.split(":"))
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("no time")
    return hour * 3600 + minute * 60 + second


_LEVELS = ("1", "2", "3", "4", "5")
_READERS: dict[str, Callable[[str], int]] = {
    **dict.fromkeys(("lp", "o", "h", "l", "c", "ap", "lc", "uc", "52h", "52l"), exact_price),
    **dict.fromkeys(("v", "oi", "ltq", "tbq", "tsq"), _quantity),
    "ft": _epoch_s,
    "ltt": _clock_s,
    **{side + level: exact_price for side in ("bp", "sp") for level in _LEVELS},
    **{side + level: _quantity for side in ("bq", "sq", "bo", "so") for level in _LEVELS},
}
"""What reads a field. Those that are not here have no place in a tick: pc and poi and toi, and the master's."""

_BIDS = tuple(("bp" + level, "bq" + level, "bo" + level) for level in _LEVELS)
_ASKS = tuple(("sp" + level, "sq" + level, "so" + level) for level in _LEVELS)
_BOOK = frozenset(field for side in (_BIDS, _ASKS) for level in side for field in level)


class _Known(dict[str, int]):
    """What an instrument's fields were last. A token that changes hands needs a new snapshot."""

    __slots__ = ("symbol",)

    def __init__(self, symbol: str) -> None:
        super().__init__()
        self.symbol = symbol


class ShoonyaConversation(Conversation):
    """One connection."""

    ready_at_once = False

    def __init__(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> None:
        self._credentials = credentials
        self._listings = listings
        self._known: dict[str, _Known] = {}
        self._kinds: dict[str, str] = {}

    def greeting(self) -> Sequence[Frame]:
        """The login of the session; the account is the user's own unless `account_id` is set."""
        user = self._credentials["user_id"]
        login = {
            "t": "c",
            "uid": user,
            "actid": self._credentials.get("account_id") or user,
            "susertoken": self._credentials["access_token"],
            "source": "API",
        }
        return (msgspec.json.encode(login).decode(),)

    def subscribe(self, listings: Sequence[Listing], mode: Mode) -> Sequence[Frame]:
        """Touchline, or depth in mode full; an instrument that changes from one to the other leaves the first."""
        kind = _SUBSCRIBE[mode]
        changed = [listing for listing in listings if self._kinds.get(listing.token, kind) != kind]
        frames = [*self.unsubscribe(changed), *_frames(kind, [listing.token for listing in listings])]
        self._kinds.update((listing.token, kind) for listing in listings)
        return frames

    def unsubscribe(self, listings: Sequence[Listing]) -> Sequence[Frame]:
        """Leaves what was asked for, and forgets what was told; what was never asked for is left out."""
        by_kind: dict[str, list[str]] = {}
        for listing in listings:
            self._known.pop(listing.token, None)
            if (kind := self._kinds.pop(listing.token, None)) is not None:
                by_kind.setdefault(kind, []).append(listing.token)
        return [frame for kind, tokens in by_kind.items() for frame in _frames(_UNSUBSCRIBE[kind], tokens)]

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        """One message; binary frames are read the same."""
        try:
            message = msgspec.json.decode(frame)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return Heard(events=(Bad("no_json"),))
        kind = message.get("t") if isinstance(message, dict) else None
        if not isinstance(kind, str):
            return Heard(events=(Bad("unknown_type"),))
        if kind in _CHANGES or kind in _SNAPSHOTS:
            return self._prices(message, received_ms, snapshot=kind in _SNAPSHOTS)
        return Heard(events=(_event(kind, message, frame),))

    def _prices(self, message: _Message, received_ms: int, *, snapshot: bool) -> Heard:
        token = f"{message.get('e')}|{message.get('tk')}"
        if (refused := message.get("emsg")) is not None:
            return Heard(events=(InstrumentRefused(token, f"the vendor says: {refused}"),))
        instrument = self._listings.get(token)
        if instrument is None:
            return Heard(events=(Bad("unknown_token"),))
        known = self._known.get(token)
        if snapshot:
            known = self._known[token] = _Known(instrument.symbol)
        elif known is None or known.symbol != instrument.symbol:
            return Heard(events=(Bad("no_snapshot"),))
        if not _merge(known, message):
            return Heard(events=(Bad("bad_value"),))
        if not known.get("lp"):
            return Heard(events=(Bad("no_price"),))
        time_ms = _time_ms(known, message, received_ms)
        updates: list[Update] = [_tick(known, instrument, time_ms, None if snapshot else _trade_ms(message, known))]
        if message["t"] in {"dk", "df"} and not _BOOK.isdisjoint(message):
            updates.append(_depth(known, instrument, time_ms))
        return Heard(updates)


class Shoonya:
    """The source `shoonya`; `SHOONYA_URL` makes it another Noren broker's. One session a user, no published limit."""

    name = "shoonya"
    limits = Limits(connections=1, instruments_per_connection=1_000_000, instruments_per_frame=100)
    credential_names: Sequence[str] = ("user_id", "access_token")
    ping: Ping | None = Ping(frame='{"t":"h"}', interval_s=3.0)
    silence_s = 30.0
    hints: Mapping[str, str] = {
        "title": "Shoonya",
        "token_expired": "A session lasts a day, and ends when its user logs in elsewhere. A new login gives a new"
        " token, which is taken up without a restart.",
        "refused": "Shoonya allows one session to one user.",
    }

    async def request(self, credentials: Credentials, http: Http) -> Request:
        """The address; the session's token follows once connected."""
        return Request(url=credentials.get("url") or URL)

    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> Conversation:
        """A conversation for one connection."""
        return ShoonyaConversation(credentials, listings)


def _frames(kind: str, tokens: Sequence[str]) -> list[Frame]:
    step = Shoonya.limits.instruments_per_frame
    parts = (tokens[at : at + step] for at in range(0, len(tokens), step))
    return [msgspec.json.encode({"t": kind, "k": "#".join(part)}).decode() for part in parts]


def _event(kind: str, message: _Message, frame: Frame) -> Event:
    """What a message without prices means. A refused login gives no code, only words, so it is the session's end."""
    if kind == "ck":
        if message.get("s") == "OK":
            return Ready()
        return TokenExpired(f"the session is refused: {message.get('emsg') or message.get('s') or 'no reason given'}")
    if kind == "om":
        return OrderUpdate(frame.encode() if isinstance(frame, str) else frame)
    return Alive() if kind in _CALM else Bad("unknown_type")


def _merge(known: dict[str, int], message: _Message) -> bool:
    """Takes over the fields of a message; False where one could not be read, of which nothing is known then."""
    readable = True
    for field, text in message.items():
        if (read := _READERS.get(field)) is None:
            continue
        try:
            known[field] = read(text)  # type: ignore[arg-type]  # what is no string fails below
        except (ValueError, TypeError, AttributeError):
            known.pop(field, None)
            readable = False
    return readable


def _time_ms(known: Mapping[str, int], message: _Message, received_ms: int) -> int:
    """The feed's own time; where a message brings none, that of its arrival in whole seconds, as the feed counts."""
    fed_ms = known.get("ft", 0) * 1000
    return fed_ms if fed_ms and "ft" in message else max(fed_ms, received_ms // 1000 * 1000)


def _trade_ms(message: _Message, known: Mapping[str, int]) -> int | None:
    """The last trade's time, where a change tells it: a clock time alone, in a snapshot, may be of any day."""
    seconds = known.get("ltt", 0)
    fed_s = known.get("ft", 0)
    if "ltt" not in message or not seconds:
        return None
    if seconds >= _DAY_S:
        return seconds * 1000
    day_s = (fed_s + _IST_OFFSET_S) // _DAY_S * _DAY_S - _IST_OFFSET_S
    return (day_s + seconds) * 1000 if fed_s and day_s + seconds <= fed_s + 60 else None


def _tick(known: Mapping[str, int], instrument: Instrument, time_ms: int, trade_ms: int | None) -> Tick:
    get = known.get
    return Tick(
        instrument.exchange,
        instrument.symbol,
        known["lp"],
        time_ms,
        None,
        get("o") or None,
        get("h") or None,
        get("l") or None,
        get("c") or None,
        get("v"),
        get("bp1") or None,
        get("sp1") or None,
        get("bq1"),
        get("sq1"),
        get("ltq"),
        get("ap") or None,
        get("tbq"),
        get("tsq"),
        get("oi"),
        get("lc") or None,
        get("uc") or None,
        get("52l") or None,
        get("52h") or None,
        last_trade_ms=trade_ms,
    )


def _depth(known: Mapping[str, int], instrument: Instrument, time_ms: int) -> Depth:
    return Depth(instrument.exchange, instrument.symbol, time_ms, _side(known, _BIDS), _side(known, _ASKS))


def _side(known: Mapping[str, int], fields: Sequence[tuple[str, str, str]]) -> Figures:
    get = known.get
    levels = [(get(price, 0), get(quantity, 0), get(orders, 0)) for price, quantity, orders in fields]
    return tuple(chain(*[level for level in levels if level[0] > 0 and level[1]]))
