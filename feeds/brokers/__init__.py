"""Brokers' wire protocols as values: one module per vendor behind the port in `source`, none of them with I/O."""
