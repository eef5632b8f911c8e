"""`/`: the dashboard and its files. Nothing of it comes from another host, and all of it may be kept by browsers.

The address of every file holds a digest of all of them, so a browser keeps what it has until anything changes.
"""

import gzip
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from auth.identity import LANGUAGES
from hub.dashboard.words import words_of
from schemas.errors import CommandError, ErrorCode

_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_CHARTS = "lightweight-charts.js"
_WORKER = "worker.js"
_SDK = "tickhub.js"
_PAGE = "index.html"


class Dashboard:
    """`boot` says what a page is to begin with: who it is for, and what it shows before anything is chosen."""

    _PAGE_HEADERS: ClassVar[Mapping[str, str]] = {
        "Content-Security-Policy": (
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:;"
            " manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    _FILE_HEADERS: ClassVar[Mapping[str, str]] = {
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
    }

    def __init__(self, *, boot: Callable[[Request], Mapping[str, Any]]) -> None:
        self._boot = boot
        self._html, self._files, self._packed = _assets()
        self._digest = hashlib.sha256(b"".join(self._files[name] for name in sorted(self._files))).hexdigest()[:16]

    @property
    def routes(self) -> list[Route]:
        """To stand at the root."""
        return [
            Route("/", self.index),
            Route(f"/{_WORKER}", self.worker),
            Route(f"/{_SDK}", self.sdk),
            Route("/dashboard/{digest}/{name:path}", self.file),
        ]

    async def index(self, request: Request) -> Response:
        """The page, told who it is for."""
        boot = orjson.dumps(self._boot(request)).decode().replace("<", "\\u003c")
        base = f"/dashboard/{self._digest}"
        return HTMLResponse(self._html.replace("{{base}}", base).replace("{{boot}}", boot), headers=self._PAGE_HEADERS)

    async def worker(self, request: Request) -> Response:
        """The service worker, which takes push messages; at the root, since it serves what is beneath its address."""
        return self._answer(request, _WORKER, {**self._FILE_HEADERS, "Cache-Control": "no-cache"})

    async def sdk(self, request: Request) -> Response:
        """The browser SDK, under an address that stays, for pages of any origin."""
        headers = {**self._FILE_HEADERS, "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
        return self._answer(request, _SDK, headers)

    async def file(self, request: Request) -> Response:
        """One of the page's files."""
        name = request.path_params["name"]
        if request.path_params["digest"] != self._digest or name not in self._files:
            raise CommandError(ErrorCode.NOT_FOUND, "No such file")
        return self._answer(request, name, self._FILE_HEADERS)

    def _answer(self, request: Request, name: str, headers: Mapping[str, str]) -> Response:
        media_type = _TYPES[PurePosixPath(name).suffix]
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self._packed[name], headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
        return Response(self._files[name], headers=dict(headers), media_type=media_type)


@cache
def _assets() -> tuple[str, Mapping[str, bytes], Mapping[str, bytes]]:
    """The page, and its files by their paths: as they are, and packed, which takes longer than all else at a start."""
    found = dict(_read(files("hub").joinpath("dashboard", "assets")))
    html = found.pop(_PAGE).decode()
    found[_CHARTS] = _chart_library().read_bytes()
    found |= {f"words/{one}.json": json.dumps(words_of(one)).encode() for one in LANGUAGES}
    return html, found, {name: gzip.compress(data, 6, mtime=0) for name, data in found.items()}


def _read(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    """Every file beneath a folder that a browser may have, by its path there."""
    found: list[tuple[str, bytes]] = []
    for one in folder.iterdir():
        if one.is_dir():
            found += _read(one, f"{prefix}{one.name}/")
        elif PurePosixPath(one.name).suffix in _TYPES or one.name == _PAGE:
            found.append((prefix + one.name, one.read_bytes()))
    return found


def _chart_library() -> Path:
    """TradingView Lightweight Charts, as lwcharts keeps it. Raises FileNotFoundError where that is not installed."""
    spec = find_spec("lwcharts")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("lwcharts is not installed")
    return Path(spec.submodule_search_locations[0]) / "vendor" / "lightweight-charts.standalone.production.js"
