"""Brokers' accounts: the one runner that connects, authenticates, watches and reconnects for all sources."""
