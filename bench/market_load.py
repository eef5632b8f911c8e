"""The load as the hub's feeds publish it: symbols as channels, prices as payloads. For the hub's own processes."""

from bench.peers.publisher import Publisher, symbol_name
from channels.broker import Broker
from channels.channel import Channel, ChannelNames

_PAYLOAD = b'{"price":12500.55,"change":1112.45,"total_buy_quantity":%d,"state":"continuous"}'
"""With what the hub adds it becomes the peers' message, 200 bytes."""


def load_feed(broker: Broker, names: ChannelNames, *, symbols: int) -> Publisher:
    """A feed of the set rate that publishes through the broker, as any feed does."""
    channels: list[Channel] = [names.parse(f"market:NSE:{symbol_name(number)}") for number in range(symbols)]

    async def publish(batch: list[tuple[int, int]]) -> None:
        await broker.publish_latest([(channels[number], _PAYLOAD % stamp) for number, stamp in batch])

    return Publisher(publish, symbols=symbols)
