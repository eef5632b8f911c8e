"""What a process without the role `web` answers, to those inside: whether it lives, and what it counts."""

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.routing import Route

from channels.broker import Broker
from hub import database
from hub.http.envelope import EXCEPTION_HANDLERS
from hub.http.health import Health
from hub.metrics import Metrics


def inside_app(metrics: Metrics, *, broker: Broker, engine: AsyncEngine) -> Starlette:
    """`/health`, `/health/detailed` and `/metrics`, and nothing else."""
    health = Health(checks={"broker": broker.check, "database": lambda: database.check(engine)}, facts=dict)
    return Starlette(
        routes=[
            Route("/health", health.health),
            Route("/health/detailed", health.detailed),
            Route("/metrics", metrics.answer),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
    )
