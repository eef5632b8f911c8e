import subprocess
import sys

STUBBORN = """
import asyncio
from hub.commands.run import let_go

async def stubborn():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def main():
    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await let_go(7)

asyncio.run(main())
"""


def test_a_task_that_cannot_be_ended_keeps_no_process_alive() -> None:
    done = subprocess.run([sys.executable, "-c", STUBBORN], timeout=40, check=False)
    assert done.returncode == 7
