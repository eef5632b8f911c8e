"""The `websockets` library's own server and its `broadcast`, the fastest way that its documentation knows."""

import asyncio
import json
import sys
from collections import defaultdict
from urllib.parse import parse_qs, urlsplit

from publisher import TOKEN, Publisher, message_text, symbol_name
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

subscribers: dict[str, set[ServerConnection]] = defaultdict(set)


async def session(connection: ServerConnection) -> None:
    """One socket: checks the token, subscribes, and waits for its end."""
    assert connection.request is not None
    if parse_qs(urlsplit(connection.request.path).query).get("token") != [TOKEN]:
        await connection.close(3500)
        return
    await connection.send('{"type":"welcome"}')
    try:
        async for text in connection:
            for symbol in json.loads(text)["channels"]:
                subscribers[symbol].add(connection)
            await connection.send('{"type":"subscribed"}')
    except ConnectionClosed:
        pass
    finally:
        for members in subscribers.values():
            members.discard(connection)


async def publish(batch: list[tuple[int, int]]) -> None:
    """Broadcast each price to its subscribers."""
    for number, stamp in batch:
        broadcast(subscribers[symbol_name(number)], message_text(number, stamp))


async def main(port: int, symbols: int) -> None:
    """Serve until killed."""
    async with serve(session, "127.0.0.1", port, compression=None, ping_interval=None, backlog=2048):
        await Publisher(publish, symbols=symbols).run()
        await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
