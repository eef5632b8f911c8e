"""`python -m hub token`."""

import argparse

from auth.identity import Plan, Role
from auth.tokens import TokenIssuer
from hub.address import page_of
from hub.exit_codes import EXIT_FAILED, EXIT_OK
from hub.secret import secret_of
from hub.terminal import complain, say
from schemas.durations import parse_duration
from schemas.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    """Whose, and what it allows."""
    parser.set_defaults(command=run)
    parser.add_argument("--user", required=True, help="whose it is")
    parser.add_argument("--plan", choices=[str(plan) for plan in Plan], default="free")
    parser.add_argument("--role", choices=[str(role) for role in Role], default="user")
    parser.add_argument("--expires", metavar="15m", help="for how long; JWT_ACCESS_EXPIRY by default")
    parser.add_argument("--link", action="store_true", help="print an address of the dashboard that brings it along")


def issuer_of(settings: Settings) -> TokenIssuer:
    """Who makes tokens that the hub of these settings takes. Raises SettingsError."""
    return TokenIssuer(secret_of(settings), settings.jwt_access_expiry_s)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Print a token, or a link with one, alone."""
    try:
        expires_in_s = parse_duration(options.expires) if options.expires else None
        token = issuer_of(settings).issue(options.user, Plan(options.plan), Role(options.role), expires_in_s)
    except ValueError as exc:
        complain(str(exc))
        return EXIT_FAILED
    say(f"{page_of(settings)}/#token={token}" if options.link else token)
    return EXIT_OK
