"""The role `alerts`: prices to the engine, what it fires to the database."""
