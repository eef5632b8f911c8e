"""The way to one Redis, or to a Redis Cluster: commands and scripts, each with one deadline and one kind of error.

`redis://`, `rediss://` and `unix://` name one server, `redis+cluster://` and `rediss+cluster://` one or more nodes of a
cluster, comma separated. No error of the client library leaves this module.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, NoScriptError, RedisClusterException

from schemas.errors import Unavailable

REDIS_ERRORS = (redis.RedisError, RedisClusterException, OSError)
"""What the client library raises when the server fails, answers with an error, or can't be reached."""

CONNECT_TIMEOUT_S = 2.0
MAX_PARALLEL = 32

Command = tuple[Any, ...]
Address = tuple[str, int]


class Script:
    """A Lua script, called by its hash."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.sha = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()


class Call:
    """One call of a script; all keys lie in one slot."""

    __slots__ = ("arguments", "keys", "script")

    def __init__(self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes | int]) -> None:
        self.script = script
        self.keys = keys
        self.arguments = arguments

    def by_hash(self) -> Command:
        """The command as long as the server knows the script."""
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.arguments)

    def by_text(self) -> Command:
        """The command that also teaches the server the script."""
        return ("EVAL", self.script.text, len(self.keys), *self.keys, *self.arguments)


def unavailable(exc: Exception, timeout_s: float) -> Unavailable:
    """What the rest of the program gets to see: never an address, a key or a credential."""
    match exc:
        case TimeoutError() | redis.TimeoutError():
            why = f"no answer within {timeout_s:g} s"
        case redis.AuthenticationError():
            why = "it refused the credentials"
        case redis.OutOfMemoryError():
            why = "it is out of memory"
        case MovedError():
            why = "it is a cluster, which wants redis+cluster:// in its address"
        case redis.ResponseError():
            why = f"it answered {_error_word(exc)}"
        case _:
            why = f"not reachable ({type(exc).__name__})"
    return Unavailable("Redis", why)


def _error_word(exc: Exception) -> str:
    """`WRONGTYPE` of `WRONGTYPE Operation against a key …`: the rest may quote what was sent."""
    word = str(exc).partition(" ")[0]
    return word if word.isupper() and word.isalpha() else type(exc).__name__


class RedisLink:
    """Commands to a server or a cluster. Making one does not connect.

    Every call is over within `timeout_s`, waiting for a free connection included, and is never sent twice: a lost
    reply raises `Unavailable`, and whoever wants to try again brings an idempotency key. A cancelled call may or may
    not have been obeyed.
    """

    def __init__(self, url: str, *, timeout_s: float = 2.0, max_parallel: int = MAX_PARALLEL) -> None:
        scheme, _, rest = url.partition("://")
        self.clustered = scheme.endswith("+cluster")
        self.timeout_s = timeout_s
        self._slots = asyncio.Semaphore(max_parallel)
        # The deadline is ours, so that the client needs no timer for each read and write.
        options: dict[str, Any] = {
            "socket_timeout": None,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "driver_info": None,  # to name itself, the client would read its package's metadata at every connect
        }
        seeds_of_cluster: list[Address] = []
        if self.clustered:
            credentials, at, hosts = rest.rpartition("@")
            hosts, slash, path = hosts.partition("/")
            first, *others = hosts.split(",")
            url = f"{scheme.removesuffix('+cluster')}://{credentials}{at}{first}{slash}{path}"
            seeds_of_cluster = [_address(host) for host in others]
        self._template = ConnectionPool.from_url(url, **options)
        # The client's own types leave half of its methods untyped.
        self._client: Any
        if self.clustered:
            seeds = [ClusterNode(host, port) for host, port in seeds_of_cluster]
            # After a MOVED only that slot is learned anew: reinitialising would cut what is on its way.
            self._client = RedisCluster.from_url(
                url, startup_nodes=seeds or None, reinitialize_steps=0, max_connections=2 * max_parallel, **options
            )
        else:
            self._client = Redis(connection_pool=self._template)

    async def call(self, *command: Any) -> Any:
        """One command's reply."""
        async with self._deadline():
            return await self._client.execute_command(*command)

    async def call_all(self, commands: Sequence[Command]) -> list[Any]:
        """The replies of many commands, sent at once and obeyed in order. Raises if one failed; the others count."""
        async with self._deadline():
            return _replies(await self._pipeline(commands))

    async def run(self, call: Call) -> Any:
        """One script's reply."""
        return (await self.run_all([call]))[0]

    async def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """The replies of many scripts, sent at once. Raises if one failed; the others count.

        On a server that does not know the scripts yet their order may change, so no two of the calls may depend on
        each other's order.
        """
        async with self._deadline():
            replies = await self._pipeline([call.by_hash() for call in calls])
            unknown = [place for place, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if unknown:
                again = await self._pipeline([calls[place].by_text() for place in unknown])
                for place, reply in zip(unknown, again, strict=True):
                    replies[place] = reply
            return _replies(replies)

    async def subscribers(self, channel: bytes) -> int:
        """How many connections hear a pub/sub channel, on all nodes."""
        async with self._deadline():
            if not self.clustered:
                return int((await self._client.execute_command("PUBSUB", "NUMSUB", channel))[1])
            replies = await asyncio.gather(
                *(node.execute_command("PUBSUB", "NUMSUB", channel) for node in self._client.get_primaries())
            )
            return sum(int(reply[1]) for reply in replies)

    async def owner(self, key: bytes) -> Address | None:
        """The cluster node that a key lies on; None where there is but one server. Raises `REDIS_ERRORS`."""
        if not self.clustered:
            return None
        await self._ready()
        node = self._client.get_node_from_key(key.decode())
        if node is None:
            raise redis.ConnectionError("no node has this slot")
        return node.host, int(node.port)

    async def learn_topology(self) -> None:
        """Ask the cluster anew which node has which slots. Raises `REDIS_ERRORS`."""
        if self.clustered:
            await self._client.nodes_manager.initialize()

    def connection(self, address: Address | None) -> AbstractConnection:
        """A connection of its own, for pub/sub: never times out while reading, not connected yet."""
        options = dict(self._template.connection_kwargs)
        if address is not None:
            options |= {"host": address[0], "port": address[1]}
        connection: AbstractConnection = self._template.connection_class(**options)
        return connection

    async def close(self) -> None:
        """Lets go of all connections. Safe to call twice."""
        await self._client.aclose()
        await self._template.aclose()

    async def _ready(self) -> None:
        """Before it knows the cluster, the client sends commands to any node, and lives off being moved."""
        if self.clustered:
            await self._client.initialize()

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        if len(commands) == 1:
            try:
                return [await self._client.execute_command(*commands[0])]
            except redis.ResponseError as exc:
                return [exc]
        pipeline: Any = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.timeout_s), self._slots:
                await self._ready()
                yield
        except REDIS_ERRORS as exc:  # the builtin TimeoutError is an OSError
            raise unavailable(exc, self.timeout_s) from exc


def _replies(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return (host, int(port)) if host else (text, 6379)
