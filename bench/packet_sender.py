"""A vendor's side of the wire: sends made-up Kite quotes over one WebSocket, from a process of its own.

    python -m bench.packet_sender PORT INSTRUMENTS PACKETS

All frames are made before the first one is sent, so that sending them costs next to nothing. Control protocol, one
JSON object a line, each answered by one: `{"rate": 100000}` sends them all at that many packets a second (0: as fast
as the other side takes them) and answers, once they are sent, with `{"sent": packets, "seconds": …}`.
"""

import json
import sys
import threading
import time
from random import Random
from struct import pack

from websockets.sync.server import ServerConnection, serve

PER_FRAME = 100
_STEPS_PER_S = 100


def tokens(instruments: int) -> list[int]:
    """The instruments' numbers, of shares at the NSE."""
    return [(10_000 + number) << 8 | 1 for number in range(instruments)]


def frames(instruments: int, packets: int) -> list[bytes]:
    """Quotes of one instrument after another; each is a trade, as its volume has grown."""
    random, numbers, made = Random(1), tokens(instruments), []
    for first in range(0, packets, PER_FRAME):
        parts = [pack(">H", PER_FRAME)]
        for place in range(first, first + PER_FRAME):
            round_number, number = divmod(place, instruments)
            price, volume = 150_000 + random.randrange(200), 1_000 + 25 * round_number
            day = (149_000, 151_000, 148_000, 149_500)
            parts.append(pack(">HIiIiIII4i", 44, numbers[number], price, 25, 149_900, volume, 5_000, 6_000, *day))
        made.append(b"".join(parts))
    return made


class Sender:
    """One WebSocket server for one client."""

    def __init__(self, instruments: int, packets: int) -> None:
        self._frames = frames(instruments, packets)
        self._connection: ServerConnection | None = None

    def welcome(self, connection: ServerConnection) -> None:
        """Lets the client in, and hears what it asks for until it leaves."""
        self._connection = connection
        for _ in connection:
            pass

    def send(self, rate: float) -> dict[str, float]:
        """Sends all frames; a hundredth of a second's at once, as a vendor sends what has changed since the last."""
        assert self._connection is not None
        at_once = max(round(rate / PER_FRAME / _STEPS_PER_S), 1)
        began = due = time.monotonic()
        for first in range(0, len(self._frames), at_once):
            time.sleep(max(due - time.monotonic(), 0))
            due += at_once * PER_FRAME / rate if rate else 0
            for frame in self._frames[first : first + at_once]:
                self._connection.send(frame)
        return {"sent": len(self._frames) * PER_FRAME, "seconds": time.monotonic() - began}


def main() -> None:
    """Serve until the input ends."""
    port, instruments, packets = (int(argument) for argument in sys.argv[1:4])
    sender = Sender(instruments, packets)
    with serve(sender.welcome, "127.0.0.1", port, compression=None) as server:
        threading.Thread(target=server.serve_forever, name="serving", daemon=True).start()
        for line in sys.stdin:
            print(json.dumps(sender.send(json.loads(line)["rate"])), flush=True)
        server.shutdown()


if __name__ == "__main__":
    main()
