"""From which address a request really comes. Pure.

The rule: `X-Forwarded-For` is written by whoever likes to, so it is believed only as far as a proxy of ours wrote it:
from right to left, as long as the address before is one of theirs. What cannot be read ends the walk.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

HOST_BITS = 64
"""Of an IPv6 address: a client has that many addresses of its own."""

MAX_HOPS = 32
MAX_KNOWN = 4096

Network = IPv4Network | IPv6Network


class Callers:
    """Finds clients behind the proxies of these networks."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted: tuple[Network, ...] = tuple(ip_network(each) for each in trusted)
        self.client = lru_cache(MAX_KNOWN)(self._client)

    def _client(self, peer: str, forwarded: str) -> str:
        """Return the client of a connection from `peer`, of which proxies say `forwarded`.

        A peer without an address, on a unix socket, is a proxy of ours if there is any.
        """
        hops = forwarded.split(",")[-MAX_HOPS:] if forwarded else []
        address = peer
        while hops and self._is_trusted(address):
            said = hops.pop().strip()
            if not _is_address(said):
                break
            address = said
        return _as_client(address)

    def _is_trusted(self, address: str) -> bool:
        if not self._trusted:
            return False
        try:
            known = ip_address(address)
        except ValueError:
            return not address
        if isinstance(known, IPv6Address) and known.ipv4_mapped:
            known = known.ipv4_mapped
        return any(known in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _as_client(address: str) -> str:
    """Return the name under which an address is charged; nobody's address is everybody's."""
    try:
        known = ip_address(address)
    except ValueError:
        return address or "local"
    if isinstance(known, IPv6Address):
        if known.ipv4_mapped:
            return str(known.ipv4_mapped)
        return str(ip_network((int(known) >> HOST_BITS << HOST_BITS, HOST_BITS)))
    return address
