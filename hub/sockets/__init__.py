"""WebSockets: how one gets in, what it may say, what it is told."""
