"""The benchmarks still start: nobody runs them each day, and they would rot unnoticed."""

from contextlib import ExitStack

import pytest

from bench.http_load import Asked, HttpLoad
from bench.load import LoadError
from bench.questions import QUESTIONS
from bench.stored import PASSWORD, email, fill
from bench.systems import start_hub


def test_every_question_says_what_it_asks() -> None:
    assert all((question.__doc__ or "").strip() for question in QUESTIONS.values())


def test_the_hub_of_the_benchmarks_starts_with_a_load_feed() -> None:
    with ExitStack() as stack:
        hub = start_hub(stack, ["--symbols", "5"])
        assert hub.server.ask(rate=0) == {"published": 0}


def test_the_hub_of_the_benchmarks_starts_behind_redis(redis_url: str) -> None:
    with ExitStack() as stack:
        start_hub(stack, ["--redis", redis_url])
        start_hub(stack, ["--redis", redis_url, "--simulator"])


def test_requests_are_counted_at_saturation_and_at_a_set_rate(postgres_url: str) -> None:
    fill(postgres_url, people=3, given=2)
    with ExitStack() as stack:
        load = HttpLoad(stack)
        hub = start_hub(stack, ["--simulator", "--database", postgres_url])
        login = Asked("/auth/login", body={"email": email(2), "password": PASSWORD})
        me = Asked("/users/me", login.answer(hub.port)["access_token"])
        sample = load.at_rate("me", hub, [me], 50.0, connections=4, window_s=0.5)
        assert 30 < sample.answered < 60
        assert 0 < sample.p50_ms <= sample.p95_ms <= sample.p99_ms <= sample.max_ms
        assert load.saturate("logins", hub, [login], connections=2, window_s=0.5).answered > 0
        with pytest.raises(LoadError, match="401"):
            load.saturate("nobody", hub, [Asked("/users/me")], connections=2, window_s=0.2)
