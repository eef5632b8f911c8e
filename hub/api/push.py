"""`/api/v1/users/push-key`: what a browser subscribes to push messages with."""

import msgspec

from hub.http.endpoint import Call, Endpoint


class PushKeyView(msgspec.Struct, frozen=True, kw_only=True):
    """The hub's public key in base64url: the `applicationServerKey` of `PushManager.subscribe`."""

    public_key: str


class PushApi:
    """The route of push messages' key."""

    def __init__(self, public_key: str) -> None:
        self._public_key = public_key

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        return [Endpoint("GET", "/users/push-key", self.key)]

    async def key(self, call: Call) -> PushKeyView:
        """Say which key a browser is to subscribe with."""
        return PushKeyView(public_key=self._public_key)
