"""Values that must never be seen: they print as `***`, don't pickle, don't encode, and open only by `reveal()`."""

import hmac
import re
from typing import NoReturn

HIDDEN = "***"

_USERINFO = re.compile(r"(?<=://)\S*@")


def hide_userinfo(text: str) -> str:
    """`text` with `***` for the user and password of any URL in it."""
    return _USERINFO.sub(f"{HIDDEN}@", text)


class Secret:
    """A text that shows itself to nobody but a caller of `reveal`. Compares in constant time."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself; for handing on, never for a message."""
        return self.__value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash(self.__value)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled")


class SecretUrl(Secret):
    """A URL that may hold a password: shows its scheme, host, port and path, nothing else."""

    __slots__ = ()

    def __str__(self) -> str:
        scheme, _, rest = self.reveal().partition("://")
        place = rest.rpartition("@")[2]
        address, question, _ = place.partition("?")
        user = f"{HIDDEN}@" if "@" in rest else ""
        return f"{scheme}://{user}{address}{'?' + HIDDEN if question else ''}"
