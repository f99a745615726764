"""Which addresses are connected to, in every spelling that they have."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from pullpass.domain.probe import ProbeCode
from pullpass.exchange.addresses import AddressGuard, is_loopback, parse_networks
from pullpass.exchange.failure import UpstreamFailed


async def found(host: str, *answers: str, allowed: str = "") -> tuple[str, ...] | ProbeCode:
    async def resolve(host: str, port: int) -> tuple[str, ...]:
        return answers

    guard = AddressGuard(parse_networks(allowed), resolve)
    try:
        addresses = await guard.addresses(host, 443, seconds=5)
    except UpstreamFailed as error:
        return error.reason
    return tuple(str(address) for address in addresses)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "2606:4700:4700::1111",
        "2a00:1450:4001::8a",
        # 6to4 and NAT64 with a public IPv4 address inside.
        "2002:808:808::1",
        "64:ff9b::808:808",
    ],
)
async def test_public_addresses_are_taken(address: str) -> None:
    assert await found("registry.example.com", address) == (str(ip_address(address)),)


async def test_an_ipv4_mapped_address_is_connected_to_as_what_it_is() -> None:
    assert await found("registry.example.com", "::ffff:8.8.8.8") == ("8.8.8.8",)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%1",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "100::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        # A private IPv4 address inside: mapped, compatible, 6to4, NAT64, local NAT64, Teredo.
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:127.0.0.1",
        "::127.0.0.1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2002:c0a8:101::",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::808:808",
        "2001:0:808:808::f5ff:fffe",
        # Metadata services, one of them at a public address.
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd20:ce::254",
    ],
)
async def test_no_other_address_is_taken_unless_allowed(address: str) -> None:
    assert await found("registry.example.com", address) is ProbeCode.ADDRESS_REFUSED


@pytest.mark.parametrize(
    ("address", "allowed", "taken"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "192.168.0.0/16, 10.1.2.3", True),
        ("11.1.2.3", "10.0.0.0/8", True),
        ("192.168.0.1", "10.0.0.0/8", False),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("64:ff9b::a01:203", "10.0.0.0/8", True),
        ("64:ff9b::a01:203", "64:ff9b::/96", False),
        ("2002:a01:203::1", "2002::/16", False),
        ("::1", "127.0.0.0/8", False),
        ("::1", "::1", True),
        ("fd00::1", "fc00::/7", True),
        ("fe80::1%1", "::/0", False),
        # A network around a metadata service does not open it; its own address does.
        ("169.254.169.254", "169.254.0.0/16", False),
        ("169.254.169.254", "0.0.0.0/0", False),
        ("::ffff:169.254.169.254", "0.0.0.0/0,::/0", False),
        ("fd00:ec2::254", "fc00::/7", False),
        ("168.63.129.16", "168.63.0.0/16", False),
        ("169.254.169.254", "169.254.169.254", True),
        ("169.254.169.254", "169.254.169.254/32", True),
    ],
)
async def test_an_operator_allows_networks(address: str, allowed: str, taken: bool) -> None:
    answer = await found("registry.example.com", address, allowed=allowed)
    assert (answer is not ProbeCode.ADDRESS_REFUSED) is taken


@pytest.mark.parametrize("host", ["metadata.google.internal", "METADATA.google.internal"])
async def test_a_metadata_service_is_known_by_its_name_too(host: str) -> None:
    assert await found(host, "10.0.0.1", allowed="10.0.0.0/8") is ProbeCode.ADDRESS_REFUSED
    assert await found(host, "10.0.0.1", allowed="10.0.0.1") == ("10.0.0.1",)


async def test_of_several_addresses_only_the_allowed_ones_are_used() -> None:
    assert await found("example.com", "10.0.0.1", "8.8.8.8", "::1") == ("8.8.8.8",)


@pytest.mark.parametrize(
    "host",
    # The system's resolver takes an IPv4 address in all the spellings of inet_aton(3).
    ["127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "017700000001", "localhost", "::1", "0"],
)
async def test_this_machine_is_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        await AddressGuard().addresses(host, 443, seconds=5)
    assert caught.value.reason is ProbeCode.ADDRESS_REFUSED
    assert "PULLPASS_ALLOW_NETWORKS" in caught.value.message


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "a..b"])
async def test_a_name_that_does_not_exist_is_told(host: str) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        await AddressGuard().addresses(host, 443, seconds=30)
    assert caught.value.reason is ProbeCode.NAME_RESOLUTION
    assert host in caught.value.message


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("10.0.0.1", False),
        ("::2", False),
    ],
)
def test_what_is_written_as_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "ten", "10.0.0.0/8;::/0", "[::1]"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=text.split("/")[0].replace("[", r"\[")):
        parse_networks(text)
