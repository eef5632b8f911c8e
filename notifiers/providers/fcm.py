"""Apps on Android and iOS, through Firebase Cloud Messaging's HTTP v1 interface.

A service account signs for an access token (RFC 7523), which is good for an hour and shared by all messages. The
answers are those of https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode.

Browsers are of the same channel and don't go this way: they are not to wait where it is barred. So what is wrong with
the account is said in the log, and each message is tried again until it is too late.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.providers.notification import Gone, Notification
from notifiers.providers.outward import Answer, NotReachable, Outward
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.secret import Secret

log = logging.getLogger("tickhub.notifiers.providers.fcm")

BASE_URL = "https://fcm.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
REFRESH_S: Seconds = 120.0
"""How long before its end a token is replaced."""

_ASSERTION_S = 3600
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_BLAMED = {"INVALID_ARGUMENT": Blame.MESSAGE, "SENDER_ID_MISMATCH": Blame.ADDRESS}
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A service account, as Google's JSON file describes it."""

    project_id: str
    private_key_id: str
    private_key: str
    client_email: str
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address

    def __repr__(self) -> str:
        return f"Account({self.project_id!r})"


def account_of(text: bytes) -> Account:
    """What Google's JSON file says. Raises ValueError for one that is of no service account."""
    try:
        return msgspec.json.decode(text, type=Account)
    except msgspec.DecodeError as exc:
        raise ValueError("expected the JSON file of a service account") from exc


class _Token(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float


class _Detail(msgspec.Struct, frozen=True):
    kind: str = msgspec.field(name="@type", default="")
    code: str = msgspec.field(name="errorCode", default="")
    violations: list[dict[str, Any]] = msgspec.field(name="fieldViolations", default_factory=list)


class _Error(msgspec.Struct, frozen=True):
    status: str = ""
    details: list[_Detail] = []


class _Sent(msgspec.Struct, frozen=True):
    name: str = ""
    error: _Error = _Error()


class Fcm:
    """Sends to apps. `outward` must reach the account's `token_uri` and `base_url`."""

    def __init__(
        self,
        account: Account,
        outward: Outward,
        *,
        base_url: str = BASE_URL,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Raises ValueError for an account whose private key is none."""
        self._account = account
        key = serialization.load_pem_private_key(account.private_key.encode(), password=None)
        match key:
            case rsa.RSAPrivateKey():
                self._key = key
            case _:
                raise ValueError("expected an RSA key")
        self._outward = outward
        self._url = f"{base_url}/v1/projects/{account.project_id}/messages:send"
        self._wall = wall
        self._token: Secret | None = None
        self._token_until = 0.0
        self._asking = asyncio.Lock()

    async def push(self, token: str, notification: Notification) -> str | None:
        """Asks once; what Firebase calls the message.

        Raises Gone for an app that is no more, Refused, Unavailable, or OutcomeUnknown.
        """
        access = await self._access()
        headers = {"Authorization": f"Bearer {access.reveal()}", "Content-Type": "application/json"}
        answer = await self._post(self._url, headers, msgspec.json.encode(_message(token, notification)))
        said = _read(answer.body)
        if answer.status == 200:
            return said.name.rpartition("/")[2][:128] or None
        if answer.status == 401 and self._token is access:
            self._token = None
        raise _refusal(answer, said.error)

    async def _access(self) -> Secret:
        """The access token, a new one where it ends soon; asked for once, however many wait for it."""
        async with self._asking:
            if self._token is None or self._wall() >= self._token_until - REFRESH_S:
                given = await self._new_token()
                self._token, self._token_until = Secret(given.access_token), self._wall() + given.expires_in
            return self._token

    async def _new_token(self) -> _Token:
        account, now = self._account, int(self._wall())
        claims = {"iss": account.client_email, "scope": SCOPE, "aud": account.token_uri}
        claims_in_time = claims | {"iat": now, "exp": now + _ASSERTION_S}
        assertion = jwt.encode(claims_in_time, self._key, "RS256", {"kid": account.private_key_id})
        form = urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = await self._post(account.token_uri, headers, form)
        except OutcomeUnknown as exc:  # the message was not sent
            raise Unavailable("FCM", exc.why) from exc
        if answer.status in {400, 401, 403}:
            raise _barred(f"FCM token HTTP {answer.status}")
        try:
            return msgspec.json.decode(answer.body, type=_Token)
        except msgspec.DecodeError as exc:
            raise Unavailable("FCM", f"HTTP {answer.status} instead of a token") from exc

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        try:
            return await self._outward.post(url, headers, body)
        except NotReachable as exc:
            raise _barred("FCM private address") from exc
        except Unavailable as exc:
            raise Unavailable("FCM", exc.why) from exc
        except OutcomeUnknown as exc:
            raise OutcomeUnknown("FCM", exc.why) from exc


def _message(token: str, notification: Notification) -> dict[str, Any]:
    """A message of the v1 interface, without a collapse key: of those a phone that is away keeps no more than four."""
    said = msgspec.to_builtins(notification.payload)
    data = {name: value if isinstance(value, str) else str(value) for name, value in said.items()}
    return {
        "message": {
            "token": token,
            "notification": {"title": notification.payload.title, "body": notification.payload.body},
            "data": data,
            "android": {
                "priority": "HIGH" if notification.urgent else "NORMAL",
                "ttl": f"{notification.ttl_s}s",
                "notification": {"tag": notification.topic},
            },
            "apns": {
                "headers": {
                    "apns-priority": "10" if notification.urgent else "5",
                    "apns-expiration": str(notification.expires_at_s),
                    "apns-collapse-id": notification.topic,
                }
            },
        }
    }


def _read(body: bytes) -> _Sent:
    try:
        return msgspec.json.decode(body, type=_Sent)
    except (msgspec.DecodeError, RecursionError):
        return _Sent()


def _refusal(answer: Answer, error: _Error) -> Gone | Refused | Unavailable:
    code = next((one.code for one in error.details if one.kind == _FCM_ERROR and one.code), error.status)
    fields = {violation.get("field") for one in error.details for violation in one.violations}
    reason = f"FCM {code[:32]}" if code else f"FCM HTTP {answer.status}"
    if code == "UNREGISTERED" or (code == "INVALID_ARGUMENT" and "message.token" in fields):
        return Gone(reason)
    if code in _BLAMED:
        return Refused(reason, permanent=True, blame=_BLAMED[code])
    if answer.status == 429 or answer.retry_after_s is not None:
        return Refused(reason, permanent=False, retry_after_s=answer.retry_after_s)
    if answer.status >= 500 or code == "UNAUTHENTICATED":
        return Unavailable("FCM", reason)
    return _barred(reason)


def _barred(reason: str) -> Refused:
    """Somebody has to act."""
    log.warning("fcm.refused", extra={"reason": reason})
    return Refused(reason, permanent=False)
