"""What the whole test run needs of its process, and what tests of several folders share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.parts.aws import Aws, moto_server


def pytest_configure() -> None:
    # A shell starts a job behind `&` with SIGINT ignored, and every child inherits that: servers
    # and commands under test would not hear Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of moto."""
    with moto_server(tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture
def aws(moto: str) -> Iterator[Aws]:
    """A stand-in of AWS before moto, as new."""
    with Aws(moto) as stand_in:
        yield stand_in
