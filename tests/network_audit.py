"""Every Python process of the suite notes whom it tries to reach; conftest.py fails the suite if that is not itself.

sitecustomize.py, found by Python through PYTHONPATH, brings it into every room, worker and command that tests start.
"""

import ipaddress
import os
import sys

_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"})


def outside(event, arguments):
    """The address that `event` is about if it is not on this machine, else None."""
    if event not in _EVENTS:
        return None
    address = arguments[0] if event in ("socket.getaddrinfo", "socket.gethostbyname") else arguments[-1]
    if isinstance(address, tuple):
        address = address[0]
    if not address or isinstance(address, int):
        return None
    if isinstance(address, bytes):
        address = os.fsdecode(address)
    if "/" in address or address.startswith("\0") or address == "localhost":
        return None
    try:
        local = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        local = False
    return None if local else address


def watch(path):
    """Append to `path` every address outside this machine, from now on."""

    def hook(event, arguments):
        address = outside(event, arguments)
        if address is not None:
            with open(path, "a") as log:
                log.write(f"{event} {address}\n")

    sys.addaudithook(hook)
