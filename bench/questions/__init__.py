"""The questions, each a function from how much to measure to a table."""

from bench.questions.alert_commits import alert_commits
from bench.questions.alerts import alerts
from bench.questions.asking import Options, Question
from bench.questions.candles import candles
from bench.questions.connections import handshakes, memory, stalled
from bench.questions.decoding import packets_to_ticks
from bench.questions.deliveries import channel, crowd, fanout, latency
from bench.questions.http import http
from bench.questions.outbox import deliveries
from bench.questions.pipeline import pipeline
from bench.questions.prices import bytes_per_update, through_redis
from bench.questions.symbols import masters, search

QUESTIONS: dict[str, Question] = {
    "fanout": fanout,
    "channel": channel,
    "latency": latency,
    "crowd": crowd,
    "memory": memory,
    "handshakes": handshakes,
    "stalled": stalled,
    "redis": through_redis,
    "bytes": bytes_per_update,
    "candles": candles,
    "decoding": packets_to_ticks,
    "pipeline": pipeline,
    "search": search,
    "masters": masters,
    "http": http,
    "alerts": alerts,
    "alert_commits": alert_commits,
    "deliveries": deliveries,
}

__all__ = ["QUESTIONS", "Options", "Question"]
