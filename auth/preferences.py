"""How users want to be spoken to: language, theme, time zone, what they are told about and what they watch.

Users whose tokens come from someone else's login have preferences too, so no account is asked for.
"""

import zoneinfo
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.identity import LANGUAGES
from auth.transactions import ConstraintBroken, reading, writing
from schemas.errors import CommandError, ErrorCode
from schemas.tables import preferences

THEMES = ("light", "dark", "system")
TIME_ZONES = frozenset(zoneinfo.available_timezones())
"""Read from the disk when the process starts, never while it serves."""
MAX_NOTIFICATIONS = 16 * 1024
"""Bytes, as JSON."""
MAX_DEPTH = 16
"""How deep objects and lists may be nested: what can just be encoded here might not be decoded elsewhere."""

MAX_WATCHLIST = 500
"""Instruments."""

Edit = Callable[[dict[str, Any]], dict[str, Any]]

_BY_USER = select(preferences).where(preferences.c.user_id == bindparam("user"))


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """A user's wishes; None where there is none."""

    language: str | None = None
    theme: str | None = None
    timezone: str | None = None
    notifications: dict[str, Any] = msgspec.field(default_factory=dict)
    watchlist: tuple[str, ...] | None = None
    """`NSE:RELIANCE` and the like, in the user's order."""


class Preferences:
    """The table `preferences`. Every call raises Unavailable where the database fails, and is safe to cancel."""

    def __init__(self, engine: AsyncEngine, *, wall: Callable[[], float]) -> None:
        self._engine = engine
        self._wall = wall

    async def get(self, user_id: str) -> Preference:
        """What the user wishes; of an unknown one, nothing."""
        async with reading(self._engine) as connection:
            row = (await connection.execute(_BY_USER, {"user": user_id})).one_or_none()
        return Preference() if row is None else preference_of(row)

    async def put(
        self,
        user_id: str,
        *,
        language: str | UnsetType | None = UNSET,
        theme: str | UnsetType | None = UNSET,
        timezone: str | UnsetType | None = UNSET,
        notifications: dict[str, Any] | UnsetType = UNSET,
        watchlist: Sequence[str] | UnsetType | None = UNSET,
    ) -> Preference:
        """Take over what is given; None takes a wish back, and `notifications` and `watchlist` come whole.

        Of two at once both count, and the last where they differ. Raises CommandError BAD_REQUEST for what is no
        language, theme, time zone or object of at most 16 KiB, and for more than MAX_WATCHLIST instruments; whether
        they are any is the caller's to know.
        """
        _check("$.language", language, LANGUAGES)
        _check("$.theme", theme, THEMES)
        if isinstance(timezone, str) and timezone not in TIME_ZONES:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected a time zone such as Asia/Kolkata - at `$.timezone`")
        given = {
            "language": language,
            "theme": theme,
            "timezone": timezone,
            "notifications": notifications if notifications is UNSET else _encoded(notifications),
            "watchlist": _listed(watchlist) if isinstance(watchlist, Sequence) else watchlist,
            "updated_at": int(self._wall()),
        }
        fields = {name: value for name, value in given.items() if value is not UNSET}
        row = await self._update(user_id, fields) or await self._insert(user_id, fields)
        row = row or await self._update(user_id, fields)
        return Preference() if row is None else preference_of(row)

    async def edit(self, user_id: str, edit: Edit) -> Preference:
        """Change `notifications`, from what they are now to what `edit` makes of them: no other change gets lost.

        Raises CommandError BAD_REQUEST as `put` does, and what `edit` raises.
        """
        try:
            return await self._edit(user_id, edit)
        except ConstraintBroken:  # another request made the row meanwhile
            return await self._edit(user_id, edit)

    async def _edit(self, user_id: str, edit: Edit) -> Preference:
        async with writing(self._engine) as connection:
            row = (await connection.execute(_BY_USER.with_for_update(), {"user": user_id})).one_or_none()
            before: dict[str, Any] = {} if row is None else msgspec.json.decode(row.notifications)
            fields = {"notifications": _encoded(edit(before)), "updated_at": int(self._wall())}
            if row is None:
                change: Any = insert(preferences).values({"user_id": user_id, **fields})
            else:
                change = update(preferences).where(preferences.c.user_id == user_id).values(fields)
            return preference_of((await connection.execute(change.returning(preferences))).one())

    async def _update(self, user_id: str, fields: dict[str, Any]) -> Row[Any] | None:
        change = update(preferences).where(preferences.c.user_id == user_id).values(fields)
        async with writing(self._engine) as connection:
            row: Row[Any] | None = (await connection.execute(change.returning(preferences))).one_or_none()
        return row

    async def _insert(self, user_id: str, fields: dict[str, Any]) -> Row[Any] | None:
        """None where another request was quicker."""
        values = {"notifications": "{}", **fields, "user_id": user_id}
        try:
            async with writing(self._engine) as connection:
                row: Row[Any] = (
                    await connection.execute(insert(preferences).values(values).returning(preferences))
                ).one()
        except ConstraintBroken:
            return None
        return row


def preference_of(row: Row[Any]) -> Preference:
    """A whole row of the table `preferences`."""
    return Preference(
        language=row.language,
        theme=row.theme,
        timezone=row.timezone,
        notifications=msgspec.json.decode(row.notifications),
        watchlist=None if row.watchlist is None else tuple(msgspec.json.decode(row.watchlist)),
    )


def _check(place: str, word: str | UnsetType | None, words: tuple[str, ...]) -> None:
    if isinstance(word, str) and word not in words:
        raise CommandError(
            ErrorCode.BAD_REQUEST, "Expected one of {words} - at `{place}`", words=", ".join(words), place=place
        )


def _listed(places: Sequence[str]) -> str:
    if len(places) > MAX_WATCHLIST:
        raise CommandError(
            ErrorCode.BAD_REQUEST, "Expected at most {most} instruments - at `$.watchlist`", most=MAX_WATCHLIST
        )
    return msgspec.json.encode(places).decode()


def _encoded(given: dict[str, Any]) -> str:
    try:
        text = msgspec.json.encode(given) if _is_shallow(given, MAX_DEPTH) else None
    except (msgspec.MsgspecError, UnicodeError, TypeError):  # a lone surrogate; what no JSON has
        text = None
    if text is None:
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected a JSON object, not too deep - at `$.notifications`")
    if len(text) > MAX_NOTIFICATIONS:
        raise CommandError(
            ErrorCode.BAD_REQUEST,
            "Expected at most {most} bytes of JSON - at `$.notifications`",
            most=MAX_NOTIFICATIONS,
        )
    return text.decode()


def _is_shallow(value: object, levels: int) -> bool:
    match value:
        case dict():
            return levels > 0 and all(_is_shallow(inner, levels - 1) for inner in value.values())
        case list():
            return levels > 0 and all(_is_shallow(inner, levels - 1) for inner in value)
        case _:
            return True
