"""`python -m hub check`: every connection that the settings name, tried once, with what to do about each failure."""

import asyncio
from collections.abc import Awaitable, Callable

from feeds.accounts.credentials import read_credentials
from feeds.errors import CredentialsMissing
from hub import database
from hub.delivering.providers import twilio_of
from hub.feeding.sources import SOURCES
from hub.post import OUTBOX, dlt_of, mailer_of, sender_of_settings
from hub.process import environment, names_of
from hub.roles import broker_of
from hub.secret import secret_of
from hub.server import listen
from hub.vapid_key import vapid
from notifiers.errors import Refused
from notifiers.providers.mail import SmtpMailer
from schemas.errors import SettingsError, Unavailable
from schemas.settings import Settings

Attempt = Callable[[Settings], Awaitable[str]]
"""Says in a few words what was found; raises where it is not well."""


async def report(settings: Settings) -> bool:
    """Print one line for each thing that was tried; returns whether all is well."""
    well = True
    for name, attempt in _ATTEMPTS.items():
        try:
            async with asyncio.timeout(15):
                print(f"  ok    {name:<11} {await attempt(settings)}")
        except SettingsError as exc:
            well = False
            print(*(f"  WRONG {name:<11} {fault}" for fault in exc.faults), sep="\n")
        except (Unavailable, Refused) as exc:
            well = False
            print(f"  WRONG {name:<11} {exc}")
        except TimeoutError:
            well = False
            print(f"  WRONG {name:<11} no answer in 15 s")
    return well


async def _settings(settings: Settings) -> str:
    await asyncio.to_thread(secret_of, settings)
    return "read; tokens can be signed"


async def _address(settings: Settings) -> str:
    listen(settings.host, settings.port).close()
    return f"{settings.host}:{settings.port} is free"


async def _namespaces(settings: Settings) -> str:
    await asyncio.to_thread(names_of, settings)
    return str(settings.namespaces_file or "the built-in ones")


async def _database(settings: Settings) -> str:
    url = settings.database_url
    engine = database.engine_for(url.reveal() if url is not None else "", settings.data_dir)
    try:
        await database.check(engine)
    finally:
        await engine.dispose()
    return str(url or settings.data_dir / database.SQLITE_FILE)


async def _broker(settings: Settings) -> str:
    broker = broker_of(settings, await asyncio.to_thread(names_of, settings))
    try:
        await broker.check()
    finally:
        await broker.close()
    return str(settings.redis_url or "in the process")


async def _feed(settings: Settings) -> str:
    environ = await asyncio.to_thread(environment)
    for name in settings.feed:
        if name in SOURCES:
            source = SOURCES[name](settings.feed_mode)
            try:
                await asyncio.to_thread(read_credentials, name, source.credential_names, lambda: environ)
            except CredentialsMissing as exc:
                raise SettingsError([str(exc)]) from exc
    if settings.feed == ("simulator",):
        return "simulator: simulated prices"
    brokers = [name for name in settings.feed if name in SOURCES]
    more = f"; try it with `python -m hub feeds --check {brokers[0]}`" if brokers else ""
    return ", ".join(settings.feed) + more


async def _mail(settings: Settings) -> str:
    sender = sender_of_settings(settings)
    mailer = await asyncio.to_thread(mailer_of, settings, sender)
    try:
        if not isinstance(mailer, SmtpMailer):
            return f"written to {settings.data_dir / OUTBOX}"
        await mailer.check()
    finally:
        await mailer.close()
    return f"{settings.smtp_host}:{settings.smtp_port} takes mail from {sender.address}"


async def _phone(settings: Settings) -> str:
    await asyncio.to_thread(dlt_of, settings)
    twilio = twilio_of(settings)
    if twilio is None:
        return f"SMS and calls written to {settings.data_dir / OUTBOX}"
    await twilio.check()
    reports = "reports to PUBLIC_URL" if settings.public_url else "without PUBLIC_URL it is asked how messages fare"
    return f"Twilio; {reports}"


async def _push(settings: Settings) -> str:
    await asyncio.to_thread(vapid, settings, sender_of_settings(settings).address)
    return "browsers" if settings.fcm_credentials_file is None else "browsers and apps"


_ATTEMPTS: dict[str, Attempt] = {
    "settings": _settings,
    "address": _address,
    "namespaces": _namespaces,
    "database": _database,
    "broker": _broker,
    "feed": _feed,
    "mail": _mail,
    "phone": _phone,
    "push": _push,
}
