import pytest

from auth.identity import Identity, Plan, Role
from auth.permissions import allow, allow_admin, allow_server
from channels.namespace import Access, Publishers
from schemas.errors import CommandError, ErrorCode


def someone(plan: Plan = Plan.FREE, role: Role = Role.USER) -> Identity:
    return Identity(user="7", plan=plan, role=role, token_id="t", issued_at=0, expires_at=1)


READING = ["subscribe", "history", "presence"]
WHO_HEARS = {
    Access.ANY: set(Plan),
    Access.BASIC: {Plan.BASIC, Plan.PRO, Plan.ENTERPRISE},
    Access.PRO: {Plan.PRO, Plan.ENTERPRISE},
    Access.ENTERPRISE: {Plan.ENTERPRISE},
    Access.ADMIN: set(),
    Access.OWNER: set(Plan),
    Access.INTERNAL: set(),
}


@pytest.mark.parametrize("action", READING)
@pytest.mark.parametrize("access", Access)
@pytest.mark.parametrize("plan", Plan)
def test_a_plan_hears_what_it_includes(action: str, access: Access, plan: Plan) -> None:
    if plan in WHO_HEARS[access]:
        allow(someone(plan), action, namespace="depth", access=access)
    else:
        with pytest.raises(CommandError) as caught:
            allow(someone(plan), action, namespace="depth", access=access)
        assert caught.value.code is ErrorCode.PERMISSION_DENIED


@pytest.mark.parametrize("access", Access)
def test_administrators_hear_everything_but_what_is_internal(access: Access) -> None:
    if access is not Access.INTERNAL:
        allow(someone(role=Role.ADMIN), "subscribe", namespace="depth", access=access)
    else:
        with pytest.raises(CommandError, match="internal"):
            allow(someone(role=Role.ADMIN), "subscribe", namespace="depth", access=access)


def test_whoever_may_not_is_told_what_it_takes() -> None:
    with pytest.raises(CommandError, match="depth needs the plan basic, yours is free"):
        allow(someone(), "subscribe", namespace="depth", access="basic")
    with pytest.raises(CommandError, match="ops is for administrators"):
        allow(someone(Plan.ENTERPRISE), "subscribe", namespace="ops", access="admin")


def test_an_access_of_an_unknown_name_lets_nobody_in() -> None:
    with pytest.raises(CommandError):
        allow(someone(Plan.ENTERPRISE), "subscribe", namespace="x", access="everyone")


def test_a_client_publishes_where_subscribers_may_and_it_could_subscribe() -> None:
    allow(someone(Plan.PRO), "publish", namespace="chat", access="pro", publish=Publishers.SUBSCRIBERS)
    with pytest.raises(CommandError, match="needs the plan pro"):
        allow(someone(Plan.BASIC), "publish", namespace="chat", access="pro", publish=Publishers.SUBSCRIBERS)
    for role in Role:
        with pytest.raises(CommandError, match="clients cannot publish to market"):
            allow(someone(role=role), "publish", namespace="market", access="any", publish=Publishers.NONE)


def test_a_publisher_has_no_plan_that_it_was_not_given() -> None:
    with pytest.raises(CommandError, match="needs the plan"):
        allow(someone(role=Role.PUBLISHER), "subscribe", namespace="depth", access="basic")


@pytest.mark.parametrize("access", [access for access in Access if access is not Access.INTERNAL])
def test_servers_publish_by_their_role_alone(access: Access) -> None:
    allow_server(someone(role=Role.PUBLISHER), namespace="market", access=access)
    allow_server(someone(role=Role.ADMIN), namespace="market", access=access)
    with pytest.raises(CommandError, match="role publisher or admin"):
        allow_server(someone(Plan.ENTERPRISE), namespace="market", access=access)


def test_nobody_publishes_to_what_is_internal() -> None:
    with pytest.raises(CommandError, match="internal"):
        allow_server(someone(role=Role.ADMIN), namespace="control", access=Access.INTERNAL)


def test_only_administrators_administer() -> None:
    allow_admin(someone(role=Role.ADMIN))
    for role in (Role.USER, Role.PUBLISHER):
        with pytest.raises(CommandError, match="role admin"):
            allow_admin(someone(Plan.ENTERPRISE, role))
