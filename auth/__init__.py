"""Who may: tokens, tickets, revocations, permissions."""
