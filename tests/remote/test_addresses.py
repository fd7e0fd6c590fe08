"""Which addresses may be connected to on behalf of others: public ones of every kind, and exceptions."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from image_processor.remote.addresses import PrivateHosts, kind_of

REFUSED = {
    "unspecified": ("0.0.0.0", "0.1.2.3", "::"),
    "loopback": ("127.0.0.1", "127.255.255.254", "::1"),
    "private": ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12::1", "fec0::1"),
    "carrier-grade NAT": ("100.64.0.1", "100.127.255.255"),
    "link-local": ("169.254.169.254", "fe80::1", "febf::1"),
    "multicast": ("224.0.0.1", "239.255.255.255", "ff02::1"),
    "documentation": ("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"),
    "benchmarking": ("198.18.0.1", "2001:2::1"),
    "Teredo": ("2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    "6to4": ("2002:7f00:1::", "2002:808:808::1", "192.88.99.1"),
    "local NAT64": ("64:ff9b:1::1",),
    "reserved": (
        *("192.0.0.8", "240.0.0.1", "255.255.255.255", "100::1", "2001:20::1", "5f00::1", "4000::1"),
        *("::7f00:1", "::ffff:0:7f00:1"),
    ),
}
EMBEDDED = {
    "::ffff:127.0.0.1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::ffff:a9fe:a9fe": "link-local",
    "64:ff9b::127.0.0.1": "loopback",
    "64:ff9b::a00:1": "private",
    "64:ff9b::6440:1": "carrier-grade NAT",
}
PUBLIC = (
    *("8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "169.253.0.1"),
    *("2606:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"),
)


@pytest.mark.parametrize(
    ("address", "kind"),
    [(address, kind) for kind, addresses in REFUSED.items() for address in addresses] + [*EMBEDDED.items()],
)
def test_what_is_not_public_is_refused_by_its_kind(address: str, kind: str) -> None:
    assert kind_of(ip_address(address)) == kind
    assert PrivateHosts().refusal("cdn.example", address) == kind


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert PrivateHosts().refusal("cdn.example", address) is None


def test_a_named_host_may_have_internal_addresses_and_no_others() -> None:
    private = PrivateHosts.of(("nas.local",))
    for address in ("10.0.0.1", "127.0.0.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1"):
        assert private.refusal("nas.local", address) is None
        assert private.refusal("cdn.example", address) is not None
    for address in ("169.254.169.254", "fe80::1%eth0", "224.0.0.1", "0.0.0.0", "2002:a00:1::"):
        assert private.refusal("nas.local", address) is not None


def test_any_host_may_have_addresses_of_a_named_network() -> None:
    private = PrivateHosts.of(("10.1.0.0/16", "169.254.7.7/32", "fd00:1::/32"))
    for address in ("10.1.2.3", "169.254.7.7", "fd00:1::9"):
        assert private.refusal("cdn.example", address) is None
    for address in ("10.2.0.1", "169.254.169.254", "fd00:2::1", "::ffff:10.1.2.3"):
        assert private.refusal("cdn.example", address) is not None
