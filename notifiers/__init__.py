"""Alerts out. Empty until the alert engine moves in; nothing else may take the room."""
