"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for when the app is gone."""

import asyncio
import hashlib
import hmac
import io
import logging
import re
import secrets
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
import pyotp
import segno
from sqlalchemy import Row, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.sealing import TOTP_SECRET, Sealer, Unsealable
from auth.transactions import reading, writing
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.tables import accounts, recovery_codes

log = logging.getLogger("tickhub.auth.two_factor")

STEP_S = 30
WINDOW = 1
"""By how many steps an app's clock may differ, either way."""
RECOVERY_CODES = 10

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""What nobody takes for another letter."""
_RECOVERY_CHARS = 10
_TOTP_CODE = re.compile(r"[0-9]{6}")
_RECOVERY_CODE = re.compile(f"[{_ALPHABET}]{{{_RECOVERY_CHARS}}}")
_ADD_KEY = (
    "put the missing key back behind the others in ENCRYPTION_KEYS; if JWT_SECRET was changed, set the old one again, "
    "set ENCRYPTION_KEYS, run `python -m hub rotate-keys`, and change it then"
)
_RESTORE = "take the row's totp_secret from a backup, or have the user log in with a recovery code and set it up anew"
_SPACING = str.maketrans("", "", " -")


class Factor(StrEnum):
    """What somebody proved to have."""

    TOTP = "totp"
    RECOVERY_CODE = "recovery_code"


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What an authenticator app needs: the secret in base32, as an `otpauth://` URI, and that as a picture (SVG)."""

    secret: str
    uri: str
    qr_svg: str

    def __repr__(self) -> str:
        return "Setup(***)"


class TwoFactorStatus(NamedTuple):
    """Whether the second factor is on, and how many recovery codes have not been used."""

    enabled: bool
    recovery_codes: int


class TwoFactor:
    """The second factors of accounts. How often somebody may guess is the caller's affair.

    Everything raises Unavailable where the database fails. Cancelling is safe.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        sealer: Sealer,
        *,
        issuer_name: str = "tickhub",
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._sealer = sealer
        self._issuer_name = issuer_name
        self._wall = wall

    async def setup(self, user_id: str, label: str) -> Setup:
        """A new secret, which counts once it is confirmed; one that was not confirmed is replaced.

        `label` is what the app shows beside the issuer. Raises CommandError CONFLICT where the second factor is on,
        NOT_FOUND where the user has no account.
        """
        secret = pyotp.random_base32()  # 160 bits, as RFC 4226 recommends
        sealed = self._sealer.seal(secret, TOTP_SECRET.context(user_id))
        change = (
            update(accounts)
            .where(accounts.c.id == user_id, accounts.c.totp_enabled_at.is_(None))
            .values(totp_secret=sealed, totp_last_step=None)
        )
        async with writing(self._engine) as connection:
            changed = (await connection.execute(change)).rowcount
        if not changed:
            await self._row(user_id)
            raise CommandError(ErrorCode.CONFLICT, "The second factor is already on")
        uri = pyotp.TOTP(secret).provisioning_uri(name=label, issuer_name=self._issuer_name)
        picture = await asyncio.to_thread(_picture, uri)
        return Setup(secret=secret, uri=uri, qr_svg=picture)

    async def confirm(self, user_id: str, code: str) -> list[str]:
        """Switch it on with the app's first code; the recovery codes, which nobody can be shown again.

        Raises CommandError UNAUTHORIZED for a wrong code, CONFLICT where nothing waits to be confirmed, NOT_FOUND.
        """
        row = await self._row(user_id)
        if row.totp_secret is None or row.totp_enabled_at is not None:
            raise _nothing_to_confirm()
        step = self._step_of(user_id, row.totp_secret, _plain(code))
        codes, hashes = await asyncio.to_thread(_new_recovery_codes, user_id)
        now = int(self._wall())
        change = (
            update(accounts)
            .where(accounts.c.id == user_id, accounts.c.totp_enabled_at.is_(None))
            .where(accounts.c.totp_secret == row.totp_secret)  # and not of a setup that came in between
            .values(totp_enabled_at=now, totp_last_step=step, updated_at=now)
        )
        async with writing(self._engine) as connection:
            if not (await connection.execute(change)).rowcount:
                raise _nothing_to_confirm()
            await _replace_recovery_codes(connection, user_id, hashes)
        return codes

    async def check(self, user_id: str, code: str) -> Factor:
        """Take a code of the app, or a recovery code, each once; of several who bring one at once, one succeeds.

        Raises CommandError UNAUTHORIZED for any other code, CONFLICT where the second factor is off, NOT_FOUND;
        Unavailable for a code of the app where no key at hand opens its secret. Recovery codes need none.
        """
        row = await self._row(user_id)
        if row.totp_enabled_at is None:
            raise _off()
        plain = _plain(code)
        if _RECOVERY_CODE.fullmatch(plain):
            await self._use_recovery_code(user_id, plain)
            return Factor.RECOVERY_CODE
        await self._use_step(user_id, self._step_of(user_id, row.totp_secret, plain))
        return Factor.TOTP

    async def disable(self, user_id: str) -> bool:
        """Switch it off, and forget its secret and recovery codes; whether it was on."""
        change = (
            update(accounts)
            .where(accounts.c.id == user_id, accounts.c.totp_enabled_at.is_not(None))
            .values(totp_secret=None, totp_enabled_at=None, totp_last_step=None, updated_at=int(self._wall()))
        )
        async with writing(self._engine) as connection:
            was_on = (await connection.execute(change)).rowcount == 1
            if was_on:
                await _replace_recovery_codes(connection, user_id, [])
        return was_on

    async def renew_recovery_codes(self, user_id: str) -> list[str]:
        """New recovery codes; those before them are void. Raises CommandError CONFLICT where it is off, NOT_FOUND."""
        codes, hashes = await asyncio.to_thread(_new_recovery_codes, user_id)
        enabled = select(accounts.c.totp_enabled_at).where(accounts.c.id == user_id).with_for_update(key_share=True)
        async with writing(self._engine) as connection:
            row = (await connection.execute(enabled)).first()  # locked: of two who renew, the codes of one count
            if row is None:
                raise _no_account()
            if row.totp_enabled_at is None:
                raise _off()
            await _replace_recovery_codes(connection, user_id, hashes)
        return codes

    async def status(self, user_id: str) -> TwoFactorStatus:
        """How it stands with the user's second factor; off for who has no account here."""
        left = (
            select(func.count())
            .where(recovery_codes.c.user_id == accounts.c.id, recovery_codes.c.used_at.is_(None))
            .scalar_subquery()
        )
        query = select(accounts.c.totp_enabled_at, left.label("left")).where(accounts.c.id == user_id)
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
        if row is None or row.totp_enabled_at is None:
            return TwoFactorStatus(enabled=False, recovery_codes=0)
        return TwoFactorStatus(enabled=True, recovery_codes=row.left)

    async def _row(self, user_id: str) -> Row[Any, Any]:
        query = select(accounts.c.totp_secret, accounts.c.totp_enabled_at).where(accounts.c.id == user_id)
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            raise _no_account()
        return row

    def _step_of(self, user_id: str, sealed: str, code: str) -> int:
        """The time step whose code this is. Raises CommandError UNAUTHORIZED where it is none near now; Unavailable."""
        if not _TOTP_CODE.fullmatch(code):
            raise _wrong()
        totp = pyotp.TOTP(self._opened(user_id, sealed), interval=STEP_S)
        now = int(self._wall()) // STEP_S
        steps = [
            step
            for step in range(max(0, now - WINDOW), now + WINDOW + 1)
            if hmac.compare_digest(totp.generate_otp(step), code)
        ]
        if not steps:
            raise _wrong()
        return steps[0]

    def _opened(self, user_id: str, sealed: str) -> str:
        try:
            return self._sealer.open(sealed, TOTP_SECRET.context(user_id))
        except Unsealable as exc:
            remedy = _RESTORE if exc.known_key else _ADD_KEY
            extra = {"user": user_id, "why": str(exc), "remedy": remedy}
            log.error("two_factor.unsealable", extra=extra)  # noqa: TRY400 - the remedy is told, and no code is wrong
            raise Unavailable("second factor", "its secret cannot be opened; a recovery code still counts") from exc

    async def _use_step(self, user_id: str, step: int) -> None:
        """Take the code of a step. Raises CommandError UNAUTHORIZED where it, or a later one, has been taken."""
        last = accounts.c.totp_last_step
        change = (
            update(accounts)
            .where(accounts.c.id == user_id, accounts.c.totp_enabled_at.is_not(None))
            .where(or_(last.is_(None), last < step))
            .values(totp_last_step=step)
        )
        async with writing(self._engine) as connection:
            if not (await connection.execute(change)).rowcount:
                raise _wrong()

    async def _use_recovery_code(self, user_id: str, code: str) -> None:
        rows = recovery_codes.c
        change = update(recovery_codes).where(
            rows.user_id == user_id,
            rows.code_hash == await asyncio.to_thread(_hash, user_id, code),
            rows.used_at.is_(None),
        )
        async with writing(self._engine) as connection:
            if not (await connection.execute(change.values(used_at=int(self._wall())))).rowcount:
                raise _wrong()


def _plain(code: str) -> str:
    """The code without what people put between its parts."""
    return code.translate(_SPACING).lower()


def _picture(uri: str) -> str:
    picture = io.BytesIO()  # a whole document, with its namespace: pages show it as an image
    segno.make_qr(uri, error="m").save(picture, kind="svg", scale=4, xmldecl=False, nl=False)
    return picture.getvalue().decode()


def _new_recovery_codes(user_id: str) -> tuple[list[str], list[str]]:
    """Codes as `abcd-efgh-jk`, and their hashes. Takes a tenth of a second."""
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_RECOVERY_CHARS)) for _ in range(RECOVERY_CODES)]
    return [f"{code[:4]}-{code[4:8]}-{code[8:]}" for code in codes], [_hash(user_id, code) for code in codes]


def _hash(user_id: str, code: str) -> str:
    """Slow on purpose (10 ms): a code has 49 bits, which a plain hash would give away to whoever has the table."""
    return hashlib.scrypt(code.encode(), salt=user_id.encode(), n=2**12, r=8, p=1, dklen=32).hex()


async def _replace_recovery_codes(connection: AsyncConnection, user_id: str, hashes: list[str]) -> None:
    await connection.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    if hashes:
        await connection.execute(insert(recovery_codes), [{"user_id": user_id, "code_hash": one} for one in hashes])


def _wrong() -> CommandError:
    return CommandError(ErrorCode.UNAUTHORIZED, "The code is wrong or was used before")


def _off() -> CommandError:
    return CommandError(ErrorCode.CONFLICT, "The second factor is not on")


def _nothing_to_confirm() -> CommandError:
    return CommandError(ErrorCode.CONFLICT, "There is no second factor to confirm; set one up first")


def _no_account() -> CommandError:
    return CommandError(ErrorCode.NOT_FOUND, "This token belongs to no account here")
