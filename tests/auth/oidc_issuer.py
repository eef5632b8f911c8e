"""An OpenID Connect issuer on loopback: it knows one person, gives codes that are good once, and lies on cue."""

import asyncio
import base64
import hashlib
import json
import secrets
import time
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import jwt

from tests.auth.keys import jwk, private_key, public_pem

CLIENT_ID = "tickhub client"
CLIENT_SECRET = "s3cret+/ of the client"


class OidcIssuer:
    """`async with OidcIssuer() as issuer:`. What it shall say wrong is set on it at any time."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        """Changes to the ID token; a claim changed to None is left out."""
        self.kind, self.number = "RS256", 0
        """The key to sign with."""
        self.published = [("RS256", 0)]
        self.forged: str | None = None
        """An ID token to give out instead: `none`, `hs256-secret`, `hs256-public` or the text itself."""
        self.description: dict[str, Any] = {}
        """Changes to the discovery document."""
        self.answers: dict[str, tuple[int, bytes]] = {}
        """What to answer, by path."""
        self.requests: list[str] = []
        self.logins: list[str] = []
        self.hold = asyncio.Event()
        """Cleared, answers are held until it is set."""
        self.hold.set()
        self._codes: dict[str, dict[str, str]] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/realm"

    def authorize(self, url: str, **changed: str) -> dict[str, str]:
        """What a person who agrees is sent back with, for the URL that a browser was sent to."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(12)
        self._codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.url, "scope": "openid email"} | changed

    def callback(self, url: str, **changed: str) -> str:
        """The path and query of where the browser comes back to."""
        redirect = dict(parse_qsl(urlsplit(url).query))["redirect_uri"]
        return f"{urlsplit(redirect).path}?{urlencode(self.authorize(url, **changed))}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.hold.set()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n")[1:])}
            form = dict(parse_qsl((await reader.readexactly(int(headers.get("content-length", 0)))).decode()))
            path = head.split(" ")[1].removeprefix("/realm")
            self.requests.append(path)
            status, body = self.answers.get(path) or self._answer(path, headers, form)
            await self.hold.wait()
            location = f"Location: {self.url}/keys\r\n" if 300 <= status < 400 else ""
            writer.write(
                f"HTTP/1.1 {status} X\r\n{location}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            )
            writer.write(body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            self._tasks.discard(task)

    def _answer(self, path: str, headers: dict[str, str], form: dict[str, str]) -> tuple[int, bytes]:
        match path:
            case "/.well-known/openid-configuration":
                return 200, json.dumps(self._describe()).encode()
            case "/keys":
                return 200, json.dumps({"keys": [jwk(kind, number) for kind, number in self.published]}).encode()
            case "/token":
                return self._exchange(headers, form)
            case _:
                return 404, b"{}"

    def _describe(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize?theme=dark",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        } | self.description

    def _exchange(self, headers: dict[str, str], form: dict[str, str]) -> tuple[int, bytes]:
        if "authorization" in headers:
            pair = base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode()
            user, password = (unquote_plus(part) for part in pair.split(":"))
        else:
            user, password = form.get("client_id", ""), form.get("client_secret", "")
        self.logins.append("basic" if "authorization" in headers else "form")
        if (user, password) != (CLIENT_ID, CLIENT_SECRET):
            return 401, b'{"error": "invalid_client"}'
        asked = self._codes.pop(form["code"], None)
        challenge = (
            base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        )
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return 400, b'{"error": "invalid_grant"}'
        answer = {"access_token": "at-1", "token_type": "Bearer", "id_token": self._id_token(asked["nonce"])}
        return 200, json.dumps(answer).encode()

    def _id_token(self, nonce: str) -> str:
        now = int(time.time())
        at_hash = base64.urlsafe_b64encode(hashlib.sha256(b"at-1").digest()[:16]).decode().rstrip("=")
        claims = {
            "iss": self.url, "sub": "person-1", "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce,
            "at_hash": at_hash, "email": "Asha@example.com", "email_verified": True, "name": "Asha Patil",
        } | self.claims  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": f"{self.kind}-{self.number}"}
        match self.forged:
            case None:
                return jwt.encode(claims, private_key(self.kind, self.number), self.kind, headers=headers)
            case "none":
                return jwt.encode(claims, None, "none", headers=headers)
            case "hs256-secret":
                return jwt.encode(claims, CLIENT_SECRET.ljust(32), "HS256", headers=headers)
            case "hs256-public":
                return _hs256(claims, public_pem("RS256").encode(), headers)
            case text:
                return text


def _hs256(claims: dict[str, Any], key: bytes, headers: dict[str, str]) -> str:
    """PyJWT refuses to sign with a PEM as a secret; an attacker's library doesn't."""
    import hmac  # noqa: PLC0415 - of use here alone

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'} | headers)}.{part(claims)}"
    mac = hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
