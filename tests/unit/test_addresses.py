"""Addresses: where connections begin and end, in values that can be compared."""

from __future__ import annotations

import ipaddress
from typing import Any

import attrs
import pytest
import trio

import trionng
from trionng import blocking
from trionng._core.addresses import from_native
from trionng._ffi import Address
from trionng.testing import connected, new_url

SECONDS = 60


@pytest.mark.parametrize(
    ("transport", "kind", "family"),
    [
        ("inproc", trionng.InprocAddr, "inproc"),
        ("ipc", trionng.IPCAddr, "ipc"),
        ("abstract", trionng.AbstractAddr, "abstract"),
        ("tcp4", trionng.InAddr, "inet"),
        ("tcp6", trionng.In6Addr, "inetv6"),
    ],
)
async def test_address_of_every_transport_has_its_class_and_family(transport, kind, family):
    """A pipe's addresses are of the class of its transport, and cannot be changed."""
    with trio.fail_after(SECONDS):
        async with connected(trionng.Pair0(), trionng.Pair0(), transport) as (listening, _):
            address: Any = listening.pipes[0].local_address

    assert type(address) is kind
    assert isinstance(address, trionng.SockAddr)
    assert address.family_as_str == family
    assert address == attrs.evolve(address)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        address.family = 0


async def test_address_of_inet_is_in_host_order_and_part_of_the_url():
    """`port` is the number in the URL, `addr` of Python's ipaddress, `str` a piece of the URL."""
    with trio.fail_after(SECONDS):
        async with connected(trionng.Pair0(), trionng.Pair0(), "tcp4") as (listening, _):
            listener = listening.listeners[0]
            address: Any = listening.pipes[0].local_address

    assert listener.url == f"tcp4://{address}"
    assert listener.url == f"tcp4://127.0.0.1:{address.port}"
    assert address.addr == ipaddress.IPv4Address("127.0.0.1")


async def test_address_of_a_name_has_it(tmp_path):
    """A path and an inproc name are str, an abstract name bytes, and `str` is the URL."""
    ipc, inproc = new_url("ipc", tmp_path), new_url()
    async with trionng.Pull0(listen=[ipc, inproc, "abstract://a%00b" + tmp_path.name]) as pull:
        addresses: list[Any] = [each.local_address for each in pull.listeners]
        path, name, abstract = addresses

    assert (str(path), path.path) == (ipc, ipc.removeprefix("ipc://"))
    assert (str(name), name.name) == (inproc, inproc.removeprefix("inproc://"))
    assert abstract.name == b"a\0b" + tmp_path.name.encode()
    assert str(abstract) == "abstract://a%00b" + tmp_path.name


async def test_address_of_a_socket_is_that_of_its_only_endpoint():
    """A socket's `local_address` is the one there is; with several it is Ambiguous."""
    with trio.fail_after(SECONDS):
        async with connected(trionng.Pull0(), trionng.Push0(), "tcp4") as (pull, push):
            assert pull.local_address == pull.listeners[0].local_address
            assert push.local_address == push.pipes[0].local_address
            pull.listen("tcp://127.0.0.1:0")
            with pytest.raises(trionng.Ambiguous, match="2 listeners"):
                _ = pull.local_address


def test_address_of_no_known_family_is_unspecified():
    """What nng cannot tell is an address all the same."""
    address = trionng.SockAddr(0)

    assert (str(address), address.family_as_str) == ("unspecified", "unspecified")


def test_native_address_of_no_known_family_is_a_sockaddr():
    """The class of all addresses stands for those that trionng does not know."""
    assert from_native(Address(99, 0, 0, b"")) == trionng.SockAddr(99)


def test_listener_that_leaves_its_abstract_name_open_has_one():
    """The system chooses the name, and `url` has it: it can be dialled."""
    with blocking.Pull0() as pull, blocking.Push0() as push:
        url = pull.listen("abstract://").url
        push.dial(url, block=True)
        push.send(b"there", timeout=SECONDS)

        assert len(url) > len("abstract://")
        assert pull.recv(timeout=SECONDS) == b"there"
