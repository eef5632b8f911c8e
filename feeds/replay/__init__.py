"""Replay: recordings of brokers' wires, and price files, played as a feed."""
