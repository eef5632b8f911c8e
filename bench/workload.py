"""The shapes of load: how many sockets, how many symbols, and who hears what."""

import random
from dataclasses import dataclass

from bench.peers.publisher import symbol_name

_SEED = 20261121


@dataclass(frozen=True)
class Workload:
    """`sockets` connections of which each hears `per_socket` of `symbols`; `probes` of them time each message."""

    sockets: int = 1000
    symbols: int = 500
    per_socket: int = 50
    probes: int = 16

    @property
    def fan_out(self) -> float:
        """How many sockets hear one publication."""
        return self.sockets * self.per_socket / self.symbols

    def publications(self, deliveries_per_s: float) -> float:
        """The rate of publications that makes that rate of deliveries."""
        return deliveries_per_s / self.fan_out

    def assignments(self) -> list[list[str]]:
        """The symbols of each socket: dealt like cards, so that each symbol has the same number of sockets.

        Raises ValueError where `per_socket` does not divide `symbols`, for then the deal is not even.
        """
        if self.symbols % self.per_socket:
            raise ValueError(f"{self.symbols} symbols can't be dealt {self.per_socket} at a time")
        dealer = random.Random(_SEED)
        deck = [symbol_name(number) for number in range(self.symbols)]
        hands: list[list[str]] = []
        while len(hands) < self.sockets:
            dealer.shuffle(deck)
            hands += [deck[start : start + self.per_socket] for start in range(0, self.symbols, self.per_socket)]
        return hands[: self.sockets]


SPREAD = Workload()
"""1,000 sockets, each on 50 of 500 symbols."""

ONE_CHANNEL = Workload(symbols=1, per_socket=1)
"""1,000 sockets on one channel."""

CROWD = Workload(sockets=10_000, probes=32)
"""10,000 sockets, each on 50 of 500 symbols."""
