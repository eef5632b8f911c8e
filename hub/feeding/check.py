"""`python -m hub feeds --check kite`: whether a broker's credentials, list, connection and first price work."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

from feeds.accounts.check import check
from feeds.accounts.credentials import read_credentials
from feeds.errors import BadFile, ConnectionLost, CredentialsMissing, VendorRefused
from feeds.instruments import Listing
from feeds.listings.directory import Directory
from feeds.listings.instrument_store import InstrumentStore
from feeds.listings.master_loader import MasterLoader
from feeds.listings.masters import VENDORS
from feeds.market_hours.hours import SessionClass
from feeds.market_hours.sessions import MarketSession, Sessions
from hub import database
from hub.feeding.fetch import fetch
from hub.feeding.sources import SOURCES
from hub.progress import watch
from schemas.errors import Unavailable
from schemas.settings import Settings

Say = Callable[[str], None]


async def check_feed(
    settings: Settings, name: str, environ: Callable[[], Mapping[str, str]], *, now_s: Callable[[], float], say: Say
) -> bool:
    """Say each step of connecting to a broker, in plain words; whether all is well. Changes nothing but the list."""
    source, sessions = SOURCES[name](settings.feed_mode), Sessions()
    say(f"\nChecking {name}\n")
    try:
        read_credentials(name, source.credential_names, environ)
        directory = await _directory(settings, name, environ, sessions, say)
    except CredentialsMissing:
        directory = Directory()  # which of them, the check itself says
    if directory is None:
        return False

    def session_of(exchange: str) -> MarketSession:
        return sessions.session(exchange, int(now_s() * 1000))

    return await check(
        source,
        directory,
        lambda: read_credentials(name, source.credential_names, environ),
        session_of,
        say,
    )


async def _directory(
    settings: Settings, name: str, environ: Callable[[], Mapping[str, str]], sessions: Sessions, say: Say
) -> Directory | None:
    """The broker's instruments: those that are kept, else its list as of now. None, and said, where there are none."""
    found: list[Listing] = []

    async def take(listings: Sequence[Listing]) -> None:
        found[:] = listings

    def is_trading_day(day: date) -> bool:
        return sessions.trades_on(SessionClass.CASH, day)

    url, local = settings.database_url, environ().get(f"{name.upper()}_INSTRUMENTS", "")
    engine = database.engine_for(url.reveal() if url else "", settings.data_dir)
    loader = MasterLoader(
        VENDORS[name],
        InstrumentStore(engine),
        fetch=fetch,
        on_listings=take,
        is_trading_day=is_trading_day,
        watch=watch,
        path=Path(local) if local else None,
    )
    try:
        await database.migrate(engine)
        await loader.restore()
        if not found or loader.day != loader.wanted_day():
            await loader.load()
    except (VendorRefused, ConnectionLost, BadFile, OSError, Unavailable) as exc:
        if not found:
            say(f"  WRONG {'list':<12} the instruments of {name} can't be had: {exc}")
            say(f"        {'':<12} set {name.upper()}_INSTRUMENTS to a copy of it, or try again later")
            return None
        say(f"  note  {'list':<12} today's can't be had ({exc}); the last one serves")
    finally:
        await engine.dispose()
    say(f"  ok    {'list':<12} {len(found):,} instruments as of {loader.day}")
    return Directory(found)
