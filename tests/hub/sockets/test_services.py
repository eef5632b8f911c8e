"""What a bearer may do with a channel is judged in one place, for every command alike."""

import pytest

from auth.identity import Identity, Plan
from auth.permissions import Action, Permissions
from auth.plans import Plans
from channels.broker_memory import MemoryBroker
from channels.channel import Channel, ChannelNames
from channels.fanout import Fanout
from channels.namespace import Namespaces
from channels.registry import Registry
from hub.sockets.services import Services
from schemas.errors import CommandError, ErrorCode

BEARER = Identity(user="7", plan=Plan.FREE, token_id="t", issued_at=0, expires_at=2**40)


async def no_token(_: str) -> Identity:
    raise CommandError(ErrorCode.UNAUTHORIZED, "no token is good here")


def refusal(channel: Channel) -> CommandError | None:
    return CommandError(ErrorCode.NOT_AVAILABLE, "full") if channel.symbol == "FULL" else None


@pytest.fixture
def services() -> Services:
    broker = MemoryBroker()
    return Services(
        registry=Registry(broker, Fanout()),
        broker=broker,
        names=ChannelNames(Namespaces()),
        verify=no_token,
        known_symbol=lambda channel: channel.symbol != "NOBODY",
        permissions=Permissions(Plans.read({"free": {"default": "15m"}})),
        refusal=refusal,
    )


def test_who_subscribes_on_a_late_plan_gets_the_delayed_twin(services: Services) -> None:
    late = services.allowed(BEARER, "market:TCS", Action.SUBSCRIBE)
    assert (late.name, late.public_name) == ("delayed:900:market:NSE:TCS", "market:NSE:TCS")
    assert services.allowed(BEARER, "market:TCS", Action.PRESENCE).name == "market:NSE:TCS"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nothing:at:all", ErrorCode.UNKNOWN_CHANNEL),
        ("market:NOBODY", ErrorCode.INVALID_SYMBOL),
        ("alerts:8", ErrorCode.PERMISSION_DENIED),
        ("market:FULL", ErrorCode.NOT_AVAILABLE),
    ],
)
def test_what_may_not_be_heard_is_refused_with_its_reason(services: Services, name: str, code: ErrorCode) -> None:
    with pytest.raises(CommandError) as caught:
        services.allowed(BEARER, name, Action.SUBSCRIBE)
    assert caught.value.code is code


def test_what_the_feeds_cannot_carry_may_still_be_asked_about(services: Services) -> None:
    assert services.allowed(BEARER, "market:FULL", Action.PRESENCE).symbol == "FULL"
