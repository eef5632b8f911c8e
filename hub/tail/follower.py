"""Follows channels over one connection after another: subscribes, recovers, waits, and obeys `shutdown`."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from hub.tail.subscriptions import Message, Subscriptions
from hub.terminal import printable
from schemas.durations import Seconds
from schemas.errors import CloseCode

FIRST_PAUSE_S: Seconds = 1.0
LONGEST_PAUSE_S: Seconds = 20.0
AGAIN_AFTER_S: Seconds = 2.0
"""When what could not be had for the moment is asked for again."""
WELCOME_S: Seconds = 10.0
MAX_BYTES = 8 * 1024 * 1024

_LAST_THAT_MAY_RETURN = 3499
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class NoHub(Exception):
    """Whoever answers doesn't speak our protocol."""


class Watcher(Protocol):
    """Who is told what happens."""

    def connected(self) -> None:
        """The server has taken the token."""

    def waiting(self, pause_s: Seconds, why: str) -> None:
        """The connection is gone, and the next one is tried after so long."""

    def heard(self, message: Message, raw: str) -> None:
        """One publication."""

    def told(self, line: str) -> None:
        """Something about a channel that people should know."""


class Follower:
    """Follows until `run` returns.

    Args:
        url: where the socket is.
        token: a token, made or read anew for each connection.
        subscriptions: what to hear.
        watcher: who is told.
        count: end after so many publications.
        renews: whether `token` can give another one.
        chance: a number from 0 to 1.
    """

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        subscriptions: Subscriptions,
        watcher: Watcher,
        *,
        count: int | None = None,
        renews: bool = True,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.url = url
        self._token = token
        self._subscriptions = subscriptions
        self._watcher = watcher
        self._left = count
        self._renews = renews
        self._chance = chance
        self._failures = 0
        self._welcomed = False
        self._pause_s: Seconds | None = None

    async def run(self) -> str | None:
        """Follow; None once `count` has come, else why it can't go on. Cancelling is safe."""
        while True:
            try:
                return await self._follow_once()
            except ConnectionClosed as exc:
                code = exc.rcvd.code if exc.rcvd is not None else 1006
                if ended := self._ended_by(code, exc.rcvd.reason if exc.rcvd is not None else ""):
                    return ended
                why = f"closed with {code}"
            except InvalidURI as exc:  # a proxy that wants TLS sends to https://
                return f"{self.url} sends on to {printable(exc.uri)}; give the address of the hub itself with --url"
            except NoHub:
                return f"What answers at {self.url} is no hub."
            except InvalidStatus as exc:
                why = f"it answers with HTTP {exc.response.status_code}"
            except (OSError, TimeoutError, InvalidHandshake) as exc:
                why = _reason(exc)
            if not self._welcomed:
                return f"No hub answers at {self.url}: {why}. To start one here: python -m hub"
            await self._wait(why)

    async def _follow_once(self) -> str | None:
        loopback = urlsplit(self.url).hostname in LOOPBACK
        async with connect(
            self.url,
            additional_headers={"Authorization": f"Bearer {self._token()}"},
            compression=None,
            max_size=MAX_BYTES,
            proxy=None if loopback else True,
        ) as socket:
            async with asyncio.timeout(WELCOME_S):
                await self._await_welcome(socket)
            self._watcher.connected()
            for command in self._subscriptions.commands():
                await self._say(socket, command)
            return await self._listen(socket)

    async def _await_welcome(self, socket: ClientConnection) -> None:
        while _read(await socket.recv())["type"] != "welcome":
            pass
        self._welcomed = True

    async def _listen(self, socket: ClientConnection) -> str | None:
        again_at = float("inf")
        while True:
            try:
                async with asyncio.timeout_at(again_at):
                    raw = await socket.recv()
            except TimeoutError:
                again_at = float("inf")
                for command in self._subscriptions.again():
                    await self._say(socket, command)
                continue
            message = _read(raw)
            for line in self._subscriptions.take(message):
                self._watcher.told(line)
                again_at = asyncio.get_running_loop().time() + AGAIN_AFTER_S
            if self._subscriptions.none_left:
                return "No channel is left."
            await self._heed(socket, message)
            if ":" in message["type"]:
                self._watcher.heard(message, str(raw))
                if self._counted():
                    return None

    def _counted(self) -> bool:
        if self._left is not None:
            self._left -= 1
        return self._left == 0

    async def _heed(self, socket: ClientConnection, message: Message) -> None:
        match message["type"]:
            case "subscribed":
                self._failures = 0
            case "token_expiring" if self._renews:
                await self._say(socket, {"action": "refresh", "token": self._token()})
            case "shutdown":
                self._pause_s = message["reconnect_after"]
            case _:
                pass

    async def _say(self, socket: ClientConnection, command: dict[str, Any]) -> None:
        await socket.send(json.dumps(command))

    def _ended_by(self, code: int, reason: str) -> str | None:
        """What is to be said where another connection would end in the same way."""
        match code:
            case CloseCode.TOKEN_EXPIRED if not self._renews:
                return "The token has expired; give another one with --token or TICKHUB_TOKEN."
            case CloseCode.INVALID_TOKEN:
                return f"{self.url} does not take this token; give another one with --token or TICKHUB_TOKEN."
            case _ if _LAST_THAT_MAY_RETURN < code < 4000:
                return printable(f"{self.url} has ended the connection: {code} {reason}")
            case _:
                return None

    async def _wait(self, why: str) -> None:
        """Full jitter: clients that lost the same server don't come back in step."""
        longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._failures)
        pause_s = longest_s * self._chance() if self._pause_s is None else self._pause_s
        self._failures, self._pause_s = min(self._failures + 1, 10), None
        self._watcher.waiting(pause_s, why)
        await asyncio.sleep(pause_s)


def _read(raw: str | bytes) -> Message:
    """A message. Raises NoHub for what is none."""
    try:
        message = json.loads(raw)
    except ValueError:
        raise NoHub from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise NoHub
    return message


def _reason(exc: Exception) -> str:
    match exc:
        case ConnectionRefusedError():
            return "connection refused"
        case TimeoutError():
            return "no answer in time"
        case OSError() if exc.strerror:
            return exc.strerror
        case _:
            return "it speaks no WebSocket" if isinstance(exc, InvalidHandshake) else str(exc)
