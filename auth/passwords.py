"""Passwords: which are taken, and how they are kept.

Every password is brought into Unicode's form NFKC first, so that one that was typed on another keyboard is the same.
The rules for new ones are no secret; the hash is Argon2id with the parameters that OWASP's Password Storage Cheat Sheet
names as the least.
"""

import asyncio
import base64
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]

from schemas.errors import CommandError, ErrorCode

MIN_LENGTH = 8
MAX_LENGTH = 128
PASSPHRASE_LENGTH = 20
"""From here on two kinds of characters are enough: length makes up for it."""
AT_ONCE = 2
"""How many passwords are hashed at the same time: more would cost memory and gain nothing."""
MAX_WAITING = 200
"""Some seconds of work; whoever comes on top of it is told to come again."""

_SHORTEST_NAME = 4
_MOST_COMMON = 50
_HASH_BYTES = 32
_SALT_BYTES = 16
_NO_LETTERS = r"[\W\d_]+"
_LEET = "@4301!$5789", "aaeoiisstbg"
_LEETS = (str.maketrans(*_LEET), str.maketrans("1!", "ll") | str.maketrans("@430$5789", "aaeosstbg"))

T = TypeVar("T")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one hash costs: memory in KiB, passes over it, and lanes that could be worked on at the same time."""

    memory_kib: int = 19_456
    passes: int = 2
    lanes: int = 1


def _bare(word: str) -> set[str]:
    """What is left of a password without the digits and signs that people put around a word, or in place of letters."""
    tail = re.sub(f"{_NO_LETTERS}$", "", word)
    forms = {word, tail, re.sub(f"^{_NO_LETTERS}", "", tail)}
    return {form.translate(leet) for form in forms for leet in _LEETS} - {""}


_COMMON = frozenset(word.casefold() for word in FREQUENCY_LISTS["passwords"])
_BARE_COMMON = frozenset(form for word in FREQUENCY_LISTS["passwords"][:_MOST_COMMON] for form in _bare(word))


def check_password(password: str, *, about: Sequence[str] = (), place: str = "$.password") -> None:
    """Let a new password pass, or say what is wrong with it, naming `place`. Raises CommandError BAD_REQUEST.

    `about` is what is known of its owner: the name, the mail address (of which the part before the @ counts).
    """
    text = _normal(password[: MAX_LENGTH + 1])
    if not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        raise CommandError(
            ErrorCode.BAD_REQUEST,
            "Expected {least} to {most} characters - at `{place}`",
            least=MIN_LENGTH,
            most=MAX_LENGTH,
            place=place,
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected no control characters - at `{place}`", place=place)
    if len({_kind(character) for character in text}) < (2 if len(text) >= PASSPHRASE_LENGTH else 3):
        raise CommandError(
            ErrorCode.BAD_REQUEST,
            "Expected three out of small letters, capitals, digits and other signs,"
            " or a longer sentence with two of them - at `{place}`",
            place=place,
        )
    folded = text.casefold()
    if any(part in folded for part in _personal(about)):
        raise CommandError(
            ErrorCode.BAD_REQUEST, "Expected nothing of your name or mail address - at `{place}`", place=place
        )
    if folded in _COMMON or not _bare(folded).isdisjoint(_BARE_COMMON):
        raise CommandError(
            ErrorCode.BAD_REQUEST, "Expected a password that is not among the commonly used - at `{place}`", place=place
        )


class Passwords:
    """Hashes and verifies passwords in two threads of its own, so that a flood of logins costs neither loop nor memory.

    Cancelling is safe; a hash that is being computed is finished for nobody. With more than MAX_WAITING ahead, `hash`
    and `verify` raise CommandError NOT_AVAILABLE.
    """

    def __init__(self, cost: Cost | None = None) -> None:
        cost = cost or Cost()
        self._hasher = PasswordHasher(
            time_cost=cost.passes,
            memory_cost=cost.memory_kib,
            parallelism=cost.lanes,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )
        self._nobodys = _hash_of_nothing(cost)
        # A semaphore would let a third one in as soon as a waiting caller is cancelled, whose thread works on.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """A text to keep: algorithm, parameters, salt and hash. `check_password` comes first."""
        return await self._run(lambda: self._hasher.hash(_octets(password)))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether this is the password. With None it is not, which takes as long to find out as for a wrong one."""
        return await self._run(lambda: self._matches(password, hashed or self._nobodys) and hashed is not None)

    def outdated(self, hashed: str) -> bool:
        """Whether a hash was made with other parameters than today's, and should be made anew at the next login."""
        return self._hasher.check_needs_rehash(hashed)

    def _matches(self, password: str, hashed: str) -> bool:
        try:
            return self._hasher.verify(hashed, _octets(password))
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise CommandError(ErrorCode.NOT_AVAILABLE, "Too many logins at the same time; try again")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _octets(password: str) -> bytes:
    return _normal(password).encode("utf-8", "surrogatepass")  # what no password can be is a wrong one, and no error


def _kind(character: str) -> str:
    """A letter without case, and a mark on a letter, are small letters here: many scripts have no capitals."""
    match unicodedata.category(character):
        case "Lu" | "Lt":
            return "capital"
        case "Nd":
            return "digit"
        case category:
            return "small" if category[0] in "LM" else "other"


def _personal(about: Sequence[str]) -> Iterator[str]:
    for text in about:
        name = _normal(text).casefold().partition("@")[0]
        for part in (name, *re.split(r"[\W_]+", name)):
            if len(part) >= _SHORTEST_NAME:
                yield part


def _hash_of_nothing(cost: Cost) -> str:
    """A hash that no password has, in the form of one, so that verifying against it is the same work."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (_SALT_BYTES, _HASH_BYTES)
    )
    return f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={cost.lanes}${salt}${digest}"
