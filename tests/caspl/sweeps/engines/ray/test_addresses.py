"""What --address may be, and who answers there. Without Ray but for `auto`."""

import socket
import threading
from contextlib import contextmanager

import pytest

from caspl.ground.errors import InputError
from caspl.sweeps.engines.ray import addresses


@contextmanager
def server(answer):
    """The port of one that answers its first caller with some bytes; None: with nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()

        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer) if answer is not None else ended.wait(10)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    "address", ["nonsense", "host:", ":6379", "host:0", "host:65536", "host:٣", "http://host:80", "local"]
)
def test_what_is_no_address(address):
    with pytest.raises(InputError, match="expected HOST:PORT, such as 10.0.0.1:6379, or auto") as error:
        addresses.found(address)
    assert str(error.value).startswith(f"--address is {address}, ")


def test_rays_client_is_told_what_to_do():
    with pytest.raises(InputError, match="start the sweep on a machine of the cluster"):
        addresses.found("ray://10.0.0.1:10001")


def test_nobody_is_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(
        InputError, match=f"no Ray cluster answers at 127.0.0.1:{port} .*Connection refused; start one with"
    ):
        addresses.found(f"127.0.0.1:{port}")


def test_somebody_else_is_there():
    with server(b"HTTP/1.0 400 Bad Request\r\n\r\n") as port, pytest.raises(InputError, match="another program"):
        addresses.found(f"127.0.0.1:{port}")


def test_nobody_is_waited_for_long(monkeypatch):
    monkeypatch.setattr(addresses, "ANSWER_SECONDS", 0.1)
    with server(None) as port, pytest.raises(InputError, match="timed out"):
        addresses.found(f"127.0.0.1:{port}")


def test_who_speaks_as_ray_does_is_believed():
    with server(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))) as port:
        assert addresses.found(f"127.0.0.1:{port}") == f"127.0.0.1:{port}"


def test_a_head_that_has_gone():
    with server(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))) as port:
        assert addresses.away(f"127.0.0.1:{port}") == ""
    assert addresses.away(f"127.0.0.1:{port}") == "Connection refused"


def test_the_cluster_of_this_machine(monkeypatch):
    pytest.importorskip("ray")
    with server(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))) as port:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        assert addresses.found("auto") == f"127.0.0.1:{port}"
    with pytest.raises(InputError, match=f"127.0.0.1:{port}, which auto has found"):
        addresses.found("auto")
