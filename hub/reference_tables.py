"""Writes `docs/codes.md`, `docs/metrics.md` and `docs/routes.md` out of what the program itself goes by.

`python -m hub.reference_tables` (or `make reference`) in the root of the checkout. Routes and metrics are those of a
hub that is constructed for it and never run: no socket is opened and no database asked.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from msgspec.structs import fields
from starlette.routing import compile_path

from hub import database
from hub.http.endpoint import Access, Endpoint
from hub.process import names_of, plans_of
from hub.roles import ROLES, Roles, Shared, broker_of
from hub.web import Web
from schemas.errors import (
    CLOSE_MEANING,
    CLOSE_REASON,
    ERROR_MEANING,
    HTTP_STATUS,
    TEMPORARY,
    UNSUBSCRIBE_MEANING,
    CloseCode,
    ErrorCode,
    UnsubscribeCode,
)
from schemas.settings import load

T = TypeVar("T")

CODES_HEAD = """\
# Codes

Three levels of failure have three shapes: one command fails, one channel ends, the connection ends. How each comes is
in [the protocol](protocol.md#codes). Decide on codes, never on texts: these are translated. Written by `make reference`
from `schemas/errors.py`.
"""

METRICS_HEAD = """\
# Metrics

`GET /metrics` of a process with the role `web`, in Prometheus' text format, without a token: keep it from the world.
A role's metrics are there where it runs in that process. Each process counts for itself, from its start; over several,
add counters up. Beside these come Python's and the process's own (`process_resident_memory_bytes`, `python_gc_…`).
Written by `make reference` from the registry.
"""

ROUTES_HEAD = """\
# Every route

All routes under `/api/v1`, as the program has them. [HTTP](http.md) explains them, with examples. A running hub shows
them at `/docs`, with every field of what goes in and comes out, and as OpenAPI 3.1 at `/openapi.json`. Written by
`make reference` from the same endpoints.

Who may: *all* needs no token; *bearer* takes every good token, and an API key where a scope in code stands behind it;
*admin* takes an administrator's token only. What begins with `?` stands in the address, the rest in a JSON body; what
is in brackets may be left out.
"""

PROTOCOL_CODES = {"1007": "text that is not UTF-8", "1009": "a frame over 2 MiB"}
"""Close codes of WebSocket itself."""


def codes() -> str:
    """The text of `docs/codes.md`."""
    return "\n".join(
        [
            CODES_HEAD,
            "## A command fails\n",
            "`error` on the socket and in the envelope over HTTP. *Temporary*: the same may succeed later.\n",
            _table(["code", "HTTP", "when", "temporary"], (_error_row(code) for code in ErrorCode)),
            "## A channel ends\n",
            "`unsubscribed` with a `code`; the others go on. From 2500 on: subscribe again.\n",
            _table(["code", "when"], ([str(int(code)), UNSUBSCRIBE_MEANING[code]] for code in UnsubscribeCode)),
            "## The connection ends\n",
            "A close code. From 3000 to 3499: connect again. From 3500 on: something must change first.\n",
            _table(["code", "reason", "when"], _close_rows()),
        ]
    )


def _error_row(code: ErrorCode) -> list[str]:
    return [f"`{code}`", str(HTTP_STATUS[code]), ERROR_MEANING[code], "yes" if code in TEMPORARY else ""]


def _close_rows() -> Iterator[list[str]]:
    for code in CloseCode:
        yield [str(int(code)), CLOSE_REASON[code], CLOSE_MEANING[code]]
    for shown, meaning in PROTOCOL_CODES.items():
        yield [shown, "", meaning]


def metrics() -> str:
    """The text of `docs/metrics.md`: a table for each role."""
    found: dict[str, tuple[str, str, str]] = {}
    blocks = [METRICS_HEAD]
    for role in ROLES:
        new = {row[0]: row for row in _made(_described, sorted({"web", role})) if row[0] not in found}
        found |= new
        rows = ([f"`{name}`", kind, text.removesuffix(".")] for name, kind, text in new.values())
        blocks += [f"## The role `{role}`\n", _table(["metric", "kind", "is"], rows)]
    return "\n".join(blocks)


def _described(web: Web) -> list[tuple[str, str, str]]:
    return list(web.metrics.described())


def routes() -> str:
    """The text of `docs/routes.md`: a table for each part of the API."""
    parts: dict[str, list[Endpoint]] = {}
    for endpoint in _made(lambda web: web.api.endpoints, ["web"]):
        parts.setdefault(endpoint.path.split("/")[1], []).append(endpoint)
    blocks = [ROUTES_HEAD]
    for part, found in parts.items():
        blocks += [f"## {part}\n", _table(["route", "does", "who", "takes"], map(_route_row, found))]
    return "\n".join(blocks)


def _route_row(endpoint: Endpoint) -> list[str]:
    path = compile_path(endpoint.path)[1].removeprefix("/")
    does = endpoint.description.partition("\n")[0].removesuffix(".")
    return [f"`{endpoint.method} {path}`", does, _who(endpoint), _takes(endpoint)]


def _who(endpoint: Endpoint) -> str:
    match endpoint.access:
        case Access.PUBLIC:
            return "all"
        case Access.ADMIN:
            return "admin"
        case _:
            return "bearer" if endpoint.scope is None else f"bearer, `{endpoint.scope}`"


def _takes(endpoint: Endpoint) -> str:
    query = [f"`?{name}`" if must else f"[`?{name}`]" for name, must in _parameters(endpoint.query_type).items()]
    body = [f"`{name}`" if must else f"[`{name}`]" for name, must in _parameters(endpoint.body_type).items()]
    return ", ".join([*query, *body, *(f"`{name}`" for name in endpoint.form)])


def _parameters(kind: Any) -> dict[str, bool]:
    """The fields of a struct and whether each must come; of several structs, those that each must have."""
    if kind is None:
        return {}
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    given = [{one.encode_name: one.required for one in fields(part)} for part in parts]
    names = dict.fromkeys(name for part in given for name in part)
    return {name: all(part.get(name, False) for part in given) for name in names}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines) + "\n"


def _made(read: Callable[[Web], T], roles: Sequence[str]) -> T:
    """What `read` finds in a process of these roles, with Redis, which is never asked."""
    with tempfile.TemporaryDirectory() as folder:
        secret = "0" * 64
        settings = load({"DATA_DIR": folder, "REDIS_URL": "redis://localhost", "JWT_SECRET": secret})
        names = names_of(settings)
        shared = Shared(
            settings=settings,
            secret=secret,
            broker=broker_of(settings, names),
            names=names,
            engine=database.engine_for("", settings.data_dir),
            plans=plans_of(settings),
            environ=dict,
        )
        web = Roles(shared, roles).web
        assert web is not None  # noqa: S101 - each caller asks for it
        return read(web)


def main(root: Path) -> None:
    """Write the three pages of the checkout in `root`."""
    (root / "docs").mkdir(exist_ok=True)
    for name, page in (("codes", codes()), ("metrics", metrics()), ("routes", routes())):
        (root / "docs" / f"{name}.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(Path.cwd())
