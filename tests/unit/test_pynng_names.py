"""docs/guide/pynng.md: it has every public name of pynng, and what it says of ours is so."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import trionng
from trionng import blocking

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.with_name("docs") / "guide" / "pynng.md"
TEXT = DOCUMENT.read_text("utf-8")

# pynng 0.9.0 and its main branch, by class; "" is the module. A protocol has also what Socket has.
NAMES = {
    "": """
        exceptions sockaddr tls nng options ffi lib check_err __version__
        Socket Pair0 Pair1 Req0 Rep0 Pub0 Sub0 Push0 Pull0 Surveyor0 Respondent0 Bus0
        Context Pipe Message Dialer Listener TLSConfig
        SockAddr InprocAddr IPCAddr InAddr In6Addr ZTAddr AbstractAddr
        NNGException Interrupted NoMemory InvalidOperation Busy Timeout ConnectionRefused Closed
        TryAgain NotSupported AddressInUse BadState NoEntry ProtocolError DestinationUnreachable
        AddressInvalid PermissionDenied MessageTooLarge ConnectionReset ConnectionAborted Canceled
        OutOfFiles OutOfSpace AlreadyExists ReadOnly WriteOnly CryptoError AuthenticationError
        NoArgument Ambiguous BadType Internal MessageStateError
        """,
    "Socket": """
        dial listen close aclose send recv asend arecv send_msg recv_msg asend_msg arecv_msg
        new_context add_pre_pipe_connect_cb add_post_pipe_connect_cb add_post_pipe_remove_cb
        remove_pre_pipe_connect_cb remove_post_pipe_connect_cb remove_post_pipe_remove_cb
        name raw protocol protocol_name peer peer_name recv_buffer_size send_buffer_size
        recv_timeout send_timeout ttl_max recv_max_size reconnect_time_min reconnect_time_max
        recv_fd send_fd tcp_nodelay tcp_keepalive tls_config local_address
        dialers listeners pipes socket
        __enter__ __exit__ __aenter__ __aexit__ __aiter__ __anext__
        """,
    "Pair1": "polyamorous",
    "Req0": "resend_time",
    "Sub0": "subscribe unsubscribe",
    "Surveyor0": "survey_time",
    "Context": """
        send recv asend arecv send_msg recv_msg asend_msg arecv_msg close aclose context
        recv_timeout send_timeout __enter__ __exit__ __aenter__ __aexit__ __aiter__ __anext__
        """,
    "Pipe": """
        send asend send_msg asend_msg close closed id dialer listener socket pipe url
        local_address remote_address protocol protocol_name peer peer_name tcp_nodelay tcp_keepalive
        """,
    "Message": "bytes pipe _buffer",
    "Dialer": """
        close aclose id dialer socket url local_address remote_address reconnect_time_min
        reconnect_time_max recv_max_size peer peer_name tcp_nodelay tcp_keepalive tls_config
        tls_ca_file tls_cert_key_file tls_auth_mode tls_server_name __aenter__ __aexit__
        """,
    "Listener": """
        close aclose id listener socket url local_address remote_address reconnect_time_min
        reconnect_time_max recv_max_size peer peer_name tcp_nodelay tcp_keepalive tls_config
        tls_ca_file tls_cert_key_file tls_auth_mode tls_server_name __aenter__ __aexit__
        """,
    "TLSConfig": """
        MODE_CLIENT MODE_SERVER AUTH_MODE_NONE AUTH_MODE_OPTIONAL AUTH_MODE_REQUIRED set_server_name
        set_ca_chain set_own_cert set_auth_mode add_ca_file set_cert_key_file
        """,
    "SockAddr": "family family_as_str type_to_str sock_addr",
    "InprocAddr": "name name_bytes",
    "IPCAddr": "path path_bytes",
    "InAddr": "addr port",
    "In6Addr": "addr port",
    "ZTAddr": "nwid nodeid port",
    "AbstractAddr": "name name_bytes",
    "NNGException": "errno",
}
ARGUMENTS = {
    "Socket": """
        listen dial block_on_dial recv_timeout send_timeout recv_buffer_size send_buffer_size
        recv_max_size reconnect_time_min reconnect_time_max name tls_config opener async_backend
        """,
    "Pair1": "polyamorous",
    "Req0": "resend_time",
    "Sub0": "topics",
    "Surveyor0": "survey_time",
    "Message": "data pipe",
    "TLSConfig": """
        mode server_name ca_string own_key_string own_cert_string auth_mode ca_files cert_key_file
        passwd
        """,
    "Socket.dial": "address block",
    "Socket.listen": "address flags",
    "Socket.send": "data block",
    "Socket.asend": "data",
    "Socket.recv": "block",
    "Socket.recv_msg": "block",
    "Socket.send_msg": "msg block",
    "Socket.asend_msg": "msg",
}
TRANSPORTS = ["inproc://", "ipc://", "abstract://", "tcp://", "ws://", "tls+tcp://"]
MADE_BY_THE_LIBRARY = {"Context", "Pipe", "Dialer", "Listener"}  # not by a program


def quoted(cell):
    return re.findall(r"`([^`]+)`", cell)


ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| `")
]


def public_names():
    """Yield every name of pynng as the document spells it."""
    for owner, names in NAMES.items():
        yield from (f"{owner}.{name}".lstrip(".") for name in names.split())
    for owner, names in ARGUMENTS.items():
        yield from (f"{owner}({name}=)" for name in names.split())
    yield from TRANSPORTS


def find(name):
    """Return what a name of the document stands for in trionng, or raise AttributeError."""
    path, _, argument = name.removesuffix("=)").partition("(")
    found: Any = blocking if path.startswith("blocking.") else trionng
    for part in path.removeprefix("blocking.").split("."):
        found = getattr(found, part)
    if argument and argument not in inspect.signature(found).parameters:
        raise AttributeError(f"{path} has no argument {argument}")
    return found


def test_rows_of_the_tables_have_four_cells():
    """A row is pynng's name, ours, the difference and a test."""
    assert len(ROWS) > 150
    assert [row for row in ROWS if len(row) != 4 or not all(row)] == []


def test_every_public_name_of_pynng_has_a_row():
    """Nothing a pynng program can use is left out, nor is there a row for what pynng has not."""
    names = [name for row in ROWS for name in quoted(row[0])]

    assert set(public_names()) - set(names) == set()
    assert set(names) - set(public_names()) == set()
    assert sorted(names) == sorted(set(names))


def test_every_row_names_a_test_that_exists():
    """What a row says is shown by tests, and those can be run."""
    there = {
        f"tests/{path.relative_to(TESTS).as_posix()}::{node.name}"
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }

    assert [row[0] for row in ROWS if not quoted(row[3])] == []
    assert {name for row in ROWS for name in quoted(row[3])} - there == set()


def test_every_name_of_ours_exists():
    """Each name in the second column is a name of trionng or trionng.blocking."""
    missing = []
    for name in (name for row in ROWS for name in quoted(row[1]) if "://" not in name):
        try:
            find(name)
        except AttributeError as error:
            missing.append(f"{name}: {error}")

    assert missing == []


def test_name_of_ours_in_trio_is_in_blocking_too():
    """Names without the prefix have counterparts, apart from those that only Trio has a use for."""
    only_trio = {"aclose", "__aenter__", "__aexit__", "__aiter__", "__anext__"}
    for name in (name for row in ROWS for name in quoted(row[1]) if "://" not in name):
        if not name.startswith("blocking.") and name.rpartition(".")[2] not in only_trio:
            find(name if name == "__version__" else f"blocking.{name}")


def test_name_without_an_equivalent_is_missing_here():
    """Where the second column has none, trionng has no such name."""
    for name in (name for row in ROWS if row[1] == "-" for name in quoted(row[0])):
        with pytest.raises(AttributeError):
            find(name)


def test_names_listed_here_are_all_that_pynng_has():
    """The list is complete for the pynng that is installed."""
    pynng = pytest.importorskip("pynng")
    sockaddr = pytest.importorskip("pynng.sockaddr")
    listed = set(public_names())
    classes = {name: getattr(pynng, name) for name in dir(pynng) if name[0] != "_"} | {
        name: cls for name, cls in vars(sockaddr).items() if inspect.isclass(cls)
    }
    missing = set(classes) - listed
    for name, cls in classes.items():
        if not inspect.isclass(cls) or issubclass(cls, Exception):
            continue
        base = {pynng.Socket: "Socket", sockaddr.SockAddr: "SockAddr"}.get(cls.__base__, name)
        owned = {key for key in dir(cls) if key[0] != "_"}
        missing |= {f"{name}.{key}" for key in owned if f"{base}.{key}" not in listed} - listed
        if name not in MADE_BY_THE_LIBRARY and not issubclass(cls, sockaddr.SockAddr):
            keywords = {key for key in inspect.signature(cls).parameters if key != "kwargs"}
            missing |= {f"{name}({k}=)" for k in keywords if f"{base}({k}=)" not in listed} - listed

    assert missing == set()
