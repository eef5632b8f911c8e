"""The servers that the hub is compared with, each one script, written the way its own documentation shows.

The scripts run by path in `.venv-bench`, never as modules of this package: Django Channels installs a package named
`channels` too, and the project's root must not be on their import path. They share `publisher`, their neighbour.
"""
