"""`/api/v1/admin/users`: accounts, and what users are entitled to, with an account here or not."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from auth.account import Account, Status, Wanted
from auth.accounts import Accounts
from auth.audit import Event, Level
from auth.entitlements import Entitlement, Entitlements
from auth.identity import Plan, Role, is_account_id
from hub.api.trail import event
from hub.http.endpoint import Access, Call, Endpoint
from hub.http.requests import Page
from schemas.errors import CommandError, ErrorCode
from schemas.market import moment_text

_SORTS = ("created_at", "email", "name", "plan", "last_login_at")
_TIMES = frozenset({"created_at", "last_login_at"})
_USER_ID = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,127}")

Entitled = tuple[Plan, Role]


class UsersQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET users`: `q` is a part of the mail address or name.

    Sorted by created_at, email, name, plan or last_login_at.
    """

    q: Annotated[str, Meta(max_length=254)] | None = None
    plan: Plan | None = None
    role: Role | None = None
    status: Status | None = None
    verified: bool | None = None


class UserBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT admin/users/{id}`: what is to change."""

    plan: Plan | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    name: Annotated[str, Meta(min_length=1, max_length=100)] | UnsetType = UNSET


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account, as administrators see it."""

    id: str
    email: str
    email_verified: bool
    name: str
    phone: str | None
    phone_verified: bool
    plan: Plan
    role: Role
    status: Status
    two_factor: bool
    has_password: bool
    created_at: str
    updated_at: str
    last_login_at: str | None


class AccountList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of accounts."""

    items: list[AccountView]
    total: int
    page: int
    limit: int


class UserDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A user: what counts for it now, and its account, null for one of someone else's login.

    `sessions` are logins that live, `api_keys` keys that are good.
    """

    id: str
    plan: Plan
    role: Role
    account: AccountView | None
    sessions: int
    api_keys: int


class AdminUsersApi:
    """The endpoints of users.

    `entitle` puts in force what `entitlements` has committed, so that open sockets follow; `expel` (user) ends all
    sessions, tokens and sockets of a user, on every instance. `sessions_of` and `keys_of` list what a user has of them.
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        entitlements: Entitlements,
        entitle: Callable[[Entitlement], Awaitable[object]],
        expel: Callable[[str], Awaitable[object]],
        sessions_of: Callable[[str], Awaitable[Sequence[object]]],
        keys_of: Callable[[str], Awaitable[Sequence[object]]],
        record: Callable[[Event], Awaitable[None]],
    ) -> None:
        self._accounts = accounts
        self._entitlements = entitlements
        self._entitle = entitle
        self._expel = expel
        self._sessions_of = sessions_of
        self._keys_of = keys_of
        self._record = record

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        return [
            Endpoint("GET", "/admin/users", self.users, access=Access.ADMIN),
            Endpoint("GET", "/admin/users/{id}", self.user, access=Access.ADMIN, errors=(ErrorCode.NOT_FOUND,)),
            Endpoint(
                "PUT",
                "/admin/users/{id}",
                self.update,
                access=Access.ADMIN,
                errors=(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
            ),
        ]

    async def users(self, call: Call, query: UsersQuery) -> AccountList:
        """List accounts.

        The newest first unless `sort` and `order` say otherwise.
        """
        sort = query.sorted_by(*_SORTS)
        wanted = Wanted(
            q=query.q or None,
            plan=query.plan,
            role=query.role,
            status=query.status,
            verified=query.verified,
            sort=sort,
            descending=(query.order or ("desc" if sort in _TIMES else "asc")) == "desc",
            limit=query.limit,
            offset=query.offset,
        )
        found, total = await self._accounts.find(wanted)
        return AccountList(items=[_account(one) for one in found], total=total, page=query.page, limit=query.limit)

    async def user(self, call: Call) -> UserDetail:
        """Show one user: the account, what the user is entitled to, and how many logins and keys there are.

        A user of someone else's login is known here once an administrator has set a plan and role.
        """
        user = _user_id(call)
        account = await self._accounts.get(user)
        return await self._detail(user, account, self._entitlements.of(user))

    async def update(self, call: Call, body: UserBody) -> UserDetail:
        """Change a user's plan, role, status or name.

        Open sockets follow within a second without connecting again. Disabling ends all sessions and sockets. A user
        of someone else's login has no account here; plan and role can be set all the same, together the first time.
        """
        user = _user_id(call)
        if body == UserBody():
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected one of plan, role, status, name")
        if user == call.caller.user:
            _check_own(body)
        account = await self._accounts.get(user)
        if account is None:
            return await self._update_foreign(call, user, body)
        before, after = await self._administer(user, body, by=call.caller.user)
        if body.status is Status.DISABLED:
            await self._expel(user)
        await self._record(_changed(call, before, after))
        return await self._detail(user, after, None)

    async def _administer(self, user: str, body: UserBody, *, by: str) -> tuple[Account, Account]:
        """The account before and after; with another plan or role what its tokens entitle to, in one transaction."""
        granted: list[Entitlement] = []

        async def grant(connection: AsyncConnection, account: Account) -> None:
            granted.append(
                await self._entitlements.grant(account.id, account.plan, account.role, by, connection=connection)
            )

        entitling = body.plan is not UNSET or body.role is not UNSET
        changed = await self._accounts.administer(
            user,
            plan=body.plan,
            role=body.role,
            status=body.status,
            name=body.name,
            within=grant if entitling else None,
        )
        for one in granted:
            await self._entitle(one)
        return changed

    async def _update_foreign(self, call: Call, user: str, body: UserBody) -> UserDetail:
        if is_account_id(user):
            raise _unknown()
        if body.status is not UNSET or body.name is not UNSET:
            raise CommandError(ErrorCode.CONFLICT, "This user has no account here: only plan and role can be set")
        before = self._entitlements.of(user)
        plan = body.plan if body.plan is not UNSET else (before and before[0])
        role = body.role if body.role is not UNSET else (before and before[1])
        if plan is None or role is None:
            raise CommandError(ErrorCode.CONFLICT, "Nothing is known here of this user: set plan and role together")
        await self._entitle(await self._entitlements.grant(user, plan, role, call.caller.user))
        await self._record(
            event(
                call,
                "user.entitled",
                level=Level.CRITICAL,
                target=user,
                plan_before=before and before[0],
                plan_after=plan,
                role_before=before and before[1],
                role_after=role,
            )
        )
        return await self._detail(user, None, (plan, role))

    async def _detail(self, user: str, account: Account | None, entitled: Entitled | None) -> UserDetail:
        """Raises CommandError NOT_FOUND where neither is known."""
        if account is not None:
            entitled = (account.plan, account.role)
        if entitled is None:
            raise _unknown()
        plan, role = entitled
        return UserDetail(
            id=user,
            plan=plan,
            role=role,
            account=None if account is None else _account(account),
            sessions=len(await self._sessions_of(user)),
            api_keys=len(await self._keys_of(user)),
        )


def _user_id(call: Call) -> str:
    user = call.path("id")
    if not _USER_ID.fullmatch(user):
        raise _unknown()
    return user


def _check_own(body: UserBody) -> None:
    """An administrator who shuts himself out could not undo it."""
    if body.role not in (UNSET, Role.ADMIN):
        raise CommandError(ErrorCode.CONFLICT, "Nobody can take away the own role; ask another administrator")
    if body.status not in (UNSET, Status.ACTIVE):
        raise CommandError(ErrorCode.CONFLICT, "Nobody can disable the own account; ask another administrator")


def _changed(call: Call, before: Account, after: Account) -> Event:
    changes: dict[str, Any] = {}
    for field in ("plan", "role", "status"):
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            changes |= {f"{field}_before": old, f"{field}_after": new}
    return event(
        call,
        "user.changed",
        level=Level.CRITICAL if changes else Level.WARNING,
        target=after.id,
        name_changed=before.name != after.name,
        **changes,
    )


def _account(account: Account) -> AccountView:
    return AccountView(
        id=account.id,
        email=account.email,
        email_verified=account.email_verified,
        name=account.name,
        phone=account.phone,
        phone_verified=account.phone_verified,
        plan=account.plan,
        role=account.role,
        status=account.status,
        two_factor=account.two_factor,
        has_password=account.has_password,
        created_at=moment_text(account.created_at),
        updated_at=moment_text(account.updated_at),
        last_login_at=moment_text(account.last_login_at),
    )


def _unknown() -> CommandError:
    return CommandError(ErrorCode.NOT_FOUND, "No such user")
