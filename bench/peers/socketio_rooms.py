"""python-socketio as an ASGI application on uvicorn: one room a symbol, WebSocket transport only."""

import asyncio
import sys
from typing import Any
from urllib.parse import parse_qs

import socketio
import uvicorn
from publisher import TOKEN, Publisher, message_fields, symbol_name

sio = socketio.AsyncServer(
    async_mode="asgi", transports=["websocket"], ping_interval=3600, cors_allowed_origins="*", http_compression=False
)


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> bool:
    """Check the token."""
    return parse_qs(environ["QUERY_STRING"]).get("token") == [TOKEN]


@sio.event
async def subscribe(sid: str, symbols: list[str]) -> None:
    """Enter one room a symbol."""
    for symbol in symbols:
        await sio.enter_room(sid, symbol)
    await sio.emit("subscribed", to=sid)


async def publish(batch: list[tuple[int, int]]) -> None:
    """Emit each price to its room."""
    for number, stamp in batch:
        await sio.emit("price", message_fields(number, stamp), room=symbol_name(number))


async def serve(port: int, symbols: int) -> None:
    """Serve until killed."""
    server = uvicorn.Server(
        uvicorn.Config(
            socketio.ASGIApp(sio),
            port=port,
            log_level="warning",
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            lifespan="off",
        )
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Publisher(publish, symbols=symbols).run(), name="publisher")
        tasks.create_task(server.serve(), name="server")


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
