"""Alerts out: what they wait for, the engine that watches for it, and the way to the people who asked.

conditions   what an alert waits for: text, JSON, types, words            pure
engine       which of a million alerts a tick fires                       pure
alerts       alerts at rest, shards of them, what has fired
outbox       deliveries: claimed, sent once, never lost
providers    mail, SMS, voice, push, webhooks, the socket
people       who may be reached how, and when
wording      what is said, in five languages
"""
