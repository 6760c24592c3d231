"""Where a cluster is: what --address may be, and whether somebody who may be Ray answers there.

Ray itself tries for two minutes, and tells of them on stderr.
"""

from __future__ import annotations

import os
import socket

from ....ground.errors import InputError, first_line

AUTO = "auto"
EXPECTED = "expected HOST:PORT, such as 10.0.0.1:6379, or auto on a machine of the cluster"
ANSWER_SECONDS = 10.0
HEAD_SECONDS = 3.0  # in which a head answers that has answered before
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # RFC 9113, 3.4: and no settings
SETTINGS = 4  # the type of the frame that every HTTP/2 server, as gRPC's, answers with


def found(address: str) -> str:
    """The address that the user means, where somebody answers who may be Ray.

    Raises InputError for what is no address, and where nobody answers.
    """
    meant = _of_this_machine() if address == AUTO else address
    named = address if address == meant else f"{meant}, which {AUTO} has found"
    host, _, port = meant.rpartition(":")
    if meant.startswith("ray://"):
        raise InputError(
            f"--address is {named}, of Ray's client, through which runs can't tell how they fare; {EXPECTED}, and start the "
            f"sweep on a machine of the cluster"
        )
    if "/" in meant or not host or not (port.isdecimal() and port.isascii() and 0 < int(port) < 65536):
        raise InputError(f"--address is {named}, {EXPECTED}; correct it")
    if problem := _problem(host, port, ANSWER_SECONDS):
        raise InputError(
            f"no Ray cluster answers at {named} (--address): {problem}; start one with `ray start --head`, which tells it"
        )
    return meant


def away(address: str) -> str:
    """Why the head at an address that was `found` does not answer any more, as a phrase; "": it does."""
    host, _, port = address.rpartition(":")
    return _problem(host, port, HEAD_SECONDS)


def _of_this_machine() -> str:
    """The cluster that this machine belongs to, as Ray's own commands find it."""
    from ray._private import services

    try:
        return services.get_ray_address_from_environment(AUTO, None)
    except ConnectionError:
        raise InputError(
            f"--address is {AUTO}, but this machine belongs to no Ray cluster; start one with `ray start --head`, or join one"
        ) from None


def _problem(host: str, port: str, seconds: float) -> str:
    """Why nobody who may be Ray is there, as a phrase; "": somebody is."""
    try:
        with socket.create_connection((host.strip("[]"), int(port)), seconds) as connection:
            if os.environ.get("RAY_USE_TLS", "0").lower() not in ("", "0", "false"):
                return ""
            connection.sendall(GREETING)
            said = connection.recv(9)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or first_line(error)
    return "" if len(said) > 3 and said[3] == SETTINGS else "what answers is another program"
