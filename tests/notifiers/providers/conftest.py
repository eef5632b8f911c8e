"""A certificate on 127.0.0.1, and what believes in it."""

import ssl

import pytest

from tests.feeds.tls import self_signed


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and that of a client."""
    return self_signed(tmp_path_factory.mktemp("tls"))
