"""Eleven faults of nngcat 1.5.2: nngcat has each, `trionng cat` has none.

Another version of nngcat may have lost some; then only the second half of each test is run.
"""

from __future__ import annotations

import functools
import random
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import trio

import trionng
from tests.support.fork_server import SECONDS
from tests.support.processes import other_process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.command_line import Commands

Ended = tuple[int, str, str]


@functools.cache
def faulty_nngcat() -> str | None:
    """Return the path of nngcat, if it is the version that has the faults."""
    command = shutil.which("nngcat")
    assert command is not None
    said = subprocess.run([command, "--version"], capture_output=True, check=True, text=True)
    return command if said.stdout.strip() == "1.5.2" else None


async def nngcat(*words: str, folder: Path | None = None, seconds: float = SECONDS) -> Ended | None:
    """Run the nngcat that has the faults; None where it is another one, and when it never ends."""
    command = faulty_nngcat()
    if command is None:
        return None
    if folder is not None:
        words = ("-c", f'cd "$1" && shift && exec {command} "$@"', "sh", str(folder), *words)
        command = "sh"
    with trio.move_on_after(seconds):
        async with other_process(command, *words) as cat:
            return await cat.end()
    return None


async def both_ends(commands: Commands, *pull: str, push: str) -> Ended:
    """Let `trionng cat --pull` receive what `trionng cat --push` sends."""
    with trio.fail_after(SECONDS):
        async with commands.start("--pull", "-v", *pull) as receiver:
            url = await receiver.url()
            assert (await commands.run("--push", "--dial", url, *push.split()))[0] == 0
            return await receiver.end()


async def test_fault_1_pair_is_no_protocol(commands: Commands, tmp_path: Path) -> None:
    """--pair, which the help text has, is pair1, and pair0 with --compat."""
    words = ("--pair", "--listen", f"ipc://{tmp_path}/s", "--recv-timeout")
    old = await nngcat(*words, "1")

    assert old is None or old == (1, "", "No protocol specified.\n")
    assert await commands.run(*words, "1ms") == (3, "", "")


async def test_fault_2_times_are_whole_seconds(commands: Commands, tmp_path: Path) -> None:
    """A time may be 0.005 or 5ms."""
    words = ("--pull", "--listen", f"ipc://{tmp_path}/s", "--recv-timeout")
    old = await nngcat(*words, "0.005")

    assert old is None or old == (1, "", "Integer argument expected.\n")
    for time in ("0.005", "5ms"):
        assert await commands.run(*words, time) == (3, "", "")


async def test_fault_3_help_fails(commands: Commands) -> None:
    """--help exits with 0."""
    old = await nngcat("--help")

    assert old is None or old[0] == 1
    assert (await commands.run("--help"))[0] == 0


async def test_fault_4_words_are_among_the_data(commands: Commands, tmp_path: Path) -> None:
    """--verbose says where it listens on stderr."""
    url = f"ipc://{tmp_path}/s"
    old = await nngcat("--pull", "-v", "--listen", url, "--recv-timeout", "1")

    assert old is None or old == (0, f"Listening at: {url}\n", "")
    new = await commands.run("--pull", "-v", "--listen", url, "--recv-timeout", "1ms")
    assert new == (3, "", f"Listening at: {url}\n")


async def test_fault_5_nothing_is_printed(commands: Commands, tmp_path: Path) -> None:
    """Without a format messages are printed as text, a line each, with nothing a terminal obeys."""
    url = f"ipc://{tmp_path}/s"
    words = ("--pair1", "--data", "one", "--count", "1")
    async with commands.start(*words, "--listen", url, "-v") as ours:
        await ours.url()
        old = await nngcat(*words[:3], "--dial", url, "--recv-timeout", "1")
        assert old is None or old == (0, "", "")
        if old is None:
            await commands.run(*words, "--dial", url)
        assert await ours.end() == (0, "one\n", "")
    pulled = await both_ends(
        commands, "--listen", f"{url}2", "-C", "1", push="-D \x1b[31mr\xf6d\xff"
    )
    assert pulled == (0, "\\x1b[31mr\xf6d\xff\n", "")


async def test_fault_6_messages_run_together(commands: Commands, tmp_path: Path) -> None:
    """--newline ends each message that --ascii and --raw print."""
    url = f"ipc://{tmp_path}/s"
    for words, printed in ((["--ascii"], "oneone"), (["--raw", "-n"], "one\none\n")):
        pull = ["--listen", url, "-C", "2", *words]
        assert await both_ends(commands, *pull, push="-D one -C 2") == (0, printed, "")


async def test_fault_7_option_of_the_manual_is_unknown(commands: Commands, tmp_path: Path) -> None:
    """--receive-timeout, which nng's manual has, is --recv-timeout."""
    words = ("--pull", "--listen", f"ipc://{tmp_path}/s", "--receive-timeout")
    old = await nngcat(*words, "1")

    assert old is None or old == (1, "", "Option --receive-timeout is invalid.\n")
    assert await commands.run(*words, "1ms") == (3, "", "")


async def test_fault_8_words_after_a_stray_one_are_ignored(
    commands: Commands, tmp_path: Path
) -> None:
    """A word that is no option is refused, and so nothing after it is overlooked."""
    words = ("--pull", "--listen", f"ipc://{tmp_path}/s", "--recv-timeout", "1", "a", "--nonsense")
    old = await nngcat(*words)

    assert old is None or old == (0, "", "")
    code, _, errors = await commands.run(*words[:-1])
    assert (code, errors.splitlines()[0]) == (
        2,
        "trionng cat: 'a' is one argument too many; what is sent is given with --data",
    )


async def test_fault_9_timeout_is_success(commands: Commands, tmp_path: Path) -> None:
    """Nothing came: exit code 3, also when one of two came, and for a server that replies."""
    url = f"ipc://{tmp_path}/s"
    old = await nngcat("--pull", "--listen", url, "--recv-timeout", "1")

    assert old is None or old == (0, "", "")
    replies = ["--rep", "-D", "x", "--listen", url, "--recv-timeout", "1ms"]
    assert (await commands.run(*replies))[0] == 3

    async def pull(number: int, code: int, *words: str) -> None:
        at = f"{url}{number}"
        async with trionng.Push0(listen=at, send_buffer_size=1) as push:
            await push.send(b"one")  # nng sends it as soon as the command has connected
            words = ("--pull", "--dial", at, "--recv-timeout", "2", *words)
            assert (await commands.run(*words))[:2] == (code, "one\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pull, 1, 0)
        nursery.start_soon(pull, 2, 3, "--count", "2")
        nursery.start_soon(pull, 3, 3, "--require", "2")


async def test_fault_10_what_a_slow_peer_has_not_taken_is_lost(
    commands: Commands, tmp_path: Path
) -> None:
    """A message that was sent is delivered, also when its peer reads later than in 200 ms."""
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    for run, complete in ((nngcat, False), (commands.run, True)):
        path = tmp_path / f"s{complete:d}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            results: list[Ended | None] = []
            has_ended = trio.Event()

            async def push(program=run, url=f"ipc://{path}", results=results, ended=has_ended):
                words = ("--push", "--dial", url, "--file", f"{tmp_path}/large")
                results.append(await program(*words))
                ended.set()

            # nngcat does not wait for its peer. What waits for it gets longer than nngcat's 200 ms.
            async def be_late(complete=complete, ended=has_ended):
                with trio.move_on_after(0.6 if complete else SECONDS):
                    await ended.wait()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(push)
                received = await trio.to_thread.run_sync(
                    read_late, listener, be_late, abandon_on_cancel=True
                )
        if results[0] is not None:
            assert results[0] == (0, "", "")
            assert (received >= 1 << 20) is complete


def read_late(listener: socket.socket, be_late: Callable[[], Awaitable[None]]) -> int:
    """Shake hands as a Pull0 of SP, wait, and count the bytes that come."""
    listener.settimeout(SECONDS)
    try:
        peer, _ = listener.accept()
    except TimeoutError:
        return 0
    with peer:
        peer.settimeout(SECONDS)
        peer.sendall(b"\0SP\0\0\x51\0\0")
        peer.recv(8, socket.MSG_WAITALL)
        trio.from_thread.run(be_late)
        return sum(iter(lambda: len(peer.recv(1 << 16)), 0))


async def test_fault_11_relative_path_becomes_absolute(commands: Commands, tmp_path: Path) -> None:
    """-X app listens at a path in the current directory, and not at /app."""
    name = f"trionng-{random.getrandbits(64):x}"
    words = ("--pull", "-v", "-X", name, "--recv-timeout")
    try:
        old = await nngcat(*words, "1", folder=tmp_path)
        assert old is None or old[1] == f"Listening at: ipc:///{name}\n" or old[0] == 1
    finally:
        await trio.Path("/", name).unlink(missing_ok=True)
    async with commands.start(*words, "1h", folder=str(tmp_path)) as run:
        assert await run.url() == f"ipc://{name}"
        assert await trio.Path(tmp_path, name).is_socket()
