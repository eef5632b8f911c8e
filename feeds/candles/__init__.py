"""Candles: made from ticks, published while they form, stored once closed."""
