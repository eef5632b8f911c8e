"""Prices in: one module per source, and what all sources share."""
