import asyncio
import ipaddress
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.limits import ALONE_S, Allowance, Limit, RateLimited, RateLimits, address_subject, limits_of
from channels.broker import Count
from channels.counters import Counters
from schemas.errors import ErrorCode, Unavailable
from tests.channels.conftest import Jump

LIMITS = limits_of(requests=3, logins=2, window_s=60, failures=2)


class Server:
    """What all processes count with, until it is away."""

    def __init__(self, clock: Jump) -> None:
        self.counters = Counters(clock=clock)
        self.keys: list[str] = []
        self.away = False
        self.silent = False

    async def count(self, key: str, window_s: float, cost: int) -> Count:
        self.keys.append(key)
        if self.silent:
            await asyncio.Event().wait()
        if self.away:
            raise Unavailable("Redis", "no answer")
        return self.counters.count(key, window_s, cost)


@pytest.fixture
def clock() -> Jump:
    return Jump()


@pytest.fixture
def server(clock: Jump) -> Server:
    return Server(clock)


def limits(server: Server, clock: Jump) -> RateLimits:
    alone = Counters(clock=clock).count
    return RateLimits(server.count, count_alone=alone, secret="s" * 32, limits=LIMITS, clock=clock)


async def refused(limits: RateLimits, rule: str, subject: str, cost: int = 1, *, quota: int | None = None) -> bool:
    try:
        await limits.take(rule, subject, cost, quota=quota)
    except RateLimited:
        return True
    return False


async def test_what_is_left_counts_down_to_a_refusal_and_fills_up_with_the_window(server: Server, clock: Jump) -> None:
    one = limits(server, clock)
    assert await one.take("default", "user:7") == Allowance(
        rule="default", limit=3, remaining=2, resets_in_s=60, window_s=60
    )
    clock.now += 20
    assert [(await one.take("default", "user:7")).remaining for _ in range(2)] == [1, 0]
    with pytest.raises(RateLimited) as caught:
        await one.take("default", "user:7")
    assert caught.value.code is ErrorCode.RATE_LIMITED
    assert caught.value.allowance == Allowance(rule="default", limit=3, remaining=0, resets_in_s=40, window_s=60)
    assert caught.value.message == "Too many requests; try again in 40 s"
    clock.now += 40
    assert (await one.take("default", "user:7")).remaining == 2


async def test_rules_and_subjects_are_counted_apart_and_processes_together(server: Server, clock: Jump) -> None:
    first, second = limits(server, clock), limits(server, clock)
    for one in (first, second, first):
        await one.take("default", "user:7")
    assert await refused(second, "default", "user:7")
    assert not await refused(second, "default", "user:8")
    assert not await refused(second, "login", "user:7")


async def test_a_cost_of_nothing_looks(server: Server, clock: Jump) -> None:
    one = limits(server, clock)
    for _ in range(5):
        assert (await one.take("default", "x", 0)).remaining == 3
    await one.take("default", "x", 3)
    assert await refused(one, "default", "x", 0)


async def test_a_quota_of_the_subjects_own_holds_instead(server: Server, clock: Jump) -> None:
    one = limits(server, clock)
    assert (await one.take("default", "x", quota=100)).limit == 100
    assert await refused(one, "default", "y", quota=0)


async def test_limits_are_replaced_while_they_are_counted(server: Server, clock: Jump) -> None:
    one = limits(server, clock)
    await one.take("default", "x", 3)
    assert await refused(one, "default", "x")
    one.replace({"default": Limit(10, 60)})
    assert (await one.take("default", "x")).remaining == 5
    assert one.limits["login"] == LIMITS["login"]
    one.replace({"default": Limit(10, 5)})
    assert (await one.take("default", "x")).resets_in_s == 5


async def test_a_rule_that_there_is_not_is_a_bug(server: Server, clock: Jump) -> None:
    with pytest.raises(KeyError):
        await limits(server, clock).take("defualt", "x")


@pytest.mark.parametrize("subject", ["somebody@example.com", "a:b {c} \n\0", "\ud800", "x" * 100_000, ""])
async def test_no_subject_is_readable_in_a_key(server: Server, clock: Jump, subject: str) -> None:
    await limits(server, clock).take("default", subject)
    (key,) = server.keys
    assert key.isascii()
    assert key.isprintable()
    assert len(key) < 60
    assert not subject or subject not in key


async def test_whoever_lacks_the_secret_cannot_tell_whose_key_it_is(server: Server, clock: Jump) -> None:
    for secret in ("a" * 32, "b" * 32):
        one = RateLimits(server.count, count_alone=Counters().count, secret=secret, limits=LIMITS)
        await one.take("default", "somebody@example.com")
    assert len(set(server.keys)) == 2


async def test_who_takes_before_the_check_and_gives_back_leaves_no_room_for_many_at_once(
    server: Server, clock: Jump
) -> None:
    one = limits(server, clock)
    tried = await asyncio.gather(*(refused(one, "failures", "u_1") for _ in range(50)))
    assert tried.count(False) == 2
    await one.take("failures", "u_2")
    await one.give_back("failures", "u_2")
    assert (await one.take("failures", "u_2", 0)).remaining == 2


# -- the server is away -----------------------------------------------------------------------------------------------


async def test_a_server_that_is_away_neither_opens_the_gate_nor_shuts_it(
    server: Server, clock: Jump, caplog: pytest.LogCaptureFixture
) -> None:
    one = limits(server, clock)
    server.away = True
    with caplog.at_level(logging.WARNING):
        assert [await refused(one, "default", "x") for _ in range(5)] == [False, False, False, True, True]
    assert [record.getMessage() for record in caplog.records] == ["limits.alone"]
    assert len(server.keys) == 1  # it is not asked for every request


async def test_a_server_that_is_back_is_asked_again(
    server: Server, clock: Jump, caplog: pytest.LogCaptureFixture
) -> None:
    one = limits(server, clock)
    server.away = True
    for _ in range(20):
        await refused(one, "default", "x")
        clock.now += 1
    assert len(server.keys) == 20 / ALONE_S
    server.away = False
    clock.now += ALONE_S
    assert (await one.take("default", "x")).remaining == 2
    assert len(caplog.records) == 1


async def test_one_request_at_a_time_waits_for_a_server_that_does_not_answer(server: Server, clock: Jump) -> None:
    one = limits(server, clock)
    server.away = True
    await one.take("default", "x")
    clock.now += ALONE_S
    server.silent = True
    asking = asyncio.create_task(one.take("default", "x"), name="asking")
    while len(server.keys) == 1:  # noqa: ASYNC110 - what is waited for is a call
        await asyncio.sleep(0)
    async with asyncio.timeout(1):
        assert [await refused(one, "default", "x") for _ in range(3)] == [False, False, True]
    assert not asking.done()
    asking.cancel()
    await asyncio.wait([asking])


async def test_the_outage_is_told_once_a_minute(server: Server, clock: Jump, caplog: pytest.LogCaptureFixture) -> None:
    one = limits(server, clock)
    server.away = True
    for _ in range(180):
        await refused(one, "default", "x")
        clock.now += 1
    assert len(caplog.records) == 3


# -- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("203.0.113.7", "address:203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("unknown", "address:unknown"),
    ],
)
def test_an_address_stands_for_what_one_customer_gets(address: str, subject: str) -> None:
    assert address_subject(address) == subject


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_all_of_a_64_are_one_and_no_others(address: ipaddress.IPv6Address, within: int) -> None:
    neighbour = ipaddress.IPv6Address(int(address) >> 64 << 64 | within)
    assert address_subject(str(neighbour)) == address_subject(str(address))
    stranger = ipaddress.IPv6Address(int(address) ^ 1 << 64)
    assert address_subject(str(stranger)) != address_subject(str(address))
