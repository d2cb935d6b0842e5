"""Which addresses a registry may have: the check is made on the very address that is connected to."""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from mcp_agentspawn.adapters.registry.failures import ReadingFailed

Address = IPv4Address | IPv6Address

PUBLIC_IPV6 = ip_network("2000::/3")
TRANSLATED = (ip_network("2002::/16"), ip_network("2001::/32"))
"""6to4 and Teredo: an IPv4 address inside of an IPv6 one. Mapped ones and NAT64 are outside of `PUBLIC_IPV6`."""
PRIVATE = (
    *map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")),
    *map(ip_network, ("127.0.0.0/8", "::1/128")),
)
METADATA = frozenset(
    map(ip_address, ("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"))
)
"""Where clouds tell machines their secrets."""


def may_be_read(address: str, *, private: bool, plain: bool) -> bool:
    """Whether a registry may be at this address; see `objection`."""
    return not objection(address, private=private, plain=plain)


def objection(address: str, *, private: bool, plain: bool) -> str:
    """Why no registry may be at this address; `""` when one may.

    Public ones always; private ones and loopback with `private`. Over `plain` HTTP private ones only, so that neither
    a credential nor an answer crosses the internet in the clear. Link-local, multicast, reserved and metadata
    addresses, and IPv4 addresses dressed as IPv6, never.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return "is no address"
    if found not in METADATA and any(found in network for network in PRIVATE):
        return "" if private else "is private, which needs private_addresses: true"
    if found in METADATA or not _is_public(found):
        return "is one at which no registry is ever read"
    return "is public, and http reaches private addresses only" if plain else ""


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    translated = any(address in network for network in TRANSLATED)
    return address in PUBLIC_IPV6 and address.is_global and not translated


def is_literal(host: str) -> bool:
    """Whether a host is written as an address, which no resolver is asked about."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class CheckedResolver(AbstractResolver):
    """Resolves as the system does and refuses a name of which one address may not be read. Raises `ReadingFailed`."""

    def __init__(self, *, private: bool, plain: bool) -> None:
        self._resolver = ThreadedResolver()
        self._private = private
        self._plain = plain

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name."""
        try:
            found = await self._resolver.resolve(host, port, family)
        except UnicodeError:
            raise ReadingFailed("registry.address", "its address is not written as one") from None
        check([result["host"] for result in found], private=self._private, plain=self._plain)
        return found

    async def close(self) -> None:
        """Nothing is held."""


def check(addresses: Sequence[str], *, private: bool, plain: bool) -> None:
    """Raise `ReadingFailed` when one of them may not be read."""
    for address in addresses:
        if why := objection(address, private=private, plain=plain):
            raise ReadingFailed("registry.address", f"its address {address} {why}")
