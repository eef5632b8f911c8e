"""What several instances tell of their sockets becomes one list. The answers themselves: see test_admin_live_api."""

from hypothesis import given
from hypothesis import strategies as st

from auth.identity import Plan, Role
from hub.sockets.live import ORDERS, Connection, ConnectionsAsked, first_of


def socket(
    client: str, *, user: str = "7", channels: int = 0, sent: int = 0, lag: int = 0, opened: str = ""
) -> Connection:
    return Connection(
        client=client,
        user=user,
        plan=Plan.FREE,
        role=Role.USER,
        instance="a",
        address=None,
        session=None,
        codec="json",
        opened_at=opened,
        channels=channels,
        sent_bytes=sent,
        pending_bytes=0,
        held_channels=0,
        lag_ms=lag,
    )


SOCKETS = st.lists(
    st.builds(
        socket,
        st.uuids().map(str),
        user=st.sampled_from("abc"),
        channels=st.integers(0, 3),
        sent=st.integers(0, 3),
        lag=st.integers(0, 3),
        opened=st.sampled_from(["2026-11-23T09:15:01.250+05:30", "2026-11-23T09:15:01.251+05:30"]),
    ),
    max_size=30,
    unique_by=lambda one: one.client,
)


@given(sockets=SOCKETS, sort=st.sampled_from(list(ORDERS)), descending=st.booleans(), size=st.integers(1, 7))
def test_the_pages_of_all_instances_together_hold_each_socket_once(
    sockets: list[Connection], sort: str, descending: bool, size: int
) -> None:
    halves = (sockets[::2], sockets[1::2])
    seen: list[Connection] = []
    for page in range(1, len(sockets) // size + 2):
        asked = ConnectionsAsked(limit=page * size, sort=sort, descending=descending)
        told = [one for half in halves for one in first_of(half, asked)]  # what each instance tells
        seen += first_of(told, asked)[(page - 1) * size :]
    assert sorted(one.client for one in seen) == sorted(one.client for one in sockets)
    keys = [ORDERS[sort][1](one) for one in seen]
    assert keys == sorted(keys, reverse=descending)
