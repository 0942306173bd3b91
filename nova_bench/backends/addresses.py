"""Whose host an address names: this machine's, a private network's, a vendor's, or anybody's."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def is_private_host(host: str) -> bool:
    """Return whether a host is this machine or in a private network, judged by its name alone.

    >>> [is_private_host(host) for host in ("localhost", "10.1.2.3", "::1", "gpu-box", "api.openai.com", "8.8.8.8", "134744072")]
    [True, True, True, True, False, False, False]
    """
    if host.isdigit() or host.startswith("0x"):  # another way to write any IPv4 address
        return False
    if (
        host == "localhost"
        or host.endswith((".localhost", ".local", ".internal", ".lan"))
        or ("." not in host and ":" not in host)
    ):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_private or address.is_loopback or address.is_link_local


def is_vendor_host(host: str, vendor_hosts: Iterable[str]) -> bool:
    """Return whether a host is one of a vendor's; a pattern that begins with a dot stands for all hosts below it.

    >>> hosts = ("api.openai.com", ".api.openai.com")
    >>> [is_vendor_host(host, hosts) for host in ("api.openai.com", "eu.api.openai.com", "api.openai.com.example.net")]
    [True, True, False]
    """
    return any(host == known or (known.startswith(".") and host.endswith(known)) for known in vendor_hosts)
