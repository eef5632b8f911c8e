"""One installation whose parts can be killed: `web`, several `alerts`, `notifiers`, each a process of its own.

What has fired and what became of deliveries is read from the database, past the processes; what providers were asked
the test's own servers count.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

import aiohttp
import asyncpg
import msgspec
import psutil

from tests.hub.live import HubProcess, bearer
from tests.servers import PostgresServer, RedisServer

PUBLISHER = bearer("server", role="publisher")
START = 100.0
"""The price before the first step."""
_POLL_S = 0.05


class Watched(msgspec.Struct, frozen=True):
    """An alert on `price crosses above <level>`, which fires whenever that happens."""

    id: int
    user: str
    symbol: str
    level: float


async def eventually(true: Callable[[], Awaitable[object]], within_s: float = 20.0) -> None:
    """Returns once `true()` holds of other processes' doing. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not await true():  # noqa: ASYNC110 - other processes have no event for tests
            await asyncio.sleep(_POLL_S)


class Estate:
    """The processes, and what they have done so far."""

    def __init__(self, redis: RedisServer, postgres: PostgresServer, *, engines: int, **environ: str) -> None:
        shared = {
            "REDIS_URL": redis.url,
            "DATABASE_URL": postgres.url,
            "WEBHOOK_NETWORKS": "127.0.0.0/8",
            "DRAIN_TIMEOUT": "1s",
        } | environ
        self.redis = redis
        self.postgres = postgres
        self.web = HubProcess("web", **shared)
        self.engines = [HubProcess("alerts", **shared) for _ in range(engines)]
        self.notifiers = HubProcess("notifiers", **shared)
        for one in (*self.engines, self.notifiers):
            one.environ["DATA_DIR"] = self.web.environ["DATA_DIR"]
        self.http: aiohttp.ClientSession

    @property
    def processes(self) -> list[HubProcess]:
        """All that were ever started."""
        return [self.web, *self.engines, self.notifiers]

    def close(self) -> None:
        """End them all."""
        for one in self.processes:
            one.close()

    # -- what people and feeds do -------------------------------------------------------------------------------------

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """One request under `/api/v1`: status, and the data or the error."""
        async with self.http.request(method, f"{self.web.url}/api/v1/{path}", json=body, headers=headers) as answer:
            said = await answer.json()
            return answer.status, said.get("data", said.get("error"))

    async def publish(self, symbol: str, price: float, **more: float) -> int:
        """A price, as a server publishes it; the status of the answer."""
        body = {"channel": f"market:NSE:{symbol}", "data": {"price": price} | more}
        status, _ = await self.ask("POST", "publish", body, **PUBLISHER)
        return status

    async def walk(self, symbols: Iterable[str], *prices: float) -> None:
        """Publishes the same prices of each, one after the other."""
        for price in prices:
            for status in await asyncio.gather(*(self.publish(symbol, price) for symbol in symbols)):
                assert status == 201

    async def shout(self, symbol: str, price: float) -> None:
        """A price as an outsider publishes it, past the web and without any history."""
        command = ("PUBLISH", f"hub:market:NSE:{symbol}", f'{{"price": {price}}}')
        await asyncio.to_thread(self.redis.command, *command)

    async def make(self, user: str, symbol: str, levels: Iterable[float], *channels: str) -> list[Watched]:
        """Alerts on each of the levels."""
        made = []
        for level in levels:
            body = {
                "symbol": symbol,
                "condition": f"price crosses above {level}",
                "frequency": "every",
                "channels": channels or ["webhook"],
            }
            status, data = await self.ask("POST", "alerts", body, **bearer(user, plan="enterprise"))
            assert status == 201, data
            made.append(Watched(data["id"], user, symbol, level))
        return made

    async def hook(self, users: Iterable[str], url: str) -> None:
        """Each wants to be told at that address."""
        for user in users:
            status, data = await self.ask("POST", "users/webhooks", {"url": url}, **bearer(user, plan="enterprise"))
            assert status == 201, data

    async def sign_up(self, users: Iterable[str]) -> None:
        """Each has an account with a verified mail address and telephone."""
        query = (
            "INSERT INTO accounts (id, email, email_key, email_verified_at, name, phone, phone_verified_at, plan,"
            " role, status, created_at, updated_at) VALUES ($1, $2, $2, 1, $1, $3, 1, 'enterprise', 'user', 'active',"
            " 1, 1)"
        )
        for number, user in enumerate(users):
            await self.rows(query, user, f"{user}@example.com", f"+9198765432{number:02}")

    async def told(self, alert: Watched) -> list[dict[str, Any]]:
        """What its owner is shown of an alert's deliveries."""
        path = f"alerts/{alert.id}/deliveries?limit=100"
        status, data = await self.ask("GET", path, **bearer(alert.user, plan="enterprise"))
        assert status == 200, data
        items: list[dict[str, Any]] = data["items"]
        return items

    # -- what the database holds --------------------------------------------------------------------------------------

    async def rows(self, query: str, *values: object) -> list[Any]:
        """Of the database as it is."""
        connection = await asyncpg.connect(self.postgres.url, timeout=10)
        try:
            return list(await connection.fetch(query, *values))
        finally:
            await connection.close()

    async def count(self, query: str, *values: object) -> int:
        """The only number of the only row."""
        return int((await self.rows(query, *values))[0][0])

    async def fired(self) -> dict[int, list[int]]:
        """The numbers of what each alert has fired, in the order in which it was committed."""
        found: dict[int, list[int]] = {}
        for row in await self.rows("SELECT alert_id, number FROM triggers WHERE kind = 'fired' ORDER BY id"):
            found.setdefault(row["alert_id"], []).append(row["number"])
        return found

    async def have_fired(self, expected: Mapping[int, int], within_s: float = 20.0) -> None:
        """Returns once each alert has fired so often; at the end none has more often, and numbers have no gaps."""

        async def enough() -> bool:
            fired = await self.fired()
            return all(len(fired.get(one, ())) >= times for one, times in expected.items())

        try:
            await eventually(enough, within_s)
        finally:
            fired = await self.fired()
            wrong = {
                one: (fired.get(one, []), times)
                for one, times in expected.items()
                if fired.get(one, []) != list(range(1, times + 1))
            }
            assert not wrong, f"alert: (numbers, expected count) {wrong}"
        assert fired.keys() <= {one for one, times in expected.items() if times}

    async def statuses(self, channel: str) -> Counter[str]:
        """How far the deliveries of a channel have come."""
        query = "SELECT status, count(*) FROM deliveries WHERE channel = $1 GROUP BY status"
        return Counter({row[0]: row[1] for row in await self.rows(query, channel)})

    async def are_all(self, channel: str, count: int, *statuses: str, within_s: float = 20.0) -> None:
        """Returns once so many deliveries of a channel have come so far, which are all that there are."""
        found: Counter[str] = Counter()

        async def done() -> bool:
            found.clear()
            found.update(await self.statuses(channel))
            return sum(found[one] for one in statuses) == count == found.total()

        try:
            await eventually(done, within_s)
        except TimeoutError:
            raise AssertionError(f"{channel}: {dict(found)} instead of {count} {statuses}") from None

    async def doubts(self, channel: str) -> Counter[int]:
        """By delivery: of how many attempts the outcome was not known, for a while or for good."""
        query = (
            "SELECT d.id, count(*) FROM deliveries d JOIN delivery_attempts a ON a.delivery_id = d.id"
            " WHERE d.channel = $1 AND (a.state IN ('unknown', 'untaken')"
            " OR a.state = 'taken' AND a.reason IS NOT NULL) GROUP BY d.id"
        )
        return Counter({row[0]: row[1] for row in await self.rows(query, channel)})

    # -- faults -------------------------------------------------------------------------------------------------------

    async def start(self, *processes: HubProcess) -> None:
        """Start them, together."""
        await asyncio.gather(*(asyncio.to_thread(one.start) for one in processes))

    async def kill(self, *victims: HubProcess | RedisServer | PostgresServer) -> None:
        """SIGKILL."""
        await asyncio.gather(*(asyncio.to_thread(one.kill) for one in victims))

    async def freeze_holding_locks(self, process: HubProcess) -> None:
        """SIGSTOP, between two statements of a transaction; the process must be about to write."""
        query = (
            "SELECT count(*) FILTER (WHERE state = 'idle in transaction') > 0 AND"
            " count(*) FILTER (WHERE state = 'active') = 0 FROM pg_stat_activity WHERE client_port = ANY($1)"
        )
        async with asyncio.timeout(20):
            while True:
                process.pause()
                ports = [one.laddr.port for one in psutil.Process(process.pid).net_connections("tcp")]
                if (await self.rows(query, ports))[0][0]:
                    return
                process.resume()
                await asyncio.sleep(_POLL_S / 10)

    async def owners(self) -> Counter[str | None]:
        """Which engine has how many of the shards whose lease lasts."""
        query = (
            "SELECT owner, count(*) FROM alert_shards"
            " WHERE lease_until_ms > extract(epoch FROM clock_timestamp()) * 1000 GROUP BY owner"
        )
        return Counter({row[0]: row[1] for row in await self.rows(query)})

    async def let_leases_end(self) -> int:
        """A minute goes by for deliveries that are leased; how many of them were being called."""
        calling = await self.count("SELECT count(*) FROM deliveries WHERE status = 'calling'")
        await self.rows("UPDATE deliveries SET lease_until_ms = 0 WHERE lease_token IS NOT NULL")
        return calling

    async def let_claims_end(self) -> None:
        """A minute goes by for what was claimed and not attempted: nobody may have heard that it was theirs."""
        await self.rows("UPDATE deliveries SET lease_until_ms = 0 WHERE lease_token IS NOT NULL AND status = 'queued'")


@contextlib.asynccontextmanager
async def installed(
    redis: RedisServer, postgres: PostgresServer, *, engines: int = 1, **environ: str
) -> AsyncIterator[Estate]:
    """All processes run inside the block, and every shard has an engine. None of them may have had a bug."""
    estate = Estate(redis, postgres, engines=engines, **environ)
    try:
        await estate.start(estate.web)
        await estate.start(*estate.engines, estate.notifiers)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as estate.http:
            await eventually(lambda: _is_shared_out(estate, engines))
            yield estate
        for one in estate.processes:
            assert "Traceback" not in one.log(), one.log()[-4000:]
    finally:
        await asyncio.to_thread(estate.close)


async def _is_shared_out(estate: Estate, engines: int) -> bool:
    owners = await estate.owners()
    return owners.total() == 16 and len(owners) == engines
