"""What is shown on a screen says enough, fits, and replaces nothing but itself."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.outbox.delivery import Kind
from notifiers.providers.notification import MAX_BYTES, notification_of
from notifiers.way import Way
from tests.notifiers.providers.jobs import NOW, job_of, said

JOB = job_of(Way.PUSH, "1")


def test_a_page_is_given_what_it_shows() -> None:
    made = notification_of(JOB, said(JOB), url="https://hub.example/a", acknowledge="https://hub.example/k", now_s=NOW)
    assert msgspec.to_builtins(made.payload) == {
        "kind": "alert",
        "title": "TCS: सूचना",
        "body": "किंमत ₹2,500.50",
        "tag": made.topic,
        "lang": "mr",
        "time": "2027-01-15T13:30:00.000+05:30",
        "url": "https://hub.example/a",
        "alert": 5,
        "trigger": 9,
        "acknowledge": "https://hub.example/k",
    }
    assert (made.ttl_s, made.expires_at_s, made.urgent) == (600, NOW + 600, True)


def test_each_delivery_has_a_topic_of_its_own_at_every_attempt() -> None:
    topics = [
        notification_of(job, said(job), url=None, acknowledge=None, now_s=NOW).topic
        for job in (JOB, job_of(Way.PUSH, "1", attempt=2), job_of(Way.PUSH, "1", key="other"))
    ]
    assert topics[0] == topics[1] != topics[2]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32}", topic) for topic in topics)


@pytest.mark.parametrize(("expires_at_ms", "ttl_s"), [(0, 0), (NOW * 1000 + 999, 0), (2**53, 28 * 86_400)])
def test_what_is_too_late_is_for_those_who_are_there(expires_at_ms: int, ttl_s: int) -> None:
    job = job_of(Way.PUSH, "1", expires_at_ms=expires_at_ms)
    assert notification_of(job, said(job), url=None, acknowledge=None, now_s=NOW).ttl_s == ttl_s


@pytest.mark.parametrize(("kind", "urgent"), [(Kind.ALERT, True), (Kind.TEST, True), (Kind.DIGEST, False)])
def test_only_what_happens_now_is_urgent(kind: Kind, urgent: bool) -> None:
    job = job_of(Way.PUSH, "1", kind=kind)
    assert notification_of(job, said(job), url=None, acknowledge=None, now_s=NOW).urgent is urgent


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=2000), st.integers(0, 1500))
def test_a_payload_fits_and_keeps_the_beginning_of_its_body(line: str, url_chars: int) -> None:
    words = msgspec.structs.replace(said(JOB), line=line)
    payload = notification_of(JOB, words, url="x" * url_chars, acknowledge=None, now_s=NOW).payload
    assert len(msgspec.json.encode(payload)) <= MAX_BYTES
    assert payload.body == line or line.startswith(payload.body.removesuffix("…"))
