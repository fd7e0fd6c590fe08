"""Which addresses a server may connect to on behalf of others: public ones, and configured exceptions.

The table follows IANA's registries of special-purpose addresses. `ipaddress` knows them too, but not the same
ones in every version of Python, and not what an IPv6 address embeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

Address = IPv4Address | IPv6Address

_SPECIAL = tuple(
    (ip_network(network), name)
    for name, networks in {
        "unspecified": ("0.0.0.0/8", "::/128"),
        "loopback": ("127.0.0.0/8", "::1/128"),
        "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
        "carrier-grade NAT": ("100.64.0.0/10",),
        "link-local": ("169.254.0.0/16", "fe80::/10"),
        "multicast": ("224.0.0.0/4", "ff00::/8"),
        "documentation": (
            *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
        ),
        "benchmarking": ("198.18.0.0/15", "2001:2::/48"),
        "Teredo": ("2001::/32",),
        "6to4": ("192.88.99.0/24", "2002::/16"),
        "local NAT64": ("64:ff9b:1::/48",),
        "reserved": ("192.0.0.0/24", "240.0.0.0/4", "100::/64", "2001::/23", "5f00::/16", "::/96"),
    }.items()
    for network in networks
)
_MAPPED, _NAT64, _GLOBAL = (IPv6Network(text) for text in ("::ffff:0:0/96", "64:ff9b::/96", "2000::/3"))
_INTERNAL = frozenset({"loopback", "private", "carrier-grade NAT"})
"""What a host that is named as private may have. Its name alone opens neither link-local addresses, where
clouds have their credentials, nor what is no address of a host."""


class PrivateHosts(Struct, frozen=True):
    """Exceptions from the table. Hosts in ``names`` may have internal addresses, and any host may have the
    addresses in ``networks``."""

    names: frozenset[str] = frozenset()
    networks: tuple[str, ...] = ()

    @classmethod
    def of(cls, items: Iterable[str]) -> PrivateHosts:
        """The exceptions that the setting REMOTE_PRIVATE lists."""
        found = tuple(items)
        networks = tuple(item for item in found if "/" in item)
        return cls(frozenset(found) - frozenset(networks), networks)

    def refusal(self, host: str, address: str) -> str | None:
        """Why ``host`` may not be connected to at ``address``: the kind of the address; None if it may."""
        parsed = ip_address(address.partition("%")[0])
        if any(parsed in ip_network(network) for network in self.networks):
            return None
        kind = kind_of(parsed)
        return None if kind in _INTERNAL and host in self.names else kind


def kind_of(address: Address) -> str | None:
    """The kind of an address that is not public, such as "loopback"; None for a public one."""
    return next((kind for part in _embedded(address) if (kind := _own_kind(part))), None)


def _own_kind(address: Address) -> str | None:
    for network, name in _SPECIAL:
        if address in network:
            return name
    if isinstance(address, IPv6Address) and address in _GLOBAL:
        return None if address.is_global else "reserved"
    is_translated = isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64)
    return None if is_translated or (address.version == 4 and address.is_global) else "reserved"


def _embedded(address: Address) -> Iterator[Address]:
    """The address, and the IPv4 address behind it: mapped, or reached by NAT64 (RFC 6052)."""
    yield address
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        yield IPv4Address(int(address) & 0xFFFF_FFFF)
