"""Which of an account's sockets carries which instrument, and what doesn't fit. Pure."""

from collections.abc import Collection, Mapping, Sequence

from feeds.brokers.source import Limits
from feeds.feed import Refusal
from feeds.instruments import Listing
from feeds.listings.directory import Directory
from schemas.errors import ErrorCode
from schemas.phrases import Phrase

Key = tuple[str, str]
"""Exchange and symbol."""


class Assignment:
    """Spreads instruments over sockets. Who has a place keeps it; new ones go to the first socket with room."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places: dict[Key, int] = {}
        self._listings: dict[Key, Listing] = {}
        self._refused: dict[Key, Refusal] = {}
        self._unlisted: dict[Key, str] = {}
        self._news: list[Refusal] = []

    @property
    def capacity(self) -> int:
        """The most instruments that the account carries."""
        return self._limits.connections * self._limits.instruments_per_connection

    def __len__(self) -> int:
        return len(self._places)

    def on(self, socket: int) -> dict[str, Listing]:
        """What one socket carries, by token."""
        return {
            self._listings[key].token: self._listings[key] for key, place in self._places.items() if place == socket
        }

    def update(self, wanted: Collection[Key], directory: Directory) -> None:
        """Places exactly what is wanted, the first ones where not all fit.

        An unordered collection has no first ones; there, those that have a place keep it.
        """
        order = wanted if isinstance(wanted, Sequence) else sorted(wanted, key=lambda key: key not in self._places)
        found = {key: directory.find(*key) for key in order}
        self._unlisted = {key: why for key, why in self._unlisted.items() if key in found}
        listed = {key: one for key, one in found.items() if one is not None and key not in self._unlisted}
        self._listings = dict(list(listed.items())[: self.capacity])
        self._refuse({key: self._refusal(key, found[key]) for key in found if key not in self._listings})
        self._place()

    def refuse(self, token: str, reason: str) -> bool:
        """Drops what the vendor says it doesn't carry; whether that was anything. Holds until `forgive`."""
        key = next((key for key, listing in self._listings.items() if listing.token == token), None)
        if key is None:
            return False
        del self._listings[key], self._places[key]
        self._unlisted[key] = reason
        self._refuse(self._refused | {key: self._refusal(key, None)})
        return True

    def forgive(self) -> None:
        """Forgets what the vendor didn't carry: its list is a new one."""
        self._unlisted = {}

    def take_refusals(self) -> list[Refusal]:
        """Those since the last call; who was refused before and still is, isn't told again."""
        news, self._news = self._news, []
        return [refusal for refusal in news if self._refused.get((refusal.exchange, refusal.symbol)) == refusal]

    def _refuse(self, refused: Mapping[Key, Refusal]) -> None:
        self._news = [one for one in self._news if self._refused.get((one.exchange, one.symbol)) == one]
        self._news += [refusal for key, refusal in refused.items() if self._refused.get(key) != refusal]
        self._refused = dict(refused)

    def _refusal(self, key: Key, listing: Listing | None) -> Refusal:
        exchange, symbol = key
        code = ErrorCode.INVALID_SYMBOL
        reason = Phrase("{place} is not listed at this source", {"place": f"{exchange}:{symbol}"})
        if key in self._unlisted:
            reason = Phrase(self._unlisted[key])
        elif listing is not None:
            code = ErrorCode.LIMIT_EXCEEDED
            reason = Phrase("the account carries at most {count} instruments", {"count": self.capacity})
        return Refusal(exchange=exchange, symbol=symbol, code=code, reason=reason)

    def _place(self) -> None:
        self._places = {key: place for key, place in self._places.items() if key in self._listings}
        room = [self._limits.instruments_per_connection] * self._limits.connections
        for place in self._places.values():
            room[place] -= 1
        socket = 0
        for key in self._listings:
            if key not in self._places:
                while not room[socket]:
                    socket += 1
                room[socket] -= 1
                self._places[key] = socket
