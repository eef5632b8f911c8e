"""What data looks like: on the wire, at rest, in the settings. No I/O."""
