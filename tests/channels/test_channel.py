"""Channel names: one canonical form, and an error for everything else."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from channels.channel import MAX_LENGTH, Channel, ChannelNames
from channels.namespace import Access, Namespace, Namespaces, Policy
from schemas.errors import CommandError, ErrorCode


@pytest.fixture
def names() -> ChannelNames:
    return ChannelNames(Namespaces())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("market:RELIANCE", "market:NSE:RELIANCE"),
        ("market:reliance", "market:NSE:RELIANCE"),
        ("market:nse:Reliance", "market:NSE:RELIANCE"),
        ("market:BSE:500325", "market:BSE:500325"),
        ("market:NSE:NIFTY 50", "market:NSE:NIFTY 50"),
        ("market:NFO:NIFTY26NOVFUT", "market:NFO:NIFTY26NOVFUT"),
        ("market:M&M", "market:NSE:M&M"),
        ("market:BAJAJ-AUTO", "market:NSE:BAJAJ-AUTO"),
        ("depth:RELIANCE", "depth:NSE:RELIANCE"),
        ("candles:1m:RELIANCE", "candles:1m:NSE:RELIANCE"),
        ("candles:1d:BSE:reliance", "candles:1d:BSE:RELIANCE"),
        ("signals:generated", "signals:generated"),
        ("signals:NSE:RELIANCE", "signals:NSE:RELIANCE"),
        ("signals:RELIANCE", "signals:NSE:RELIANCE"),
        ("status:market", "status:market"),
        ("alerts:7", "alerts:7"),
    ],
)
def test_a_name_has_one_canonical_form(names: ChannelNames, text: str, name: str) -> None:
    channel = names.parse(text)
    assert channel.name == name
    assert names.parse(name) == channel


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", ErrorCode.UNKNOWN_CHANNEL),
        ("market", ErrorCode.UNKNOWN_CHANNEL),
        ("market:", ErrorCode.UNKNOWN_CHANNEL),
        ("market: ", ErrorCode.UNKNOWN_CHANNEL),
        (" market:TCS", ErrorCode.UNKNOWN_CHANNEL),
        ("market:TCS ", ErrorCode.UNKNOWN_CHANNEL),
        ("market:TCS\n", ErrorCode.UNKNOWN_CHANNEL),
        ("market:T\x00CS", ErrorCode.UNKNOWN_CHANNEL),
        ("market:TÇS", ErrorCode.UNKNOWN_CHANNEL),
        ("Market:TCS", ErrorCode.UNKNOWN_CHANNEL),
        ("nothing:TCS", ErrorCode.UNKNOWN_CHANNEL),
        ("control:revocations", ErrorCode.UNKNOWN_CHANNEL),
        ("candles:TCS", ErrorCode.UNKNOWN_CHANNEL),
        ("candles:2m:TCS", ErrorCode.UNKNOWN_CHANNEL),
        ("candles:1m:", ErrorCode.UNKNOWN_CHANNEL),
        ("alerts:user", ErrorCode.UNKNOWN_CHANNEL),
        ("market:" + "X" * MAX_LENGTH, ErrorCode.UNKNOWN_CHANNEL),
        ("market:LSE:VOD", ErrorCode.INVALID_SYMBOL),
        ("market::TCS", ErrorCode.INVALID_SYMBOL),
        ("market:NSE:", ErrorCode.INVALID_SYMBOL),
        ("market:NSE: TCS", ErrorCode.INVALID_SYMBOL),
        ("market:NSE:A:B", ErrorCode.INVALID_SYMBOL),
        ("candles:1m:LSE:VOD", ErrorCode.INVALID_SYMBOL),
    ],
)
def test_anything_else_is_refused(names: ChannelNames, text: str, code: ErrorCode) -> None:
    for _ in range(2):  # the second time is not remembered either
        with pytest.raises(CommandError) as caught:
            names.parse(text)
        assert caught.value.code is code


def test_a_name_says_what_it_holds_of_an_instrument(names: ChannelNames) -> None:
    channel = names.parse("candles:5m:BSE:TCS")
    assert (channel.timeframe, channel.exchange, channel.symbol) == ("5m", "BSE", "TCS")
    assert names.parse("signals:generated").symbol is None
    assert names.parse("signals:TCS").symbol == "TCS"


class TestOwners:
    def test_user_means_the_caller(self, names: ChannelNames) -> None:
        assert names.parse("alerts:user", user="7").name == "alerts:7"
        assert names.parse("alerts:user", user="8").name == "alerts:8"
        assert names.parse("alerts:7", user="7").owner == "7"

    def test_someone_elses_is_refused(self, names: ChannelNames) -> None:
        names.parse("alerts:7")  # a publisher's reading is remembered, and opens nothing
        with pytest.raises(CommandError) as caught:
            names.parse("alerts:7", user="8")
        assert caught.value.code is ErrorCode.PERMISSION_DENIED

    def test_clients_see_their_own_by_its_public_name(self, names: ChannelNames) -> None:
        assert names.parse("alerts:7", user="7").public_name == "alerts:user"
        assert names.parse("market:TCS", user="7").public_name == "market:NSE:TCS"


def test_names_are_remembered_up_to_a_bound(names: ChannelNames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("channels.channel._CACHE_SIZE", 10)
    for number in range(100):
        names.parse(f"status:{number}")
    assert len(names._read) <= 10
    assert names.parse("status:1") is names.parse("status:1")


def test_equal_channels_hash_alike() -> None:
    one, two = (ChannelNames(Namespaces()).parse("market:TCS") for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)


@given(st.text(max_size=300) | st.text(string.ascii_letters + ":. 0", max_size=40).map("market:{}".format))
def test_every_text_is_a_name_or_a_command_error(text: str) -> None:
    names = ChannelNames(Namespaces())
    try:
        channel = names.parse(text)
    except CommandError:
        return
    assert isinstance(channel, Channel)
    assert channel.name.isascii()
    assert "\n" not in channel.name
    assert names.parse(channel.name) == channel


LATEST = Namespace(name="chat", policy=Policy.LATEST, message_type="chat:update")


def test_names_are_read_by_the_namespaces_that_replaced_the_first(names: ChannelNames) -> None:
    with pytest.raises(CommandError):
        names.parse("chat:a")
    names.replace(names.namespaces.with_added([LATEST]))
    assert names.parse("chat:a").namespace is LATEST
    assert names.parse("market:TCS").name == "market:NSE:TCS"
    other = structs.replace(LATEST, message_type="chat:says")
    names.replace(names.namespaces.with_added([other]))
    assert names.parse("chat:a").namespace is other
    names.replace(Namespaces())
    with pytest.raises(CommandError):
        names.parse("chat:a")


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"message_type": "chat:says"}, True),
        ({"access": Access.PRO, "presence": False}, True),
        ({"policy": Policy.LOG, "history_size": 5, "history_age_s": 60.0}, False),
        ({"access": Access.OWNER}, False),
    ],
)
def test_a_channel_is_renewed_unless_it_would_be_another(
    names: ChannelNames, changes: dict[str, object], kept: bool
) -> None:
    names.replace(Namespaces().with_added([LATEST]))
    channel, market = names.parse("chat:a"), names.parse("market:TCS")
    assert names.renewed(channel) is channel
    changed = structs.replace(LATEST, **changes)
    names.replace(Namespaces().with_added([changed]))
    renewed = names.renewed(channel)
    assert renewed == (structs.replace(channel, namespace=changed) if kept else None)
    assert names.renewed(market) is market
    names.replace(Namespaces())
    assert names.renewed(channel) is channel
