"""Who may do what: plans and roles against what a channel's namespace asks for.

Whose channel an owned one is, the channel's name decides where it is read; here everyone is its owner.
"""

from auth.identity import Identity, Plan, Role
from schemas.errors import CommandError, ErrorCode

PLAN_RANK: dict[Plan, int] = {plan: rank for rank, plan in enumerate(Plan)}
"""A plan includes all that stand below it."""

_PLANS = {str(plan): plan for plan in Plan}


def allow(identity: Identity, action: str, *, namespace: str, access: str, publish: str = "none") -> None:
    """Let the bearer do that to a channel of the namespace. Raises CommandError PERMISSION_DENIED.

    `action` is subscribe, history, presence or publish; `access` any, a plan, admin, owner or internal, and a word that
    is none of these lets in administrators alone; `publish` (which sockets may) none or subscribers. Every action needs
    the right to subscribe. Administrators are not asked for a plan.
    """
    if action == "publish" and publish != "subscribers":
        raise _denied(f"clients cannot publish to {namespace}")
    if access in ("any", "owner"):
        return
    if access == "internal":
        raise _denied(f"{namespace} is internal")
    if identity.role is Role.ADMIN:
        return
    needed = _PLANS.get(access)
    if needed is None:
        raise _denied(f"{namespace} is for administrators")
    if PLAN_RANK[identity.plan] < PLAN_RANK[needed]:
        raise _denied(f"{namespace} needs the plan {needed}, yours is {identity.plan}")


def allow_server(identity: Identity, *, namespace: str, access: str) -> None:
    """Let the bearer publish to the namespace over HTTP, as servers do. Raises CommandError PERMISSION_DENIED."""
    if access == "internal":
        raise _denied(f"{namespace} is internal")
    if identity.role is Role.USER:
        raise _denied("publishing needs the role publisher or admin")


def allow_admin(identity: Identity) -> None:
    """Let administrators pass. Raises CommandError PERMISSION_DENIED for everyone else."""
    if identity.role is not Role.ADMIN:
        raise _denied("this needs the role admin")


def allow_scope(identity: Identity, scope: str | None) -> None:
    """Let tokens pass, and API keys that have the scope; None: no key. Raises CommandError PERMISSION_DENIED."""
    if identity.scopes is None or (scope is not None and scope in identity.scopes):
        return
    raise _denied("API keys cannot do this" if scope is None else f"this needs a key with the scope {scope}")


def _denied(why: str) -> CommandError:
    return CommandError(ErrorCode.PERMISSION_DENIED, why)
