"""A session's subscriptions go by the client's names, and end once; how rights move them stands in `test_rights`."""

from hub.sockets.subscriptions import UNSUBSCRIBE_REASON
from schemas.errors import UnsubscribeCode
from schemas.phrases import Phrase
from tests.channels.clock import jumping, turns
from tests.hub.sockets.test_rights import LATE, open_house


def test_every_code_has_its_words() -> None:
    assert set(UNSUBSCRIBE_REASON) == set(UnsubscribeCode)


@jumping
async def test_channels_are_named_as_the_client_does_and_the_oldest_first() -> None:
    async with open_house() as house:
        member = house.session()
        await member.say("subscribe", channels=["market:TCS", "alerts:user"])
        subscriptions = member.session.subscriptions
        assert subscriptions.names == ["market:NSE:TCS", "alerts:user"]
        assert [one.channel.name for one in subscriptions] == [LATE, "alerts:7"]
        assert len(subscriptions) == 2
        await member.say("subscriptions")
        (reply,) = member.told("subscriptions")
        assert [(one["channel"], one.get("delay")) for one in reply["subscriptions"]] == [
            ("market:NSE:TCS", 900),
            ("alerts:user", None),
        ]


@jumping
async def test_what_the_registry_ends_is_told_and_forgotten() -> None:
    async with open_house() as house:
        member = house.session()
        await member.say("subscribe", channel="market:TCS")
        house.registry.end_instrument("NSE", "TCS", UnsubscribeCode.NOT_CARRIED, Phrase("too many"))
        await turns()
        (told,) = member.told("unsubscribed")
        assert (told["channel"], told["code"], told["reason"]) == ("market:NSE:TCS", 2004, "too many")
        assert len(member.session.subscriptions) == 0


@jumping
async def test_closing_twice_leaves_all_channels_once() -> None:
    async with open_house() as house:
        member = house.session()
        await member.say("subscribe", channels=["market:TCS", "market:INFY"])
        member.session.subscriptions.close()
        member.session.subscriptions.close()
        assert (len(member.session.subscriptions), house.registry.channel_count) == (0, 0)
