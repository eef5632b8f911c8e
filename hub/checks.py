"""`python -m hub check`: every connection that the settings name, tried once, with what to do about each failure."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from rich.text import Text

from feeds.accounts.credentials import read_credentials
from feeds.errors import CredentialsMissing
from hub import database
from hub.delivering.providers import twilio_of
from hub.feeding.sources import SOURCES
from hub.post import OUTBOX, dlt_of, mailer_of, sender_of_settings
from hub.process import check_files, environment, names_of, plans_of
from hub.roles import broker_of
from hub.secret import secret_of
from hub.server import listen
from hub.terminal import say, shows
from hub.vapid_key import vapid
from notifiers.errors import Refused
from notifiers.providers.mail import SmtpMailer
from schemas.durations import Seconds
from schemas.errors import SettingsError, Unavailable
from schemas.settings import Settings

Attempt = Callable[[Settings], Awaitable[str]]
"""Says in a few words what was found; raises where it is not well."""

TIMEOUT_S: Seconds = 15.0


class _Fault(NamedTuple):
    """What is not well, and what to do about it."""

    text: str
    remedy: str = ""


async def report(settings: Settings) -> bool:
    """Print a line for each thing that was tried, and a summary; returns whether all is well."""
    well, bad = ("\u2713", "\u2717") if shows("\u2713\u2717") else ("ok", "WRONG")
    width = max(len(well), len(bad))
    wrong = 0
    for name, attempt in _ATTEMPTS.items():
        found, faults = await _tried(name, attempt, settings)
        wrong += bool(faults)
        if not faults:
            say(Text.assemble("  ", (f"{well:<{width}} ", "green"), f"{name:<11} {found}"))
        for fault in faults:
            say(Text.assemble("  ", (f"{bad:<{width}} ", "bold red"), f"{name:<11} {fault.text}"))
            if fault.remedy:
                say(f"{'':{width + 15}}{fault.remedy}")
    say()
    for line in _summary(settings, wrong):
        say(f"  {line}")
    return not wrong


async def _tried(name: str, attempt: Attempt, settings: Settings) -> tuple[str, list[_Fault]]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await attempt(settings), []
    except SettingsError as exc:
        return "", [_Fault(fault) for fault in exc.faults]
    except (Unavailable, Refused) as exc:
        return "", [_Fault(str(exc), _REMEDIES.get(name, ""))]
    except TimeoutError:
        return "", [_Fault(f"no answer in {TIMEOUT_S:g} s", _REMEDIES.get(name, ""))]


def _summary(settings: Settings, wrong: int) -> Iterator[str]:
    """How many things were tried, what is not the real thing, and what comes next."""
    made_up = []
    if "simulator" in settings.feed:
        made_up.append("prices (FEED)")
    if settings.smtp_host is None:
        made_up.append("mail (SMTP_HOST)")
    if settings.twilio_account_sid is None:
        made_up.append("SMS and calls (TWILIO_ACCOUNT_SID)")
    if made_up:
        yield f"Simulated or written to files, until it is set otherwise: {', '.join(made_up)}."
    if wrong:
        yield f"{wrong} of {len(_ATTEMPTS)} are not well. Put them right and try again."
    else:
        yield f"All {len(_ATTEMPTS)} are well. To start: python -m hub"


async def _settings(settings: Settings) -> str:
    await asyncio.to_thread(check_files, settings)
    await asyncio.to_thread(secret_of, settings)
    await asyncio.to_thread(plans_of, settings)
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
        return "simulator: simulated prices, all invented"
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


_REMEDIES = {
    "database": "Is the server of DATABASE_URL there, and do user, password and database exist?",
    "broker": "Is the Redis of REDIS_URL there, and may we log in?",
    "mail": "Is SMTP_HOST right, and do SMTP_PORT, SMTP_USER and SMTP_PASSWORD go with it?",
    "phone": "Are TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN those of one account?",
}

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
