"""Who may do what: role, plan and, for an API key, scopes against what is to be done to which channel.

One answer for sockets and HTTP alike (`Permissions.allow`). Whose channel an owned one is, the channel's name decides
where it is read; here everyone is its owner.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol, assert_never

from auth.identity import Identity, Plan, Role
from auth.plans import MAX_CHANNELS, Plans
from schemas.errors import CommandError, ErrorCode
from schemas.phrases import translatable

PLAN_RANK: dict[Plan, int] = {plan: rank for rank, plan in enumerate(Plan)}
"""A plan includes all that stand below it."""

ALL_SIGNALS = "signals:generated"
"""The channel of every exchange's signals."""

_PLANS = {str(plan): plan for plan in Plan}


class Action(StrEnum):
    """What somebody wants to do; all but the last three to a channel."""

    SUBSCRIBE = "subscribe"
    HISTORY = "history"
    PRESENCE = "presence"
    PUBLISH = "publish"
    """From a socket, where the namespace lets its subscribers."""
    READ = "read"
    """Over HTTP what the channel holds or has held."""
    PROVIDE = "provide"
    """Publish over HTTP, as servers do, and change what was published."""
    CONNECT = "connect"
    """Open a socket."""
    MEASURE = "measure"
    """Read usage metrics."""
    ADMINISTER = "administer"


class Scope(StrEnum):
    """What an API key may be for."""

    MARKET = "market"
    SIGNALS = "signals"
    SIGNALS_WRITE = "signals:write"
    ALERTS = "alerts"
    ALERTS_WRITE = "alerts:write"
    PUBLISH = "publish"
    SOCKET = "socket"
    """Sockets, and all that their bearer may hear there."""


_READ_SCOPES = {"signals": Scope.SIGNALS, "alerts": Scope.ALERTS}
_PROVIDE_SCOPES = {"signals": (Scope.SIGNALS_WRITE, Scope.PUBLISH)}


class Rules(Protocol):
    """A channel's namespace, as far as rights depend on it."""

    @property
    def name(self) -> str:
        """The first word of its channels' names."""

    @property
    def access(self) -> str:
        """Who may hear: any, a plan, admin, owner, internal; any other word lets in administrators alone."""

    @property
    def publish(self) -> str:
        """Which sockets may publish: none or subscribers."""

    @property
    def policy(self) -> str:
        """What subscribers are owed: latest or log."""


class Place(Protocol):
    """A channel, as far as rights depend on it."""

    @property
    def name(self) -> str:
        """The whole name."""

    @property
    def exchange(self) -> str | None:
        """Where its instrument is traded, if it is of one."""

    @property
    def namespace(self) -> Rules:
        """Its namespace."""


class Permissions:
    """Answers by the table of plans, as it is at the time of asking."""

    def __init__(self, plans: Plans) -> None:
        self.plans = plans

    def allow(self, identity: Identity, action: Action, channel: Place | None = None) -> int:
        """Let the bearer do that; the answer is by how many seconds the channel's values come late to them.

        Raises CommandError PERMISSION_DENIED. Administrators are not asked for a plan, publishers not for what their
        plan has of an exchange, nor for one at all to read over HTTP what they may provide. Costs some 2 µs.
        """
        if identity.scopes is not None:
            allow_scope(identity, *_scopes(action, channel))
        if channel is None:
            self._allow_at_all(identity, action)
            return 0
        self.allow_namespace(identity, action, channel.namespace)
        return 0 if action is Action.PROVIDE else self._delay_s(identity, channel)

    def connections(self, identity: Identity) -> int:
        """How many sockets the bearer may have at once; 0: without limit. Only users have such a limit."""
        return self.plans.of(identity.plan).connections if identity.role is Role.USER else 0

    def channels(self, identity: Identity) -> int:
        """How many channels one of the bearer's sockets may hear."""
        return self.plans.of(identity.plan).channels if identity.role is Role.USER else MAX_CHANNELS

    def hidden(self, identity: Identity, exchanges: Iterable[str]) -> tuple[str, ...]:
        """Those of the exchanges of which the bearer's plan has nothing."""
        if identity.role is not Role.USER:
            return ()
        rules = self.plans.of(identity.plan)
        return tuple(exchange for exchange in exchanges if rules.delay_s(exchange) is None)

    def _allow_at_all(self, identity: Identity, action: Action) -> None:
        match action:
            case Action.CONNECT:
                return
            case Action.ADMINISTER:
                allow_admin(identity)
            case Action.MEASURE:
                if identity.role is not Role.ADMIN and not self.plans.of(identity.plan).api_metrics:
                    raise _denied("the plan {plan} has no usage metrics", plan=identity.plan)
            case _:
                raise ValueError(f"{action} is done to a channel")

    def allow_namespace(self, identity: Identity, action: Action, namespace: Rules) -> None:
        """Let the bearer do that to some of a namespace's channels; which of them, `allow` and `hidden` say."""
        match action:
            case Action.SUBSCRIBE | Action.HISTORY | Action.PRESENCE | Action.PUBLISH | Action.READ:
                if action is Action.READ and identity.role is Role.PUBLISHER and namespace.access != "internal":
                    return
                _allow_access(
                    identity, action, namespace=namespace.name, access=namespace.access, publish=namespace.publish
                )
                if identity.role is Role.USER and namespace.name in self.plans.of(identity.plan).withheld:
                    text = translatable("the plan {plan} does not have {namespace}")
                    raise _denied(text, plan=identity.plan, namespace=namespace.name)
            case Action.PROVIDE:
                _allow_server(identity, namespace=namespace.name, access=namespace.access)
            case Action.CONNECT | Action.MEASURE | Action.ADMINISTER:
                raise ValueError(f"{action} is done to no channel")
            case _:
                assert_never(action)

    def _delay_s(self, identity: Identity, channel: Place) -> int:
        """A log channel is never late: it holds no prices, but what an exchange withheld is not to be had of it."""
        if channel.exchange is not None:
            delay_s = self.plans.delay_s(identity, channel.exchange)
            return delay_s if channel.namespace.policy == "latest" else 0
        if channel.name == ALL_SIGNALS and self.plans.withholds(identity):
            text = translatable("{channel} holds signals of exchanges that the plan {plan} does not have")
            raise _denied(text, channel=ALL_SIGNALS, plan=identity.plan)
        return 0


def _allow_access(identity: Identity, action: str, *, namespace: str, access: str, publish: str = "none") -> None:
    """Let the bearer do that to a channel of the namespace, as far as the namespace decides it; see `Rules`.

    Every action needs the right to subscribe. Raises CommandError PERMISSION_DENIED.
    """
    if action == "publish" and publish != "subscribers":
        raise _denied("clients cannot publish to {namespace}", namespace=namespace)
    if access in ("any", "owner"):
        return
    if access == "internal":
        raise _denied("{namespace} is internal", namespace=namespace)
    if identity.role is Role.ADMIN:
        return
    needed = _PLANS.get(access)
    if needed is None:
        raise _denied("{namespace} is for administrators", namespace=namespace)
    if PLAN_RANK[identity.plan] < PLAN_RANK[needed]:
        text = translatable("{namespace} needs the plan {needed}, yours is {plan}")
        raise _denied(text, namespace=namespace, needed=needed, plan=identity.plan)


def _allow_server(identity: Identity, *, namespace: str, access: str) -> None:
    """Let the bearer publish to the namespace over HTTP, as servers do. Raises CommandError PERMISSION_DENIED."""
    if access == "internal":
        raise _denied("{namespace} is internal", namespace=namespace)
    if identity.role is Role.USER:
        raise _denied("publishing needs the role publisher or admin")


def allow_admin(identity: Identity) -> None:
    """Let administrators pass. Raises CommandError PERMISSION_DENIED for everyone else."""
    if identity.role is not Role.ADMIN:
        raise _denied("this needs the role admin")


def allow_scope(identity: Identity, *scopes: str | None) -> None:
    """Let tokens pass, and API keys that have one of the scopes; none or None: no key.

    Raises CommandError PERMISSION_DENIED.
    """
    if identity.scopes is None or not identity.scopes.isdisjoint(scopes):
        return
    named = next((scope for scope in scopes if scope is not None), None)
    if named is None:
        raise _denied("API keys cannot do this")
    raise _denied("this needs a key with the scope {scope}", scope=named)


def _scopes(action: Action, channel: Place | None) -> tuple[str, ...]:
    """Of which scopes an API key needs one; without any, no key may."""
    namespace = "" if channel is None else channel.namespace.name
    match action:
        case Action.SUBSCRIBE | Action.HISTORY | Action.PRESENCE | Action.CONNECT:
            return (Scope.SOCKET,)
        case Action.READ:
            return (_READ_SCOPES.get(namespace, Scope.MARKET),)
        case Action.PUBLISH:
            return (Scope.PUBLISH,)
        case Action.PROVIDE:
            return _PROVIDE_SCOPES.get(namespace, (Scope.PUBLISH,))
        case Action.MEASURE | Action.ADMINISTER:
            return ()
        case _:
            assert_never(action)


def _denied(why: str, **values: object) -> CommandError:
    return CommandError(ErrorCode.PERMISSION_DENIED, why, **values)
