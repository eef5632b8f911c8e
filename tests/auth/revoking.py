"""What tests revoke: a token by its bearer, all of a user's."""

from auth.identity import Identity
from auth.revocations import Revocation, Revocations


async def revoke_token(revoked: Revocations, identity: Identity) -> Revocation:
    """Put the revocation of that token in force, and answer with it."""
    revocation = Revocation(token_id=identity.token_id, expires_at=identity.expires_at)
    await revoked.revoke([revocation])
    return revocation


async def revoke_user(revoked: Revocations, user: str, at: float) -> Revocation:
    """Put the revocation of all that the user was given at or before that time in force, and answer with it."""
    revocation = Revocation(user=user, issued_before=int(at))
    await revoked.revoke([revocation])
    return revocation
