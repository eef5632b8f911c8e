"""The ways to a person."""

from enum import StrEnum


class Way(StrEnum):
    """The channels of a delivery."""

    WEBSOCKET = "websocket"
    EMAIL = "email"
    SMS = "sms"
    VOICE = "voice"
    PUSH = "push"
    WEBHOOK = "webhook"
