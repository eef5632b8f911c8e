"""A feed in a process of its own: publishes prices into Redis through the hub's own broker.

Arguments: Redis's address, the number of symbols. Answers the control protocol of `peers/publisher.py`.
"""

import asyncio
import sys

import uvloop

from bench.market_load import load_feed
from channels.broker_redis import RedisBroker
from channels.channel import ChannelNames
from channels.namespace import Namespaces


async def _run(url: str, symbols: int) -> None:
    names = ChannelNames(Namespaces())
    broker = RedisBroker(url, names=names)
    try:
        await load_feed(broker, names, symbols=symbols).run()
    finally:
        await broker.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(sys.argv[1], int(sys.argv[2])))
