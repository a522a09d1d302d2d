"""Listening sockets that systemd hands over: found by name, else by address; what nobody wants is a fault."""

import os
import socket
from contextlib import ExitStack

import pytest

from supervisor.errors import ListenError
from supervisor.listeners import Inherited, addresses, from_systemd, open_all
from supervisor.spec import ListenerSpec


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "api:web"}, ["api", "web"]),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "api"}, ["api", ""]),
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "api:web"}, ["api"]),
        ({"LISTEN_FDS": "1"}, [""]),
        ({"LISTEN_FDS": "many"}, []),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "8"}, []),
        ({}, []),
    ],
)
def test_what_systemd_hands_over_has_a_name_and_a_number(environ, names):
    assert from_systemd({"LISTEN_PID": "7"} | environ, 7) == [
        Inherited(name, 3 + offset) for offset, name in enumerate(names)
    ]


@pytest.fixture
def given(tmp_path):
    """Two sockets as a manager holds them: one on a path, one on a port."""
    with socket.socket(socket.AF_UNIX) as unix, socket.create_server(("127.0.0.1", 0)) as tcp:
        unix.bind(str(tmp_path / "a.sock"))
        unix.listen()
        yield unix, tcp


def handed_over(*named):
    return [Inherited(name, os.dup(sock.fileno())) for name, sock in named]


@pytest.mark.parametrize("names", [("a", "b"), ("", "")])
def test_sockets_are_found_by_name_and_by_address(given, tmp_path, names):
    unix, tcp = given
    port = tcp.getsockname()[1]
    specs = [ListenerSpec(name="b", port=port), ListenerSpec(name="a", path=tmp_path / "a.sock")]
    with ExitStack() as stack:
        opened = open_all(specs, handed_over((names[0], unix), (names[1], tcp)))
        for sock in opened.values():
            stack.enter_context(sock)
        assert addresses(specs, opened) == {"a": (str(tmp_path / "a.sock"), 0), "b": ("127.0.0.1", port)}
        assert opened["a"].getsockname() == unix.getsockname()


def test_a_socket_that_nobody_wants_is_named(given):
    with pytest.raises(ListenError, match="no listener wants the inherited socket other"):
        open_all([ListenerSpec(name="b")], handed_over(("other", given[1]), ("b", given[0])))
