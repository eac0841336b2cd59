"""Options: every one, on every object that has it, in both APIs."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import operator
import stat
import uuid

import pytest
import trio

import trionng
from tests.support.certificates import server
from trionng import TLSConfig, _ffi, blocking
from trionng.testing import new_url

APIS = {"trio": trionng, "blocking": blocking}
SOCKETS = "Pair0 Pair1 Bus0 Push0 Pull0 Pub0 Sub0 Req0 Rep0 Surveyor0 Respondent0".split()
BUFFERED, HOPS = 8192, 15
FOREVER = 2**31 - 1

# An option of numbers: its default, the least and the most it takes.
TIMEOUT = (-1, -1, FOREVER)
SIZE = (1024 * 1024, 0, 0xFFFFFFFF)
TTL = (8, 1, HOPS)
PAUSES = {"reconnect_time_min": (1000, 0, FOREVER), "reconnect_time_max": (0, 0, FOREVER)}
EVERY_SOCKET = {"recv_timeout": TIMEOUT, "send_timeout": TIMEOUT, "recv_max_size": SIZE, **PAUSES}
BOTH_BUFFERS = {"recv_buffer_size": (0, 0, BUFFERED), "send_buffer_size": (0, 0, BUFFERED)}
RESEND = {"resend_time": (60_000, -1, FOREVER)}
SURVEY = {"survey_time": (1000, -1, FOREVER)}
OF_SOCKETS = {
    "Pair0": BOTH_BUFFERS,
    "Pair1": {**BOTH_BUFFERS, "ttl_max": TTL},
    "Bus0": (
        {"recv_buffer_size": (16, 1, BUFFERED), "send_buffer_size": (16, 1, BUFFERED)}
        if _ffi.nng_is(6)
        else {"recv_buffer_size": (1, 0, BUFFERED), "send_buffer_size": (0, 0, BUFFERED)}
    ),
    "Push0": {"send_buffer_size": (0, 0, BUFFERED)},
    "Pull0": {"recv_buffer_size": (1, 1, BUFFERED)},
    "Pub0": {"send_buffer_size": (16, 1, BUFFERED)},
    "Sub0": {"recv_buffer_size": (128, 1, BUFFERED)},
    "Req0": {**RESEND, "ttl_max": TTL},
    "Rep0": {"ttl_max": TTL},
    "Surveyor0": {**SURVEY, "ttl_max": TTL},
    "Respondent0": {"ttl_max": TTL},
}
NO_ARGUMENTS = {"ttl_max"}  # of no constructor
OF_CONTEXTS = {
    "Sub0": {"recv_buffer_size": (128, 1, BUFFERED)},
    "Req0": RESEND,
    "Rep0": {},
    "Surveyor0": SURVEY,
    "Respondent0": {},
}
OF_ENDPOINTS = {"listener": {"recv_max_size": SIZE}, "dialer": {"recv_max_size": SIZE, **PAUSES}}
TIMES = {name for name in (*EVERY_SOCKET, *RESEND, *SURVEY) if "time" in name}
FLAGS = {"tcp_nodelay": True, "tcp_keepalive": False}
FACTS = ("raw", "protocol", "protocol_name", "peer", "peer_name")
SPOKEN = {  # its number and name, the peer's number and name
    "Pair0": (16, "pair", 16, "pair"),
    "Pair1": (17, "pair1", 17, "pair1"),
    "Bus0": (112, "bus", 112, "bus"),
    "Push0": (80, "push", 81, "pull"),
    "Pull0": (81, "pull", 80, "push"),
    "Pub0": (32, "pub", 33, "sub"),
    "Sub0": (33, "sub", 32, "pub"),
    "Req0": (48, "req", 49, "rep"),
    "Rep0": (49, "rep", 48, "req"),
    "Surveyor0": (98, "surveyor", 99, "respondent"),
    "Respondent0": (99, "respondent", 98, "surveyor"),
}
# What a user might look for on an object; those that are in no table above are not there.
NUMBERS = {*EVERY_SOCKET, "recv_buffer_size", "send_buffer_size", "ttl_max", *RESEND, *SURVEY}

OBJECTS = [
    *((name, "socket", {**EVERY_SOCKET, **OF_SOCKETS[name]}) for name in SOCKETS),
    *(
        (name, "context", {"recv_timeout": TIMEOUT, "send_timeout": TIMEOUT, **numbers})
        for name, numbers in OF_CONTEXTS.items()
    ),
    *(("Pair0", kind, numbers) for kind, numbers in OF_ENDPOINTS.items()),
]
every_object = pytest.mark.parametrize(
    ("protocol", "kind", "numbers"), OBJECTS, ids=[f"{name}-{kind}" for name, kind, _ in OBJECTS]
)
every_api = pytest.mark.parametrize("api", APIS)
every_protocol = pytest.mark.parametrize("protocol", SOCKETS)


def close_trio(thing):
    """Close what belongs to no run yet."""
    trio.run(thing.aclose)


@contextlib.contextmanager
def opened(api, protocol, kind="socket"):
    """Make one object; yield it, its URL, and what closes it."""
    socket = getattr(APIS[api], protocol)()
    url = f"inproc://{uuid.uuid4().hex}" if kind in ("socket", "context") else "tcp://127.0.0.1:0"
    listener = socket.listen(url)
    made = socket
    if kind == "context":
        made = socket.new_context()
    elif kind == "listener":
        made = listener
    elif kind == "dialer":
        dial = functools.partial(socket.dial, listener.url, block=False)
        made = trio.run(dial) if api == "trio" else dial()

    close = close_trio if api == "trio" else operator.methodcaller("close")

    try:
        yield made, made.url if kind == "dialer" else listener.url, close
    finally:
        close(made)
        close(socket)


def nearby(low, high):
    """List values that are allowed: both ends, and one between."""
    return [low, high, (low + high) // 2]


@every_api
@every_object
def test_number_set_in_range_reads_back(api, protocol, kind, numbers):
    """An option has its documented default, and what is set, both ends included, is what it is."""
    with opened(api, protocol, kind) as (made, _, _close):
        assert {name: getattr(made, name) for name in numbers} == {
            name: default for name, (default, _, _) in numbers.items()
        }
        for name, (_, low, high) in numbers.items():
            if name.endswith("buffer_size") and protocol == "Bus0":
                continue  # C8: fixed by the first endpoint
            for value in nearby(low, high):
                setattr(made, name, value)
                unlimited = name == "recv_max_size" and value == high
                assert getattr(made, name) == (0 if unlimited else value)


@every_api
@every_object
def test_number_not_in_range_is_refused_by_name(api, protocol, kind, numbers):
    """What is out of range, or no int, is refused before nng sees it; attribute and URL are named.

    The old value stays.
    """
    with opened(api, protocol, kind) as (made, url, _close):
        for name, (default, low, high) in numbers.items():
            where = f"set {type(made).__name__}.{name} {url}: "
            for value in (low - 1, high + 1, 2**70):
                with pytest.raises(trionng.InvalidOperation) as caught:
                    setattr(made, name, value)
                assert str(caught.value) == f"{where}{value} is not between {low} and {high}"
                assert caught.value.url == url
            for value in ("1", None, True, b"1"):
                with pytest.raises(TypeError) as wrong:
                    setattr(made, name, value)
                assert str(wrong.value) == f"{where}an int is needed, not {type(value).__name__}"
            assert getattr(made, name) == default


@every_api
@every_object
def test_time_given_as_float_is_told_the_integer(api, protocol, kind, numbers):
    """A float for milliseconds is a TypeError that says which int is meant."""
    with opened(api, protocol, kind) as (made, _, _close):
        for name in numbers.keys() & TIMES:
            with pytest.raises(TypeError, match=rf"{name} .*1500 for 1.5 s"):
                setattr(made, name, 1.5)
            with pytest.raises(TypeError, match="-1 for ever"):
                setattr(made, name, math.inf)
        for name in numbers.keys() - TIMES:
            with pytest.raises(TypeError, match="an int is needed, not float"):
                setattr(made, name, 1.5)


@every_api
@every_object
def test_option_of_other_classes_is_absent(api, protocol, kind, numbers):
    """A class has only the options it can answer."""
    with opened(api, protocol, kind) as (made, _, _close):
        for name in NUMBERS - numbers.keys():
            assert not hasattr(type(made), name), name
        assert hasattr(type(made), "prefer_new") == (protocol == "Sub0" and kind == "socket")
        for name in (*FLAGS, "tls_config"):
            assert hasattr(type(made), name) == (kind != "context"), name


@every_api
@every_object
def test_option_of_what_is_closed_raises_closed(api, protocol, kind, numbers):
    """Setting on a closed object is refused; what trionng keeps itself can still be read."""
    with opened(api, protocol, kind) as (made, _, close):
        close(made)
        kept = {"recv_timeout", "send_timeout", "survey_time"}
        if protocol == "Pull0":
            kept.add("recv_buffer_size")
        for name, (default, low, _) in numbers.items():
            with pytest.raises(trionng.Closed, match=f"set .*{name}.* is closed"):
                setattr(made, name, low)
            if name in kept:
                assert getattr(made, name) == default
            else:
                with pytest.raises(trionng.Closed, match=f"get .*{name}.* is closed"):
                    getattr(made, name)


@every_api
@pytest.mark.parametrize("kind", ["context", "listener", "dialer"])
def test_option_of_a_closed_socket_raises_closed(api, kind):
    """What belongs to a socket is closed with it."""
    with opened(api, "Req0", kind) as (made, _, close):
        close(made.socket)
        option = "recv_timeout" if kind == "context" else "recv_max_size"
        with pytest.raises(trionng.Closed, match=option):
            setattr(made, option, 7)


@every_api
@pytest.mark.parametrize("kind", ["socket", "listener", "dialer"])
def test_flag_set_reads_back(api, kind):
    """TCP options are bools with nng's defaults; other types are refused."""
    with opened(api, "Pair0", kind) as (made, url, _close):
        for name, default in FLAGS.items():
            assert getattr(made, name) is default
            setattr(made, name, not default)
            assert getattr(made, name) is (not default)
            with pytest.raises(TypeError) as caught:
                setattr(made, name, 1)
            wanted = f"set {type(made).__name__}.{name} {url}: a bool is needed, not int"
            assert str(caught.value) == wanted


@every_api
def test_prefer_new_set_reads_back(api):
    """Sub0 says which messages a full buffer loses."""
    with opened(api, "Sub0") as (socket, _, _close):
        assert socket.prefer_new is True
        socket.prefer_new = False
        assert socket.prefer_new is False
        with pytest.raises(TypeError, match="a bool is needed"):
            socket.prefer_new = 0


@every_api
def test_name_set_reads_back(api):
    """A name is text of up to 63 bytes; what nng would cut or refuse is refused before."""
    with opened(api, "Pair0") as (socket, url, _close):
        for name in ("", "jobs", "x" * 63, "é" * 31):
            socket.name = name
            assert socket.name == name
        for name in ("x" * 64, "é" * 32, "a\0b"):
            with pytest.raises(
                trionng.InvalidOperation, match=f"set Pair0.name {url}: .* 63 bytes"
            ):
                socket.name = name
        with pytest.raises(TypeError, match="a str is needed, not bytes"):
            socket.name = b"jobs"
        assert socket.name == "é" * 31


@every_api
@every_protocol
def test_fact_of_a_protocol_is_read_only(api, protocol):
    """A socket tells what it speaks, and refuses to be told."""
    with opened(api, protocol) as (socket, url, close):
        assert tuple(getattr(socket, name) for name in FACTS) == (False, *SPOKEN[protocol])
        for name in FACTS:
            with pytest.raises(
                trionng.ReadOnly, match=rf"set {protocol}\.{name} {url}: "
            ) as caught:
                setattr(socket, name, getattr(socket, name))
            assert caught.value.url == url
        close(socket)
        with pytest.raises(trionng.Closed, match=r"get .*protocol"):
            _ = socket.protocol


@every_api
@pytest.mark.parametrize("kind", ["socket", "listener", "dialer"])
def test_tls_config_is_write_only(api, kind):
    """A TLS configuration can be set where it can be used, and never read."""
    with opened(api, "Pair0", kind) as (made, url, close):
        here = rf"{type(made).__name__}.tls_config {url}: "
        with pytest.raises(trionng.WriteOnly, match=f"get {here}"):
            _ = made.tls_config
        with pytest.raises(TypeError, match=f"set {here}a TLSConfig is needed, not str"):
            made.tls_config = "secret"
        config = TLSConfig(TLSConfig.MODE_CLIENT)
        if kind == "socket":
            made.tls_config = config
        else:
            with pytest.raises(trionng.InvalidOperation, match="tcp has no TLS"):
                made.tls_config = config
        close(made)
        with pytest.raises(trionng.Closed, match=r"set .*tls_config"):
            made.tls_config = config


@every_api
@every_protocol
def test_constructor_given_options_has_them(api, protocol):
    """Every option a class can be given when it is made, it has; None is the default."""
    cls = getattr(APIS[api], protocol)
    own = OF_SOCKETS[protocol].items()
    chosen = {name: value[1] for name, value in own if name not in NO_ARGUMENTS}
    given = {**{name: 7 for name in EVERY_SOCKET}, **chosen, "tcp_nodelay": False, "name": "n"}
    socket = cls(**given)
    plain = cls(**dict.fromkeys(given))
    try:
        assert {name: getattr(socket, name) for name in given} == given
        numbers = {**EVERY_SOCKET, **OF_SOCKETS[protocol]}
        for name in given.keys() & numbers.keys():
            assert getattr(plain, name) == numbers[name][0]
        with pytest.raises(TypeError, match=r"1500 for 1\.5 s"):
            cls(recv_timeout=1.5)
    finally:
        for each in (socket, plain):
            close_trio(each) if api == "trio" else each.close()


@every_api
def test_option_set_on_a_socket_reaches_its_endpoints(api):
    """An option of endpoints, set on the socket, is set on those there are and those made later."""
    with opened(api, "Pair0") as (socket, _, _close):
        before = socket.listen("tcp://127.0.0.1:0")
        own = socket.listen("tcp://127.0.0.1:0", recv_max_size=5)
        assert (own.recv_max_size, before.recv_max_size) == (5, 1024 * 1024)
        socket.recv_max_size, socket.tcp_keepalive = 99, True
        after = socket.listen("tcp://127.0.0.1:0")
        for listener in (before, own, after):
            assert (listener.recv_max_size, listener.tcp_keepalive) == (99, True)


@every_api
def test_endpoint_tells_what_it_is(api):
    """Dialers and listeners have a URL, a number, a socket, and an address where nng knows it."""
    with opened(api, "Pair0", "dialer") as (dialer, url, _close):
        socket = dialer.socket
        (listener,) = socket.listeners
        assert socket.dialers == (dialer,)
        assert dialer.url == listener.url == url
        assert listener.socket is socket
        assert listener.id > 0
        assert dialer.id > 0
        assert socket.local_address == listener.local_address
        assert f"tcp://{listener.local_address}" == url
        for made, name in ((dialer, "url"), (listener, "id"), (listener, "socket")):
            with pytest.raises(AttributeError):
                setattr(made, name, getattr(made, name))


@pytest.mark.parametrize("module", APIS.values(), ids=APIS)
def test_linger_is_a_number_of_seconds(module) -> None:
    """Seconds, 0 or more; anything else is refused before anything is opened."""
    socket = module.Push0(linger=2.5)
    try:
        for good in (0, 1.5, math.inf):
            socket.linger = good
            assert socket.linger == good
        for bad, error in ((-1, ValueError), (math.nan, ValueError), ("1", TypeError)):
            with pytest.raises(error, match=r"Push0\.linger"):
                socket.linger = bad
            with pytest.raises(error, match=r"Push0\.linger"):
                module.Push0(linger=bad)
        assert socket.linger == math.inf
    finally:
        socket._abort()


# What a transport does not have.

LACKING = {
    "tcp_nodelay": (True, ("ipc", "abstract", "inproc")),
    "tcp_keepalive": (True, ("ipc", "abstract", "inproc")),
    "recv_max_size": (5, ("inproc",)),
    "ipc_permissions": (0o600, ("abstract", "inproc", "tcp", "tcp6", "ws")),
    "tls_config": (server(), ("ipc", "abstract", "inproc", "tcp", "ws")),
    "accept": (trionng.Admission(origins="https://a.example"), ("ipc", "abstract", "tcp")),
}
EVERY_LACK = [(name, one) for name, (_, lacking) in LACKING.items() for one in lacking]


@pytest.mark.parametrize(("name", "transport"), EVERY_LACK)
@pytest.mark.parametrize("api", [trionng, blocking])
async def test_option_given_to_a_transport_that_has_none_is_refused(api, name, transport, tmp_path):
    """An option that nng would ignore is refused."""
    url = new_url(transport, tmp_path)
    value = LACKING[name][0]
    pair = api.Pair0()
    try:
        with pytest.raises(trionng.InvalidOperation, match=transport) as caught:
            pair.listen(url, **{name: value})
        assert name in str(caught.value)
        assert caught.value.url == url
        assert pair.listeners == ()
        if transport != "tcp":  # and the address is free
            pair.listen(url)
    finally:
        pair._abort()


@pytest.mark.parametrize("name", ["tcp_nodelay", "tcp_keepalive"])
async def test_option_of_tcp_on_another_transport_raises(name, tmp_path):
    """Attributes of endpoints say the same as arguments; a dialer's as a listener's."""
    url = new_url("ipc", tmp_path)
    with trio.fail_after(60):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            listener = one.listen(url)
            with pytest.raises(trionng.InvalidOperation, match=f"set Dialer.{name} {url}: ipc"):
                await other.dial(url, **{name: False})  # type: ignore[arg-type]
            assert other.dialers == ()
            dialer = await other.dial(url, block=True)
            for endpoint in (listener, dialer):
                with pytest.raises(trionng.InvalidOperation, match=r"tcp, tls\+tcp, ws and wss"):
                    setattr(endpoint, name, True)
                with pytest.raises(trionng.NotSupported, match=f"get .*{name} {url}"):
                    getattr(endpoint, name)


@pytest.mark.parametrize(
    ("mode", "error", "words"),
    [
        (True, TypeError, "not bool"),
        ("600", TypeError, "not str"),
        (0o4755, trionng.InvalidOperation, "0o4755 is not between 0 and 0o777"),
        (600, trionng.InvalidOperation, "octal"),
        (-1, trionng.InvalidOperation, "0o777"),
        (2**40, trionng.InvalidOperation, "0o777"),
    ],
)
@pytest.mark.parametrize("scheme", ["ipc", "unix"])
def test_ipc_permissions_that_are_none_are_refused(mode, error, words, scheme, tmp_path):
    """Only the nine bits of a file's mode are taken, and nothing is left behind."""
    path = tmp_path / "socket"
    with blocking.Pair0() as pair:
        with pytest.raises(error, match=f"ipc_permissions {scheme}://{path}: .*{words}"):
            pair.listen(f"{scheme}://{path}", ipc_permissions=mode)
        assert not path.exists()


@pytest.mark.parametrize("scheme", ["ipc", "unix"])
@pytest.mark.parametrize("mode", [0o600, 0o777, 0o660])
def test_ipc_permissions_are_those_of_the_file(scheme, mode, tmp_path):
    """The file of the socket has the mode that was asked for."""
    path = tmp_path / "socket"
    with blocking.Pair0() as pair:
        pair.listen(f"{scheme}://{path}", ipc_permissions=mode)
        assert stat.S_IMODE(path.stat().st_mode) == mode


# What a constructor takes.


@pytest.mark.parametrize("api", [trionng, blocking])
@pytest.mark.parametrize("kind", ["Pair0", "Pair1", "Sub0", "Req0", "Surveyor0"])
def test_constructor_with_an_url_by_position_asks_what_it_is_for(api, kind):
    """A URL without listen= or dial= is answered with both ways to write it."""
    with pytest.raises(TypeError) as caught:
        getattr(api, kind)("tcp://127.0.0.1:5555")

    text = str(caught.value)
    assert f"{kind}(listen='tcp://127.0.0.1:5555')" in text
    assert f"{kind}(dial='tcp://127.0.0.1:5555')" in text
    assert "Base" not in text


@pytest.mark.parametrize("api", [trionng, blocking])
@pytest.mark.parametrize(
    ("kind", "option", "words"),
    [
        ("Req0", "recv_timout", "did you mean 'recv_timeout'"),
        ("Req0", "topics", "Sub0 has"),
        ("Sub0", "topic", "did you mean 'topics'"),
        ("Push0", "recv_buffer_size", "option recv_buffer_size"),
        ("Pair1", "poliamorous", "did you mean 'polyamorous'"),
        ("Pair0", "block_on_dial", r"dial\(url, block=True\)"),
        ("Pub0", "bind", "listen="),
        ("Rep0", "xyzzy", "argument 'xyzzy'$"),
    ],
)
def test_constructor_with_an_unknown_option_suggests_one(api, kind, option, words):
    """A word that no class knows is answered with the nearest, or with where it belongs."""
    with pytest.raises(TypeError, match=f"^{kind} has no .*{words}"):
        getattr(api, kind)(**{option: 5})


@pytest.mark.parametrize("kind", ["Sub0", "Req0", "Pair0"])
def test_constructor_shows_all_it_takes(kind):
    """`help()` lists every argument, those of all sockets too."""
    parameters = inspect.signature(getattr(trionng, kind)).parameters

    assert {"listen", "dial", "recv_timeout", "tls_config", "linger"} <= parameters.keys()
    assert ("topics" in parameters) == (kind == "Sub0")


def test_constructor_of_a_subclass_takes_its_own_arguments():
    """A user's class may take its URL by position."""

    class Mine(blocking.Pair0):
        def __init__(self, url):
            super().__init__(listen=url)

    with Mine("inproc://mine") as mine:
        assert mine.listeners[0].url == "inproc://mine"
