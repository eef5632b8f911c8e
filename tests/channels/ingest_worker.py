"""An ingest worker as a process of its own, to be killed: `python -m tests.channels.ingest_worker <url>`."""

import asyncio
import sys
import time

from channels.ingest import Ingest
from tests.channels.recorder import NAMES

if __name__ == "__main__":
    asyncio.run(Ingest(sys.argv[1], names=NAMES, clock=time.monotonic).run())
