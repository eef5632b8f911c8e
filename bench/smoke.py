"""A quick proof that the harness and the hub work together: everything published is counted at the sockets."""

import time

from bench.load import open_load
from bench.report import Answer
from bench.systems import HUB
from bench.workload import Workload

_SMALL = Workload(sockets=60, symbols=60, per_socket=10, probes=6)
_RATE = 6_000.0
_PUBLISH_S = 2.0
_DRAIN_S = 1.0


def smoke() -> Answer:
    """A few seconds: every message published is counted at the sockets. No peers; exit code 1 where it fails."""
    answer = Answer(
        "smoke",
        "smoke: 60 sockets, each on 10 of 60 symbols",
        ("published", "expected", "counted", "by bytes", "p50 ms", "p99 ms"),
    )
    with open_load(HUB, _SMALL, count=True) as load:
        before = load.published()
        load.client.tell(measure=_PUBLISH_S + _DRAIN_S)
        load.rate(_RATE)
        time.sleep(_PUBLISH_S)
        load.rate(0)
        counts = load.client.answer(within_s=30)
        published = load.published() - before
    expected = round(published * _SMALL.fan_out)
    counted = counts["sink_messages"] + counts["probe_messages"]
    message_bytes = counts["probe_bytes"] / max(counts["probe_messages"], 1)
    by_bytes = round(counts["sink_bytes"] / max(message_bytes, 1)) + counts["probe_messages"]
    p50_ms, p99_ms = (None if counts[name] is None else counts[name] / 1000 for name in ("p50_us", "p99_us"))
    answer.rows.append((published, expected, counted, by_bytes, p50_ms, p99_ms))
    answer.target("something was published", reached=published > 0)
    answer.target("every message was counted, each once", reached=counted == expected)
    answer.target("counting bytes gives the same, within 0.1 %", reached=abs(by_bytes - expected) <= expected / 1000)
    return answer
