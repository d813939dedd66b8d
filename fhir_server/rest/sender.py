"""From where a request comes, when there are proxies between.

Each proxy adds to ``X-Forwarded-For`` who has sent the request to it. What a stranger wrote there is not believed:
the list is read from its end, as long as one trusted proxy vouches for the next entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Headers = Iterable[tuple[bytes, bytes]]


class Senders:
    """Tells senders; ``trusted``: proxies that are believed, addresses and networks separated by commas."""

    def __init__(self, trusted: str = "") -> None:
        self._trusted: Sequence[Network] = [ip_network(each) for each in trusted.split(",") if each]

    def __call__(self, peer: str, headers: Headers) -> str:
        """The address that sent the request, which came over a connection from ``peer``."""
        sender = peer
        hops = _forwarded(headers) if self._trusted else []
        while hops and self._trusts(sender):
            told = _address(hops.pop())
            if told is None:
                break
            sender = str(told)
        return sender

    def _trusts(self, sender: str) -> bool:
        address = _address(sender)
        return address is not None and any(address in network for network in self._trusted)


def _forwarded(headers: Headers) -> list[str]:
    values = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
    return ",".join(values).split(",") if values else []


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
