import pytest

from auth.identity import Identity, Plan, Role
from auth.permissions import Action, Permissions, Scope, allow_admin, allow_scope
from auth.permissions import _allow_access as allow
from auth.permissions import _allow_server as allow_server
from auth.plans import Plans
from channels.channel import Channel, ChannelNames
from channels.namespace import Access, Namespaces, Publishers
from schemas.errors import CommandError, ErrorCode

NAMES = ChannelNames(Namespaces())


def someone(plan: Plan = Plan.FREE, role: Role = Role.USER, scopes: frozenset[str] | None = None) -> Identity:
    return Identity(user="7", plan=plan, role=role, token_id="t", issued_at=0, expires_at=1, scopes=scopes)


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


# -- the one answer ---------------------------------------------------------------------------------------------------

TABLE = {
    "free": {"default": "15m", "MCX": "none", "connections": 2, "channels": 50, "withheld": ["candles"]},
    "basic": {"NSE": "1m"},
}


@pytest.fixture
def permissions() -> Permissions:
    return Permissions(Plans.read(TABLE))


def channel(name: str) -> Channel:
    return NAMES.parse(name, user="7")


def refused(permissions: Permissions, identity: Identity, action: Action, name: str | None = None) -> str:
    with pytest.raises(CommandError) as caught:
        permissions.allow(identity, action, None if name is None else channel(name))
    assert caught.value.code is ErrorCode.PERMISSION_DENIED
    return caught.value.message


HEARING = [Action.SUBSCRIBE, Action.HISTORY, Action.PRESENCE, Action.READ]


@pytest.mark.parametrize("action", HEARING)
def test_the_answer_is_how_late_a_plan_hears(permissions: Permissions, action: Action) -> None:
    assert permissions.allow(someone(), action, channel("market:NSE:TCS")) == 900
    assert permissions.allow(someone(Plan.BASIC), action, channel("market:NSE:TCS")) == 60
    assert permissions.allow(someone(Plan.BASIC), action, channel("depth:BSE:TCS")) == 0
    assert permissions.allow(someone(Plan.BASIC), action, channel("signals:NSE:TCS")) == 0, "a log is never late"
    assert permissions.allow(someone(), action, channel("alerts:user")) == 0
    assert permissions.allow(someone(), action, channel("status:market")) == 0


@pytest.mark.parametrize("action", HEARING)
def test_what_a_plan_has_nothing_of_is_refused(permissions: Permissions, action: Action) -> None:
    assert "no prices of MCX" in refused(permissions, someone(), action, "market:MCX:GOLD")
    assert "needs the plan basic" in refused(permissions, someone(), action, "depth:NSE:TCS")
    assert "does not have candles" in refused(permissions, someone(), action, "candles:1m:NSE:TCS")
    assert permissions.allow(someone(Plan.BASIC), action, channel("candles:1m:BSE:TCS")) == 0


@pytest.mark.parametrize("action", HEARING)
def test_all_signals_are_not_for_who_lacks_an_exchange(action: Action) -> None:
    permissions = Permissions(Plans.read({"basic": {"MCX": "none"}}))
    assert "holds signals" in refused(permissions, someone(Plan.BASIC), action, "signals:generated")
    assert "no prices of MCX" in refused(permissions, someone(Plan.BASIC), action, "signals:MCX:GOLD")
    assert permissions.allow(someone(Plan.PRO), action, channel("signals:generated")) == 0


def test_a_publisher_reads_over_http_what_it_may_provide(permissions: Permissions) -> None:
    publisher = someone(role=Role.PUBLISHER)
    for name in ("signals:generated", "signals:MCX:GOLD", "candles:1m:MCX:GOLD"):
        assert permissions.allow(publisher, Action.READ, channel(name)) == 0
        assert permissions.allow(publisher, Action.PROVIDE, channel(name)) == 0
    assert "needs the plan" in refused(permissions, publisher, Action.SUBSCRIBE, "signals:generated")
    assert "role publisher" in refused(permissions, someone(Plan.ENTERPRISE), Action.PROVIDE, "market:TCS")


def test_an_administrator_may_all_that_is_not_internal(permissions: Permissions) -> None:
    admin = someone(role=Role.ADMIN)
    for action in Action:
        if action not in (Action.PUBLISH, Action.CONNECT, Action.MEASURE, Action.ADMINISTER):
            assert permissions.allow(admin, action, channel("depth:MCX:GOLD")) == 0
    for action in (Action.CONNECT, Action.MEASURE, Action.ADMINISTER):
        permissions.allow(admin, action)


def test_metrics_are_for_plans_that_have_them(permissions: Permissions) -> None:
    for plan, may in zip(Plan, (False, False, True, True), strict=True):
        if may:
            permissions.allow(someone(plan), Action.MEASURE)
        else:
            assert "usage metrics" in refused(permissions, someone(plan), Action.MEASURE)
    assert "role admin" in refused(permissions, someone(Plan.ENTERPRISE), Action.ADMINISTER)


SCOPES = {
    (Action.CONNECT, None): {Scope.SOCKET},
    (Action.SUBSCRIBE, "signals:generated"): {Scope.SOCKET},
    (Action.HISTORY, "alerts:user"): {Scope.SOCKET},
    (Action.PRESENCE, "market:TCS"): {Scope.SOCKET},
    (Action.READ, "market:TCS"): {Scope.MARKET},
    (Action.READ, "candles:1m:TCS"): {Scope.MARKET},
    (Action.READ, "signals:generated"): {Scope.SIGNALS},
    (Action.READ, "alerts:user"): {Scope.ALERTS},
    (Action.PROVIDE, "market:TCS"): {Scope.PUBLISH},
    (Action.PROVIDE, "signals:generated"): {Scope.SIGNALS_WRITE, Scope.PUBLISH},
    (Action.MEASURE, None): set(),
    (Action.ADMINISTER, None): set(),
}


@pytest.mark.parametrize(("asked", "enough"), SCOPES.items(), ids=[f"{action} {place}" for action, place in SCOPES])
@pytest.mark.parametrize("scope", Scope)
def test_a_key_may_what_its_scope_is_for(asked: tuple[Action, str | None], enough: set[Scope], scope: Scope) -> None:
    action, name = asked
    permissions = Permissions(Plans())
    key = someone(Plan.ENTERPRISE, Role.ADMIN, frozenset({scope}))
    if scope in enough:
        permissions.allow(key, action, None if name is None else channel(name))
    else:
        assert "key" in refused(permissions, key, action, name)
    permissions.allow(someone(Plan.ENTERPRISE, Role.ADMIN), action, None if name is None else channel(name))


def test_a_key_without_scopes_may_nothing_and_one_with_all_no_more_than_its_plan(permissions: Permissions) -> None:
    assert "scope socket" in refused(permissions, someone(scopes=frozenset()), Action.CONNECT)
    every = someone(scopes=frozenset(Scope))
    assert "needs the plan" in refused(permissions, every, Action.SUBSCRIBE, "depth:NSE:TCS")
    assert permissions.allow(every, Action.SUBSCRIBE, channel("market:NSE:TCS")) == 900


def test_a_scope_is_asked_of_keys_alone() -> None:
    allow_scope(someone(), "market")
    allow_scope(someone(), None)
    allow_scope(someone(scopes=frozenset({"market"})), "market")
    with pytest.raises(CommandError, match="API keys cannot"):
        allow_scope(someone(scopes=frozenset({"market"})), None)
    with pytest.raises(CommandError, match="scope signals"):
        allow_scope(someone(scopes=frozenset({"market"})), "signals")


def test_limits_are_the_plans_for_users_and_the_protocols_for_who_runs_the_hub(permissions: Permissions) -> None:
    assert (permissions.connections(someone()), permissions.channels(someone())) == (2, 50)
    assert (permissions.connections(someone(Plan.PRO)), permissions.channels(someone(Plan.PRO))) == (0, 3000)
    for role in (Role.PUBLISHER, Role.ADMIN):
        assert (permissions.connections(someone(role=role)), permissions.channels(someone(role=role))) == (0, 3000)


def test_hidden_exchanges_are_those_that_the_plan_has_nothing_of(permissions: Permissions) -> None:
    assert permissions.hidden(someone(), ["NSE", "MCX"]) == ("MCX",)
    assert permissions.hidden(someone(Plan.BASIC), ["NSE", "MCX"]) == ()
    assert permissions.hidden(someone(role=Role.ADMIN), ["NSE", "MCX"]) == ()


def test_an_action_wants_a_channel_or_none() -> None:
    permissions = Permissions(Plans())
    with pytest.raises(ValueError, match="to a channel"):
        permissions.allow(someone(), Action.READ)
    with pytest.raises(ValueError, match="to no channel"):
        permissions.allow(someone(), Action.CONNECT, channel("market:TCS"))


def test_plans_that_change_are_asked_anew(permissions: Permissions) -> None:
    permissions.plans.replace(Plans())
    assert permissions.allow(someone(), Action.SUBSCRIBE, channel("market:MCX:GOLD")) == 0
