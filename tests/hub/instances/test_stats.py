"""Figures of several instances become one: sums, and of lags the worst. What is read: see test_admin_stats_api."""

from msgspec import structs

from hub.instances.stats import Figures, InstanceFigures, summed

ONE = InstanceFigures(
    instance="a",
    uptime_s=10.0,
    draining=False,
    sockets=1,
    subscriptions=2,
    channels=3,
    opened=4,
    publications=5,
    deliveries=6,
    sent_bytes=7,
    conflated=8,
    slow_closes=9,
    http_requests={"2xx": 10, "4xx": 1},
    loop_lag_ms=1.5,
    broker_lag_ms=0.5,
)


def test_counts_are_added_and_lags_are_the_worst() -> None:
    other = structs.replace(ONE, instance="b", loop_lag_ms=0.5, broker_lag_ms=2.5, http_requests={"2xx": 1, "5xx": 2})
    assert summed([ONE, other]) == Figures(
        sockets=2,
        subscriptions=4,
        channels=6,
        opened=8,
        publications=10,
        deliveries=12,
        sent_bytes=14,
        conflated=16,
        slow_closes=18,
        http_requests={"2xx": 11, "4xx": 1, "5xx": 2},
        loop_lag_ms=1.5,
        broker_lag_ms=2.5,
    )


def test_of_no_instance_everything_is_nothing() -> None:
    nothing = summed([])
    assert nothing.http_requests == {}
    assert {getattr(nothing, name) for name in nothing.__struct_fields__ if name != "http_requests"} == {0}
