"""The document is checked by its structure and its examples; no package brings AsyncAPI's own JSON schema along."""

import json
from typing import Any, get_args

import jsonschema_rs
import msgspec
import pytest

from channels.namespace import BUILT_IN, CONTROL
from hub.sockets.asyncapi import PAYLOADS, asyncapi
from hub.sockets.asyncapi_examples import COMMANDS, EVENTS, PUBLICATIONS
from schemas import publications
from schemas.commands import AnyCommand
from schemas.messages import AnyMessage
from tests.hub.http.test_openapi import references

DOCUMENT: dict[str, Any] = json.loads(asyncapi(url="https://hub.example.com:8443"))
SAID = {struct.__name__ for struct in get_args(AnyCommand)}
TOLD = {struct.__name__ for struct in get_args(AnyMessage)}
PUBLIC = {namespace.name for namespace in BUILT_IN if namespace is not CONTROL}


def at(reference: str) -> Any:
    part = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    return part


def test_it_is_a_document_of_version_3() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["servers"]["hub"] | {"security": ...} == {
        "host": "hub.example.com:8443",
        "protocol": "wss",
        "description": DOCUMENT["servers"]["hub"]["description"],
        "security": ...,
    }
    assert json.loads(asyncapi(url="http://localhost:8081"))["servers"]["hub"]["protocol"] == "ws"


def test_every_command_and_message_is_in_it() -> None:
    assert DOCUMENT["components"]["messages"].keys() == SAID | TOLD | PUBLIC
    assert DOCUMENT["channels"]["Socket"]["messages"].keys() == SAID | TOLD
    assert DOCUMENT["components"]["schemas"].keys() >= SAID | TOLD


def test_every_command_is_an_operation_with_its_reply() -> None:
    received = [one for one in DOCUMENT["operations"].values() if one["action"] == "receive"]
    assert {one["messages"][0]["$ref"].rsplit("/", 1)[1] for one in received} == SAID
    assert all(one["reply"]["messages"] for one in received)


def test_every_message_is_sent_by_some_operation() -> None:
    sent = {
        reference["$ref"].rsplit("/", 1)[1]
        for one in DOCUMENT["operations"].values()
        for reference in (one["messages"] if one["action"] == "send" else one["reply"]["messages"])
    }
    assert sent == TOLD | {"publication"}


def test_every_namespace_but_the_internal_one_is_a_channel() -> None:
    assert DOCUMENT["channels"].keys() == PUBLIC | {"Socket"}
    assert DOCUMENT["channels"]["candles"]["address"] == "candles:{candle}"
    assert "For its owner." in DOCUMENT["channels"]["alerts"]["description"]
    assert "plan basic" in DOCUMENT["channels"]["depth"]["description"]


def test_namespaces_with_a_schema_show_it() -> None:
    assert {one.name for one in BUILT_IN if one.normalise is not publications.any_object} == PAYLOADS.keys()


def test_every_reference_resolves() -> None:
    for reference in references(DOCUMENT):
        assert at(reference)


@pytest.mark.parametrize("name", sorted(SAID | TOLD | PUBLIC))
def test_every_example_is_what_its_schema_says(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    schema = {**message["payload"], "components": DOCUMENT["components"]}
    (example,) = message["examples"]
    jsonschema_rs.validate(schema, example["payload"])
    assert not jsonschema_rs.is_valid(schema, {})


def test_every_example_of_a_command_is_read_as_that_command() -> None:
    assert {kind for _, kind, _ in COMMANDS} == set(get_args(AnyCommand))
    for text, kind, _ in COMMANDS:
        assert type(msgspec.convert(text, AnyCommand)) is kind


def test_there_is_an_example_of_every_message() -> None:
    assert {type(one) for one in (*EVENTS, *(reply for *_, reply in COMMANDS))} == set(get_args(AnyMessage))


@pytest.mark.parametrize("name", sorted(PUBLICATIONS.keys() & PAYLOADS.keys()))
def test_every_example_of_a_publication_may_be_published(name: str) -> None:
    (example,) = PUBLICATIONS[name]
    (namespace,) = [one for one in BUILT_IN if one.name == name]
    said = example if namespace.flat else example["data"]
    assert json.loads(namespace.normalise(json.dumps(said).encode())).items() <= said.items()
