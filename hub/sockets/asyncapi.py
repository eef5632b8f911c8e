"""AsyncAPI 3.0 of the socket, written from the structs that the codec speaks and the namespaces that there are.

The socket itself is one channel, `/ws`, with all commands and answers. Each namespace is one more, whose address is
what a client subscribes; its publications come over the same socket. A namespace is called in small letters, so the
names of structs, and `Socket`, are never taken.
"""

from collections.abc import Iterable
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec

from channels.namespace import BUILT_IN, Access, Form, Namespace, Policy
from hub.http.endpoint import SCHEMAS
from hub.http.openapi import program_version
from hub.sockets.asyncapi_examples import COMMANDS, EVENTS, PUBLICATIONS
from schemas.alert_events import AlertEvent
from schemas.commands import AnyCommand
from schemas.errors import CLOSE_REASON, CloseCode, ErrorCode, UnsubscribeCode
from schemas.market import CandlePayload, DepthPayload, MarketPayload
from schemas.messages import AnyMessage, Error, Message
from schemas.publications import SignalPayload

Schema = dict[str, Any]

PAYLOADS: dict[str, type[msgspec.Struct]] = {
    "market": MarketPayload,
    "depth": DepthPayload,
    "candles": CandlePayload,
    "signals": SignalPayload,
}
"""What the publications of a namespace hold; those of all others any JSON object."""

TOLD: dict[str, tuple[type[msgspec.Struct], ...]] = {"alerts": get_args(AlertEvent)}
"""What the hub itself publishes, told apart by a field, where others may publish any JSON object."""

_SOCKET = "#/channels/Socket"

_DESCRIPTION = """\
One WebSocket at `/ws` carries everything: JSON in text frames, or with the subprotocol `msgpack` MessagePack in binary
ones. A client says commands, each with an optional `id` that comes back in the reply; every message of the server has a
`type`. The namespaces below are what can be subscribed; whoever runs the hub may add more.

A bad command gets an `error`, and the connection lives. One channel may end with `unsubscribed`, and the connection
with one of these close codes (3000 to 3499: connect again; 3500 and above: something must change first):

"""

_ADDRESSES = {
    Form.SYMBOL: ("{symbol}", "`RELIANCE`, or with its exchange `NSE:RELIANCE`, `NSE:NIFTY 50`"),
    Form.CANDLE: ("{candle}", "`1m:RELIANCE`, `1h:NSE:RELIANCE`; out of 1m 3m 5m 15m 30m 1h 1d"),
    Form.SIGNAL: ("{name}", "`generated` for all of them, or a symbol, `NSE:RELIANCE`"),
    Form.FREE: ("{name}", "What stands behind the namespace."),
}


def asyncapi(*, url: str, namespaces: Iterable[Namespace] = BUILT_IN) -> bytes:
    """The document as JSON. `url` is where the world reaches this server."""
    outside = [one for one in namespaces if one.access is not Access.INTERNAL]
    structs = [*get_args(AnyCommand), *get_args(AnyMessage)]
    told = [kind for kinds in TOLD.values() for kind in kinds]
    kinds = [*structs, *PAYLOADS.values(), *told, ErrorCode]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=SCHEMAS + "{name}")
    document = {
        "asyncapi": "3.0.0",
        "info": {"title": "tickhub", "version": program_version(), "description": _DESCRIPTION + _close_codes()},
        "defaultContentType": "application/json",
        "servers": {"hub": _server(url)},
        "channels": {"Socket": _socket(structs), **{one.name: _channel(one) for one in outside}},
        "operations": _operations(outside),
        "components": {
            "schemas": schemas,
            "messages": {**_struct_messages(structs), **{one.name: _publication(one) for one in outside}},
            "securitySchemes": _SECURITY,
        },
    }
    return msgspec.json.encode(document)


_SECURITY = {
    "header": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer …`, where it can be set."},
    "token": {"type": "httpApiKey", "in": "query", "name": "token", "description": "A token in the address."},
    "ticket": {
        "type": "httpApiKey",
        "in": "query",
        "name": "ticket",
        "description": "Single use, 30 seconds, from `POST /api/v1/auth/ticket`. The way for browsers.",
    },
}


_QUERY: Schema = {
    "type": "object",
    "properties": {
        "channels": {
            "type": "string",
            "description": "Channels to hear from the start, comma separated, as a first `subscribe` would name them.",
        }
    },
}


def _server(url: str) -> Schema:
    parts = urlsplit(url)
    return {
        "host": parts.netloc,
        "protocol": "wss" if parts.scheme == "https" else "ws",
        "description": "Without any of these a first message `auth` within 10 seconds brings the token.",
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY],
    }


def _close_codes() -> str:
    rows = "\n".join(f"| {int(code)} | {CLOSE_REASON[code]} |" for code in CloseCode)
    return f"| code | reason |\n|---|---|\n{rows}\n"


def _socket(structs: Iterable[type]) -> Schema:
    return {
        "address": "/ws",
        "title": "The socket",
        "messages": {one.__name__: _message_ref(one.__name__) for one in structs},
        "bindings": {"ws": {"method": "GET", "query": _QUERY, "bindingVersion": "0.1.0"}},
    }


def _message_ref(name: str) -> Schema:
    return {"$ref": f"#/components/messages/{name}"}


# -- namespaces -------------------------------------------------------------------------------------------------------


def _channel(namespace: Namespace) -> Schema:
    place, text = _ADDRESSES[namespace.form]
    if namespace.access is Access.OWNER:
        text = "`user`, which means the caller; other people's channels are refused."
    return {
        "address": f"{namespace.name}:{place}",
        "title": namespace.name,
        "description": _rules(namespace),
        "parameters": {place.strip("{}"): {"description": text}},
        "messages": {"publication": _message_ref(namespace.name)},
    }


def _rules(namespace: Namespace) -> str:
    if namespace.policy is Policy.LATEST:
        owed = "Only the newest value counts: it comes at once on subscribing, and whoever is slow gets the newest."
    else:
        owed = "Every message counts: each has an `offset`, and what was missed is recovered by `recover`."
    match namespace.access:
        case Access.ANY:
            who = "For every user."
        case Access.OWNER:
            who = "For its owner."
        case access:
            who = f"For the plan {access} and those above it." if access is not Access.ADMIN else "For administrators."
    return f"{who} {owed}"


def _publication(namespace: Namespace) -> Schema:
    return {
        "name": namespace.message_type,
        "title": namespace.message_type,
        "summary": f"A publication on `{namespace.name}:`",
        "description": "With `delta`, after the first value only `type`, `channel` and the fields that changed."
        if namespace.policy is Policy.LATEST
        else "The next in the channel's log.",
        "payload": _publication_schema(namespace),
        "examples": [{"payload": example} for example in PUBLICATIONS.get(namespace.name, ())],
    }


def _publication_schema(namespace: Namespace) -> Schema:
    head: dict[str, Schema] = {"type": {"const": namespace.message_type}, "channel": {"type": "string"}}
    payload = _payload_schema(namespace.name)
    if namespace.policy is Policy.LOG:
        head["offset"] = {"type": "integer"}
    else:
        head |= _LATEST
    if not namespace.flat:
        return {"type": "object", "required": ["type", "channel", "data"], "properties": head | {"data": payload}}
    places = ("exchange", "symbol", *(["timeframe"] if namespace.form is Form.CANDLE else []))
    head |= {name: {"type": "string"} for name in places}
    required = ["type", "channel", *places, "seq"]
    return {"allOf": [{"type": "object", "required": required, "properties": head}, payload]}


def _payload_schema(name: str) -> Schema:
    if name in TOLD:
        return {"anyOf": [{"$ref": SCHEMAS + kind.__name__} for kind in TOLD[name]]}
    model = PAYLOADS.get(name)
    return {"type": "object"} if model is None else {"$ref": SCHEMAS + model.__name__}


_LATEST: dict[str, Schema] = {
    "seq": {"type": "integer", "description": "Only ever grows."},
    "snapshot": {"const": True, "description": "The value that was there when the channel was subscribed."},
    "missed": {"type": "integer", "description": "How many updates this client was spared before this one."},
}


# -- commands and messages --------------------------------------------------------------------------------------------


def _struct_messages(structs: Iterable[type[msgspec.Struct]]) -> dict[str, Schema]:
    examples: dict[type, Message] = {type(one): one for one in (*EVENTS, *(reply for *_, reply in COMMANDS))}
    said = {kind: text for text, kind, _ in COMMANDS}
    return {
        one.__name__: _struct_message(one, said[one] if one in said else msgspec.to_builtins(examples[one]))
        for one in structs
    }


def _struct_message(struct: type[msgspec.Struct], example: object) -> Schema:
    summary, _, text = (struct.__doc__ or "").partition("\n")
    message: Schema = {
        "name": str(struct.__struct_config__.tag),
        "title": struct.__name__,
        "summary": summary.strip().removesuffix("."),
        "payload": {"$ref": SCHEMAS + struct.__name__},
        "examples": [{"payload": example}],
    }
    more = _CODES.get(struct.__name__, "")
    if described := "\n\n".join(filter(None, (text.strip(), more))):
        message["description"] = described
    return message


_CODES = {
    "Error": "`code` is one of " + ", ".join(f"`{code}`" for code in ErrorCode) + ".",
    "Unsubscribed": "`code` is one of "
    + ", ".join(f"{int(code)} ({code.name.lower().replace('_', ' ')})" for code in UnsubscribeCode)
    + ".",
}


def _operations(namespaces: Iterable[Namespace]) -> dict[str, Schema]:
    commands = {
        kind.__name__.lower(): {
            "action": "receive",
            "summary": (kind.__doc__ or "").partition("\n")[0].removesuffix("."),
            "channel": {"$ref": _SOCKET},
            "messages": [_in_socket(kind)],
            "reply": {"channel": {"$ref": _SOCKET}, "messages": [_in_socket(type(reply)), _in_socket(Error)]},
        }
        for _, kind, reply in COMMANDS
    }
    events = {
        f"tell{type(one).__name__}": {
            "action": "send",
            "channel": {"$ref": _SOCKET},
            "messages": [_in_socket(type(one))],
        }
        for one in EVENTS
    }
    return commands | events | {f"publish{one.name.capitalize()}": _publishing(one) for one in namespaces}


def _in_socket(struct: type) -> Schema:
    return {"$ref": f"{_SOCKET}/messages/{struct.__name__}"}


def _publishing(namespace: Namespace) -> Schema:
    channel = f"#/channels/{namespace.name}"
    return {
        "action": "send",
        "summary": f"Publications of `{namespace.name}`, to whoever subscribed",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/publication"}],
    }
