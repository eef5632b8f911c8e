"""Django Channels with channels_redis: one group a symbol, `group_send`, on uvicorn.

The third argument is the channel layer: `core` (the documented default) or `pubsub`; the fourth Redis's address.
"""

import asyncio
import sys
from typing import Any
from urllib.parse import parse_qs

import django
import uvicorn
from django.conf import settings
from publisher import TOKEN, Publisher, message_text, symbol_name

_LAYERS = {
    "core": "channels_redis.core.RedisChannelLayer",
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
}


def configure(layer: str, redis_url: str) -> None:
    """Set Django up; before anything of `channels` is imported."""
    settings.configure(
        SECRET_KEY=TOKEN,
        CHANNEL_LAYERS={"default": {"BACKEND": _LAYERS[layer], "CONFIG": {"hosts": [redis_url]}}},
    )
    django.setup()


async def serve(port: int, symbols: int) -> None:
    """Serve until killed."""
    from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: PLC0415 - after `configure`
    from channels.layers import get_channel_layer  # noqa: PLC0415

    class Prices(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
        """One socket: checks the token and enters one group a symbol."""

        async def connect(self) -> None:
            await self.accept()
            if parse_qs(self.scope["query_string"].decode()).get("token") != [TOKEN]:
                await self.close(3500)
                return
            await self.send_json({"type": "welcome"})

        async def receive_json(self, content: dict[str, Any]) -> None:  # type: ignore[override]
            self.groups = content["channels"]
            for symbol in self.groups:
                await self.channel_layer.group_add(symbol, self.channel_name)
            await self.send_json({"type": "subscribed"})

        async def price(self, event: dict[str, Any]) -> None:
            await self.send(text_data=event["text"])

    layer = get_channel_layer()

    async def publish(batch: list[tuple[int, int]]) -> None:
        for number, stamp in batch:
            await layer.group_send(symbol_name(number), {"type": "price", "text": message_text(number, stamp)})

    server = uvicorn.Server(
        uvicorn.Config(
            Prices.as_asgi(),
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

    configure(sys.argv[3], sys.argv[4])
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
