"""Starlette on uvicorn, as most tutorials broadcast: `await websocket.send_text(…)`, one subscriber after another."""

import asyncio
import sys
from collections import defaultdict
from contextlib import suppress

import uvicorn
from publisher import TOKEN, Publisher, message_text, symbol_name
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

subscribers: dict[str, set[WebSocket]] = defaultdict(set)


async def session(websocket: WebSocket) -> None:
    """One socket: checks the token, subscribes, and waits for its end."""
    await websocket.accept()
    if websocket.query_params.get("token") != TOKEN:
        await websocket.close(3500)
        return
    await websocket.send_json({"type": "welcome"})
    try:
        while True:
            command = await websocket.receive_json()
            for symbol in command["channels"]:
                subscribers[symbol].add(websocket)
            await websocket.send_json({"type": "subscribed"})
    except WebSocketDisconnect:
        pass
    finally:
        for members in subscribers.values():
            members.discard(websocket)


async def publish(batch: list[tuple[int, int]]) -> None:
    """Send each price to each of its subscribers."""
    for number, stamp in batch:
        text = message_text(number, stamp)
        for websocket in tuple(subscribers[symbol_name(number)]):
            with suppress(RuntimeError, WebSocketDisconnect):
                await websocket.send_text(text)


async def serve(port: int, symbols: int) -> None:
    """Serve until killed."""
    app = Starlette(routes=[WebSocketRoute("/ws", session)])
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=port, log_level="warning", ws_ping_interval=None, ws_per_message_deflate=False, lifespan="off"
        )
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Publisher(publish, symbols=symbols).run(), name="publisher")
        tasks.create_task(server.serve(), name="server")


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
