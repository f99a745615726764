"""A record, or a registry's answer, that has the server ask what only the server reaches."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from pullpass.domain.errors import ExchangeFailed, ExchangeRejected
from pullpass.domain.probe import ProbeCode
from pullpass.exchange.addresses import AddressGuard, parse_networks
from pullpass.exchange.failure import UpstreamFailed
from pullpass.exchange.token_service import TokenService
from pullpass.exchange.upstream import Limits, Outgoing, Upstream
from tests.api.conftest import Api
from tests.parts.wire import Scripted, WireServer, answer, wire_server

SECOND_TIME = "127.0.0.1"


class Rebinding:
    """A name that is public the first time and this machine from then on."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return [self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]]


@pytest.fixture
def inside() -> Iterator[WireServer]:
    """What must not be reached."""
    with wire_server(answer({"token": "inside-canary-5"})) as server:
        yield server


def trust() -> ssl.SSLContext:
    return ssl.create_default_context()


async def test_a_name_that_changes_its_answer_is_asked_once(inside: WireServer) -> None:
    """The first answer is what is connected to, again and again (here an address of this machine
    that the guard allows and nothing listens at); the second one would have been the way in.
    """
    resolver = Rebinding("127.0.0.2", SECOND_TIME)
    guard = AddressGuard(parse_networks("127.0.0.2/32"), resolver)
    limits = Limits(request_seconds=5, total_seconds=10)
    async with Upstream(guard, trust(), limits) as upstream:
        for _ in range(3):
            peer = await upstream.peer("http", "rebind.example.com", inside.port)
            with pytest.raises(UpstreamFailed):
                await upstream.get("ping", peer, "/")
    assert resolver.asked == 1
    assert inside.requests == []


async def test_the_next_undertaking_asks_again_and_is_guarded_again(inside: WireServer) -> None:
    resolver = Rebinding("127.0.0.2", SECOND_TIME)
    service = TokenService(AddressGuard(parse_networks("127.0.0.2/32"), resolver), trust())
    url = f"http://rebind.example.com:{inside.port}/token"
    with pytest.raises(ExchangeFailed):
        await service.call("the service", url, Outgoing("POST"))
    with pytest.raises(ExchangeRejected, match="no public address"):
        await service.call("the service", url, Outgoing("POST"))
    assert inside.requests == []


async def test_of_several_addresses_the_inner_ones_are_left_out() -> None:
    async def both(host: str, port: int) -> list[str]:
        return ["10.0.0.1", "8.8.8.8", "169.254.169.254", "::1"]

    found = await AddressGuard((), both).addresses("mixed.example.com", 443, seconds=5)
    assert [str(address) for address in found] == ["8.8.8.8"]


async def test_a_redirect_into_the_inside_is_not_followed(inside: WireServer) -> None:
    moved = Scripted(307, b"", {"Location": f"{inside.url}/latest/meta-data/"})
    with wire_server(moved) as outside:
        service = TokenService(AddressGuard(parse_networks("127.0.0.0/8")), trust())
        with pytest.raises(ExchangeFailed, match="redirect") as refused:
            await service.call("the service", f"{outside.url}/token", Outgoing("POST"))
    assert inside.requests == []
    assert "meta-data" not in refused.value.message


async def test_names_and_spellings_of_this_machine_are_refused(
    api: Api, inside: WireServer
) -> None:
    for number, host in enumerate(
        (
            *("localhost", "127.0.0.1", "127.1", "0.0.0.0", "2130706433", "0x7f000001"),
            *("localhost.", "LOCALHOST", "127.0.0.1.", "0177.0.0.1"),
        )
    ):
        registry = f"http://{host}:{inside.port}/x{number}"
        body = {"id": f"inside-{number}", "registry": registry, "type": "public"}
        made = await api.create(**body)
        if made.status_code != 201:
            assert made.status_code == 400, host
            continue
        checked = await api.call("POST", f"/orgs/acme/registries/{body['id']}/actions/check")
        assert checked.status_code == 200, checked.text
        result = checked.json()
        assert not result["ok"], host
        assert result["code"] in (ProbeCode.ADDRESS_REFUSED, ProbeCode.NAME_RESOLUTION), host
        assert "canary" not in checked.text
    assert inside.requests == []
    assert inside.connections == 0


async def test_an_endpoint_that_a_record_names_is_guarded_too(api: Api, inside: WireServer) -> None:
    host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    for number, endpoint in enumerate(
        (inside.url, f"http://localhost:{inside.port}", "http://169.254.169.254/latest/meta-data/")
    ):
        made = await api.create(
            id=f"ecr-{number}",
            registry=f"{host}/x{number}",
            type="amazon_ecr",
            creds={"username": "AKIAIOSFODNN7EXAMPLE", "password": "secret-canary"},
            options={"endpoint": endpoint},
        )
        if made.status_code != 201:
            assert made.status_code == 400, made.text
            continue
        given = await api.call("GET", f"/orgs/acme/registries/ecr-{number}/creds")
        assert given.status_code == 502
        assert "canary" not in given.text
    assert inside.requests == []
