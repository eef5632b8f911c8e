"""Publishes to nats-server over TCP, from a process of its own: nats-server has no feed inside.

Arguments: the server's TCP port, the number of symbols.
"""

import asyncio
import sys

from publisher import TOKEN, Publisher, message_text, symbol_name


async def main(port: int, symbols: int) -> None:
    """Publish until killed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(b'CONNECT {"verbose":false,"pedantic":false,"auth_token":"%s"}\r\n' % TOKEN.encode())

    async def publish(batch: list[tuple[int, int]]) -> None:
        parts = []
        for number, stamp in batch:
            text = message_text(number, stamp)
            parts.append(f"PUB {symbol_name(number)} {len(text)}\r\n{text}\r\n")
        writer.write("".join(parts).encode())
        await writer.drain()

    async def answer_pings() -> None:
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answer_pings(), name="pings")
        tasks.create_task(Publisher(publish, symbols=symbols).run(), name="publisher")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
