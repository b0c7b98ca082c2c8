"""At which of this machine's addresses Kafka's brokers are reached by others."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

import psutil

from chatkit.errors import SettingsError

__all__ = ["LOOPBACK", "Listening", "find_listening", "own_addresses"]


@dataclass(frozen=True)
class Listening:
    """Where brokers listen, and what they tell clients."""

    address: str
    """IPv4 address of this machine at which they listen."""
    host: str
    """Address or name under which clients find them; brokers advertise it."""


LOOPBACK = Listening("127.0.0.1", "127.0.0.1")
"""Where nobody but this machine's own programs gets to."""


def find_listening(given: str | None) -> Listening:
    """Return where brokers are to listen, after a look whether they can.

    Parameters
    ----------
    given : str or None
        An IPv4 address of this machine, or a name that leads to one. None: `LOOPBACK`.

    Returns
    -------
    Listening
        A name is kept as what clients are told, since they are to find it too.

    Raises
    ------
    SettingsError
        It is no address of this machine, all of them at once, or a name that others would not
        find it by; the text names the addresses that there are.
    """
    if given is None:
        return LOOPBACK
    is_address = _is_address(given)
    found = [given] if is_address else _resolve(given)
    if "0.0.0.0" in found:  # noqa: S104 - it is refused
        raise SettingsError(
            f"--listen {given}: brokers tell their clients where they are, so it must be one "
            f"address, not all. {_choice()}"
        )
    mine = [address for address in found if _can_listen(address)]
    if not mine:
        what = given if is_address else f"{given} is {' and '.join(found)}, which"
        raise SettingsError(f"--listen: {what} is no address of this machine. {_choice()}")
    if not is_address and ipaddress.ip_address(mine[0]).is_loopback:
        raise SettingsError(
            f"--listen {given}: on this machine that is {mine[0]}, which no other machine reaches. "
            f"{_choice()}"
        )
    return Listening(address=mine[0], host=given)


def own_addresses() -> list[str]:
    """Return the IPv4 addresses of this machine at which others may reach it."""
    found = {
        one.address
        for interface in psutil.net_if_addrs().values()
        for one in interface
        if one.family == socket.AF_INET and not ipaddress.ip_address(one.address).is_loopback
    }
    return sorted(found, key=ipaddress.ip_address)


def _choice() -> str:
    there = own_addresses()
    if not there:
        return "It has no address that others reach: connect it to a network first."
    return f"Choose from: {', '.join(there)}."


def _is_address(given: str) -> bool:
    try:
        address = ipaddress.ip_address(given)
    except ValueError:
        return False
    if address.version != 4:
        raise SettingsError(f"--listen {given}: give an IPv4 address. {_choice()}")
    return True


def _resolve(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"--listen: the name {name!r} does not lead to an address ({error}). {_choice()}"
        ) from None
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _can_listen(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
