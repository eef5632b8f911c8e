"""The refresh token in a cookie, for pages: out of reach of scripts, and sent by no other site.

`SameSite=Strict` keeps other sites from using it; the check of `Origin` does so for browsers that have forgotten it.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.requests import Request

from schemas.errors import CommandError, ErrorCode

NAME = "__Secure-tickhub_refresh"
PATH = "/api/v1/auth"


class RefreshCookie:
    """Writes and reads it. `origins` are the pages elsewhere that may call with cookies."""

    def __init__(self, origins: Collection[str] = ()) -> None:
        self._origins = frozenset(origins) - {"*"}

    def header(self, token: str, lives_s: int) -> dict[str, str]:
        """The header that sets it."""
        return {
            "Set-Cookie": f"{NAME}={token}; Max-Age={lives_s}; Path={PATH}; HttpOnly; Secure; SameSite=Strict",
        }

    def cleared(self) -> dict[str, str]:
        """The header that takes it away."""
        return self.header("", 0)

    def read(self, request: Request) -> str | None:
        """The token. Raises CommandError PERMISSION_DENIED where it comes from another site's page."""
        token = request.cookies.get(NAME)
        if token is not None:
            self.check(request)
        return token or None

    def check(self, request: Request) -> None:
        """Refuse what another site's page asks, such as to be logged in as somebody else.

        Raises CommandError PERMISSION_DENIED.
        """
        if not self._from_here(request):
            raise CommandError(ErrorCode.PERMISSION_DENIED, "This page may not use the cookie")

    def _from_here(self, request: Request) -> bool:
        origin = request.headers.get("origin")
        if origin is None or origin in self._origins:
            return True
        try:
            return urlsplit(origin).netloc == request.headers.get("host")
        except ValueError:
            return False
