"""The ways to a person, one module each."""
