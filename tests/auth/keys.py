"""Keys to sign test tokens with, a foreign login that uses them, and the HTTP server that shows its key set."""

import asyncio
import json
import time
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

SECRET = "a secret for the tests, long enough to sign with"
AUDIENCE = "somewhere"
ISSUER = "https://login.example"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def private_key(kind: str, number: int = 0) -> Any:
    """The same key each time for one kind (RS256, ES256, ES384, EdDSA) and number."""
    del number
    match kind:
        case "RS256":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ES384":
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def public_pem(kind: str, number: int = 0) -> str:
    return private_key(kind, number).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(kind: str, number: int = 0, **more: Any) -> dict[str, Any]:
    """The public key as a member of a JWKS document."""
    algorithms: dict[str, Callable[..., Any]] = {"RS": RSAAlgorithm.to_jwk, "ES": ECAlgorithm.to_jwk}
    write = algorithms.get(kind[:2], OKPAlgorithm.to_jwk)
    found: dict[str, Any] = write(private_key(kind, number).public_key(), as_dict=True)
    found.pop("key_ops", None)
    return found | {"kid": f"{kind}-{number}", "use": "sig"} | more


def foreign_claims(**changed: Any) -> dict[str, Any]:
    """What a foreign login would say; a claim changed to None is left out."""
    now = int(time.time())
    claims = {"sub": "auth0|77", "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600} | changed
    return {name: value for name, value in claims.items() if value is not None}


def foreign_token(
    kind: str, number: int = 0, *, headers: dict[str, Any] | None = None, algorithm: str | None = None, **changed: Any
) -> str:
    headers = {"kid": f"{kind}-{number}"} if headers is None else headers
    return jwt.encode(foreign_claims(**changed), private_key(kind, number), algorithm or kind, headers=headers)


class KeyServer:
    """An HTTP server on loopback that says whatever a test wants said: `async with KeyServer() as server:`."""

    def __init__(self) -> None:
        self.requests = 0
        self.open = asyncio.Event()
        """Cleared, requests are held until it is set."""
        self.open.set()
        self.reply = b""
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/keys.json"

    def show(self, *keys: dict[str, Any]) -> None:
        self.say(json.dumps({"keys": keys}).encode())

    def say(self, body: bytes, status: str = "200 OK", header: str = "X-Nothing: 1") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{header}\r\nConnection: close\r\n\r\n"
        self.reply = head.encode() + body

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.open.set()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.stop()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            await self.open.wait()
            writer.write(self.reply)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return  # the client has given up
        finally:
            writer.close()
            self._tasks.discard(task)
