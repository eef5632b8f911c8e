"""The alert engine: ticks in, firings out. Pure: no clock, no I/O, the same ticks give the same firings."""
