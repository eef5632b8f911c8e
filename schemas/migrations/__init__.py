"""The steps from an empty database to `schemas.tables`, as Alembic revisions.

A change of the tables comes with a new module in `versions/`, named `v<number>_<what>.py` and written by hand; a test
holds the last step equal to the tables on both engines, and takes every step back and forth.
"""
