"""Indicators over candles: the catalogue, how one is asked for, and their values in a batch or bar by bar."""
