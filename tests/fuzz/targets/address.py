"""The client's address: canonical or unknown, and never what the client wrote."""

from __future__ import annotations

import ipaddress

from django.http import HttpRequest
from django.test import override_settings

from rotating_sessions.clients import read_address, read_client
from tests.fuzz.source import Source

__all__ = ["fuzz"]

ADDRESSES = [
    *("203.0.113.9", "10.0.0.1", "127.0.0.1", "255.255.255.255", "224.0.0.1"),
    *("0177.0.0.1", "203.0.113.009", "0x7f.1", "2130706433", "127.1", "1.2.3.4.5"),
    *("2001:db8::9", "2001:DB8:0::9", "::", "::1", "fe80::1%eth0", "fe80::1%25eth0"),
    *("::ffff:203.0.113.9", "::ffff:0:203.0.113.9", "64:ff9b::203.0.113.9", "::7"),
    *("[2001:db8::9]:443", "[::1", "::1]", "203.0.113.9:80", "203.0.113.9:99999"),
    *('"203.0.113.9"', "for=203.0.113.9", "\xb203.0.113.9", "unknown", "_hidden"),
    *("", " ", "a:b", "\x00", "0.0.0.0"),  # noqa: S104 - an address to refuse
]
TRUSTED: list[tuple[str, ...]] = [
    *((), ("10.0.0.1",), ("10.",), ("10.0.0.0/8",), ("2001:db8::/32",)),
    *(("10.0.0.2", "10.0.0.1"), ("203.0.113.0/24", "10.0.0.1"), ("0.0.0.0/0",)),
]
HEADERS = ["HTTP_X_REAL_IP", "HTTP_FORWARDED", "HTTP_CF_CONNECTING_IP"]
HEADERS += ["HTTP_CLIENT_IP", "HTTP_X_FORWARDED", "HTTP_TRUE_CLIENT_IP"]


def fuzz(data: bytes) -> None:
    """Come from anywhere, past any proxies, with any chain of addresses."""
    source = Source(data)
    trusted = source.pick(TRUSTED)
    count = 0 if trusted else source.number(3)
    conf = {
        "TRUSTED_PROXIES": trusted,
        "TRUSTED_PROXY_COUNT": count,
        "IPV4_PREFIX": source.pick([32, 24, 8]),
        "IPV6_PREFIX": source.pick([64, 128, 16]),
    }
    peer = _address(source)
    hops = [_address(source) for _ in range(source.number(5))]
    invented = ",".join(_address(source) for _ in range(source.number(6)))
    with override_settings(ROTATING_SESSIONS=conf):
        _check(conf, peer, hops, invented * source.pick([1, 1000]))


def _check(conf: dict[str, object], peer: str, hops: list[str], invented: str) -> None:
    chain = ",".join(hops)
    address = read_address(_meta(peer, chain))

    _is_canonical(address)
    _is_in_its_network(peer, chain, address)
    proxies = conf["TRUSTED_PROXY_COUNT"] or len(conf["TRUSTED_PROXIES"])  # type: ignore[arg-type]
    others = dict.fromkeys(HEADERS, "198.51.100.66")
    assert read_address(others | _meta(peer, chain)) == address, "believed a header"
    if not proxies:
        assert read_address(_meta(peer, invented)) == address, "believed the client"
    # As many real entries as there are proxies: what stands left of them is invented.
    real = [hop for hop in chain.split(",") if hop.strip()]
    if proxies and len(real) >= proxies:
        spoofed = read_address(_meta(peer, f"{invented},{chain}"))
        assert spoofed == address, f"{spoofed} instead of {address}, left of {chain}"
    if conf["TRUSTED_PROXY_COUNT"] and address is not None:
        with override_settings(ROTATING_SESSIONS={}):
            assert address == read_address({"REMOTE_ADDR": real[-proxies]})


def _address(source: Source) -> str:
    kind = source.number(3)
    if kind == 0:
        return source.latin()
    if kind == 1:
        return str(ipaddress.IPv4Address(source.bytes(4)))
    if kind == 2:
        return str(ipaddress.IPv6Address(source.bytes(16)))
    return source.pick(ADDRESSES)


def _meta(peer: str, chain: str) -> dict[str, str]:
    return {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": chain}


def _is_canonical(address: str | None) -> None:
    if address is None:
        return
    parsed = ipaddress.ip_address(address)
    assert str(parsed) == address, f"{address} has another spelling"
    assert "%" not in address, "kept a zone"
    assert getattr(parsed, "ipv4_mapped", None) is None, "an IPv4 address as IPv6"
    assert not parsed.is_unspecified, "nowhere is no address"


def _is_in_its_network(peer: str, chain: str, address: str | None) -> None:
    request = HttpRequest()
    request.META.update(_meta(peer, chain))
    client = read_client(request)
    assert client.ip_address == address
    if address is None:
        assert client.network is None
        return
    assert ipaddress.ip_address(address) in ipaddress.ip_network(client.network or "")
