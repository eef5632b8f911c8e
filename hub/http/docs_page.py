"""`/docs`, `/openapi.json` and `/asyncapi.json`: the API as people and as programs read it.

The viewer is Swagger UI out of the installed distribution swagger-ui-py, of which only the static files are taken; the
package itself is not imported. Nothing comes from another host.
"""

import asyncio
import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from schemas.errors import CommandError, ErrorCode

_TYPES = {".css": "text/css", ".js": "text/javascript"}
_OURS = ("docs.css", "docs.js")
_VIEWER = ("swagger-ui.css", "swagger-ui-bundle.js")


class Docs:
    """`openapi` and `asyncapi` write the documents; each is asked once, when somebody first wants it."""

    _PAGE_HEADERS: ClassVar[dict[str, str]] = {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
            " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    _FILE_HEADERS: ClassVar[dict[str, str]] = {
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "public, max-age=31536000, immutable",
    }
    """The address of a file changes with any of them."""

    def __init__(self, *, openapi: Callable[[], bytes], asyncapi: Callable[[], bytes]) -> None:
        self._openapi = cache(openapi)
        self._asyncapi = cache(asyncapi)
        ours, viewer = files("hub").joinpath("docs"), _viewer_folder()
        self._files = {name: ours.joinpath(name).read_bytes() for name in _OURS}
        self._files |= {name: viewer.joinpath(name).read_bytes() for name in _VIEWER}
        self._digest = hashlib.sha256(b"".join(self._files.values())).hexdigest()[:16]
        html = ours.joinpath("index.html").read_text(encoding="utf-8")
        self._html = html.replace("{{base}}", f"/docs/{self._digest}")

    @property
    def routes(self) -> list[Route]:
        """To stand at the root."""
        return [
            Route("/docs", self.index),
            Route("/docs/{digest}/{name}", self.file),
            Route("/openapi.json", self.openapi),
            Route("/asyncapi.json", self.asyncapi),
        ]

    async def index(self, _: Request) -> Response:
        """The viewer."""
        return HTMLResponse(self._html, headers=self._PAGE_HEADERS)

    async def file(self, request: Request) -> Response:
        """One of the viewer's files."""
        name = request.path_params["name"]
        if request.path_params["digest"] != self._digest or name not in self._files:
            raise CommandError(ErrorCode.NOT_FOUND, "No such file")
        media_type = _TYPES[Path(name).suffix]
        return Response(self._files[name], headers=self._FILE_HEADERS, media_type=media_type)

    async def openapi(self, _: Request) -> Response:
        """The HTTP API, as OpenAPI 3.1."""
        return await _document(self._openapi)

    async def asyncapi(self, _: Request) -> Response:
        """The socket, as AsyncAPI 3.0."""
        return await _document(self._asyncapi)


async def _document(written: Callable[[], bytes]) -> Response:
    """Writing one takes longer than the event loop should stand still."""
    data = await asyncio.to_thread(written)
    return Response(data, headers={"Cache-Control": "no-cache"}, media_type="application/json")


def _viewer_folder() -> Path:
    """Where swagger-ui-py keeps Swagger UI. Raises FileNotFoundError where it is not installed."""
    spec = find_spec("swagger_ui")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("swagger-ui-py is not installed")
    return Path(spec.submodule_search_locations[0]) / "static"
