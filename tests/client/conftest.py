from __future__ import annotations

import pytest

from pullpass.client.sync import Client
from tests.client.talk import Connect, Talk, awaited


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's environment says of proxies must not reach a loopback test."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module", params=[Client, awaited], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Each test that asks for it runs on both drivers."""
    driver: Connect = request.param
    return driver


@pytest.fixture
def talk(connect: Connect) -> Talk:
    return Talk(connect)
