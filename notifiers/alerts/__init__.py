"""Alerts at rest, which engine has which of them, and what has fired."""
