import socket
from typing import Any

import pytest
from aiohttp.abc import ResolveResult

from mcp_agentspawn.adapters.registry import addresses
from mcp_agentspawn.adapters.registry.addresses import CheckedResolver, may_be_read, objection
from mcp_agentspawn.adapters.registry.failures import ReadingFailed

PUBLIC = ("93.184.216.34", "1.1.1.1", "2606:2800:220:1:248:1893:25c8:1946")
PRIVATE = ("10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "127.9.9.9", "::1", "fd12:3456::1")
NEVER = {
    "nothing": "",
    "a name": "registry.example",
    "this host": "0.0.0.0",  # noqa: S104 - an address that is refused
    "this network": "0.1.2.3",
    "link-local": "169.254.0.7",
    "metadata": "169.254.169.254",
    "metadata of Alibaba": "100.100.100.200",
    "metadata of Azure": "168.63.129.16",
    "metadata of AWS": "fd00:ec2::254",
    "metadata of Google": "fd20:ce::254",
    "documentation": "192.0.2.1",
    "benchmarks": "198.18.0.1",
    "multicast": "224.0.0.1",
    "global multicast": "233.252.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "unspecified": "::",
    "link-local of IPv6": "fe80::1",
    "link-local with a zone": "fe80::1%eth0",
    "site-local": "fec0::1",
    "multicast of IPv6": "ff02::1",
    "global multicast of IPv6": "ff0e::1",
    "documentation of IPv6": "2001:db8::1",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped public": "::ffff:1.1.1.1",
    "compatible": "::7f00:1",
    "6to4": "2002:7f00:1::",
    "Teredo": "2001:0:53aa:64c::1",
    "NAT64": "64:ff9b::7f00:1",
    "local NAT64": "64:ff9b:1::7f00:1",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_read_over_tls_only(address: str) -> None:
    assert may_be_read(address, private=False, plain=False)
    assert may_be_read(address, private=True, plain=False)
    assert not may_be_read(address, private=True, plain=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_read_where_that_is_allowed(address: str) -> None:
    assert not may_be_read(address, private=False, plain=False)
    assert may_be_read(address, private=True, plain=False)
    assert may_be_read(address, private=True, plain=True)


@pytest.mark.parametrize("address", NEVER.values(), ids=NEVER)
def test_some_addresses_are_never_read(address: str) -> None:
    assert not any(may_be_read(address, private=private, plain=False) for private in (True, False))


@pytest.mark.parametrize("host", ["registry..example", f"{'a' * 64}.example"])
async def test_what_no_resolver_takes_is_no_address(host: str) -> None:
    with pytest.raises(ReadingFailed) as failed:
        await CheckedResolver(private=True, plain=False).resolve(host, 443)

    assert failed.value.code == "registry.address"


class Resolves:
    """Says that a name has these addresses."""

    def __init__(self, *found: str) -> None:
        self.found = found

    async def resolve(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.found
        ]


def resolver(monkeypatch: pytest.MonkeyPatch, *found: str, private: bool = False) -> CheckedResolver:
    names: Any = Resolves(*found)
    monkeypatch.setattr(addresses, "ThreadedResolver", lambda: names)
    return CheckedResolver(private=private, plain=False)


async def test_a_name_is_read_at_the_very_addresses_that_were_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await resolver(monkeypatch, *PUBLIC).resolve("registry.example", 443)

    assert [result["host"] for result in found] == list(PUBLIC)


async def test_a_name_with_one_wrong_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for private in (True, False):
        checked = resolver(monkeypatch, "1.1.1.1", "169.254.169.254", private=private)
        with pytest.raises(ReadingFailed) as failed:
            await checked.resolve("registry.example", 443)

        assert failed.value.code == "registry.address"
        await checked.close()


@pytest.mark.parametrize(
    ("address", "private", "plain", "why"),
    [
        ("10.0.0.7", False, False, "private_addresses: true"),
        ("127.0.0.1", False, True, "private_addresses: true"),
        ("169.254.169.254", True, False, "no registry is ever read"),
        ("fe80::1", True, False, "no registry is ever read"),
        ("93.184.215.14", True, True, "http reaches private addresses only"),
        ("registry.example", True, False, "is no address"),
    ],
)
def test_why_an_address_is_refused_is_said(address: str, *, private: bool, plain: bool, why: str) -> None:
    assert why in objection(address, private=private, plain=plain)
