"""Browsers are told which key to subscribe with."""

from auth.identity import Identity
from hub.api.push import PushApi
from tests.hub.dispatched import bearer, dispatched


async def test_whoever_has_a_token_is_told_the_public_key() -> None:
    api = PushApi("BPublic-key_")
    async with dispatched(api.endpoints, {"7": Identity(user="7", token_id="t", issued_at=0, expires_at=1)}) as client:
        answer = await client.get("/users/push-key", headers=bearer("7"))
        assert (answer.status_code, answer.json()["data"]) == (200, {"public_key": "BPublic-key_"})
        assert (await client.get("/users/push-key")).status_code == 401
