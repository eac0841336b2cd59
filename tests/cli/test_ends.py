"""How commands end: signals, streams that are closed, peers and files that are wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.fork_server import SECONDS
from tests.support.processes import PYTHON, other_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command_line import Commands

# A command for each kind of wait; {u} is an address of its own at which nothing listens.
WAITS = {
    "receive": "--pull --listen {u}",
    "send": "--push --listen {u} -D x",
    "dial": "--push --dial {u} --async -D x",
    "request": "--req --listen {u} -D x",
    "survey": "--surveyor --listen {u} -D x --recv-timeout 1h",
    "serve": "--rep --listen {u} -D x",
    "exchange": "--pair --listen {u} -D x -i 1h",
    "peer": "--pub --listen {u} -D x --wait-peer 2",
    "delay": "--pub --listen {u} -D x --delay 1h",
    "stdin": "--pub --listen {u} --lines",
    "ping --serve": "ping --serve {u}",
    "monitor": "monitor --req {u}",
    "proxy": "proxy {u} {u}b --capture {u}c",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signal_ends_every_wait_at_once(
    commands: Commands, number: int, tmp_path: Path
) -> None:
    """Ctrl-C and SIGTERM end a command within moments, with 130 or 143, and leave no file."""
    failed = {}

    async def one(name: str, words: str) -> None:
        url = f"ipc://{tmp_path}/{name.replace(' ', '')}"
        async with commands.start(*words.format(u=url).split()) as run:
            await trio.sleep(0.05)  # at any time
            run.signal(number)
            with trio.move_on_after(SECONDS):
                code, output, errors = await run.end()
                # A signal before there is a handler kills the command: the same in a shell.
                if code in (128 + number, -number) and output == "" and "Traceback" not in errors:
                    return
        failed[name] = (code, output, errors)

    async with trio.open_nursery() as nursery:
        for name, words in WAITS.items():
            nursery.start_soon(one, name, words)

    assert failed == {}
    assert os.listdir(tmp_path) == []


async def test_signal_at_any_moment_of_the_start_shows_no_traceback(
    commands: Commands, tmp_path: Path
) -> None:
    """Ctrl-C that comes while a command starts ends it like any other."""
    for step in range(12):
        url = f"ipc://{tmp_path}/{step}"
        async with commands.start("--pull", "--listen", url) as run:
            await trio.sleep(step * 0.003)
            run.signal(signal.SIGINT)
            with trio.fail_after(SECONDS):
                code, output, errors = await run.end()
        assert (code, output, errors) == (130, "", "")


async def test_ctrl_c_ends_a_command_that_lingers(commands: Commands, tmp_path: Path) -> None:
    """A message that is never taken holds a command for its --linger, and Ctrl-C ends that."""
    with silent_pull(tmp_path / "s") as url:
        words = ("--push", "--dial", url, "--linger", "1h", "--file", large(tmp_path), "-v")
        async with commands.start(*words) as run:
            assert "Connected to:" in await run.line("stderr")
            await trio.sleep(0.1)
            run.signal(signal.SIGINT)
            with trio.fail_after(SECONDS):
                code, output, errors = await run.end()
    assert (code, output, errors) == (130, "", "")


async def test_linger_is_bounded_and_the_loss_is_told(commands: Commands, tmp_path: Path) -> None:
    """A command does not wait for ever for a peer that reads nothing."""
    with silent_pull(tmp_path / "s") as url:
        words = ("--push", "--dial", url, "--linger", "50ms", "--file", large(tmp_path))
        assert await commands.run(*words) == (
            3,
            "",
            "trionng cat: peers have not taken everything within 50.0 ms (--linger)\n",
        )


@contextlib.contextmanager
def silent_pull(path: Path) -> Iterator[str]:
    """Accept connections as a Pull0 of SP that reads nothing."""
    held: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                held.append(peer)
                peer.sendall(b"\0SP\0\0\x51\0\0")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"ipc://{path}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for peer in held:
                peer.close()


def large(folder: Path) -> str:
    path = folder / "large"
    path.write_bytes(bytes(1 << 20))
    return str(path)


async def test_reader_that_goes_ends_a_command_quietly(commands: Commands, tmp_path: Path) -> None:
    """Nothing reads stdout any more: 141, and not a word."""
    url = f"ipc://{tmp_path}/s"
    with trio.fail_after(SECONDS):
        async with (
            commands.start("--pub", "--listen", url, "-D", "x", "-i", "5ms", "-v") as pub,
            commands.start("--sub", "--dial", url, "--async", "-q") as sub,
        ):
            await pub.url()
            assert await sub.line() == "x"
            await sub.close_output()
            assert (await sub.end())[::2] == (141, "")


async def test_head_ends_every_command_quietly(tmp_path: Path) -> None:
    """`trionng ... | head -1` says nothing; a real shell, and a real interpreter."""
    line = '{ "$@"; echo "code $?" >&2; } | head -1'
    for words in ("cat --help", "info --json"):
        with trio.fail_after(SECONDS):
            command = [*PYTHON, "-m", "trionng", *words.split()]
            async with other_process("sh", "-c", line, "sh", *command) as shell:
                code, output, errors = await shell.end()
        assert code == 0
        assert output.count("\n") == 1
        assert errors in ("code 0\n", "code 141\n")


async def test_stream_that_is_closed_or_full_is_told(commands: Commands, tmp_path: Path) -> None:
    """Without stdout a command fails instead of writing into one of its own descriptors."""
    (tmp_path / "data").write_bytes(b"some bytes")
    file = f"{tmp_path}/data"
    url = f"ipc://{tmp_path}/s"
    for closed in ((0,), (1,), (2,), (0, 1, 2)):
        pair = ["--pair", "-C", "1", "--linger", "60"]
        async with commands.start(*pair, "--listen", url, "--file", file, "-v") as run:
            await run.url()
            code, _, errors = await commands.run(*pair, "--dial", url, "-D", "y", closed=closed)
            assert code == (1 if 1 in closed else 0), closed
            if closed == (1,):  # the peer may have left by then, which is told too
                assert errors.endswith("trionng cat: standard output: Bad file descriptor\n")
            assert "Traceback" not in errors
    assert (await commands.run("--version", closed=(1,)))[::2] == (
        1,
        "trionng: standard output: Bad file descriptor\n",
    )
    assert (await commands.run("--pub", "--listen", url, "--lines", closed=(0,)))[::2] == (
        1,
        "trionng cat: standard input: Bad file descriptor\n",
    )


FAILURES = {
    "--sub --dial ipc:///nonexistent/s": "nothing listens there",
    "--sub --dial tcp://127.0.0.1:1": "dial tcp://127.0.0.1:1: ",
    "--sub --dial tcp://127.0.0.1": "it has no port",
    "--sub --dial 127.0.0.1:5555": "dial 127.0.0.1:5555: ",
    "--sub --dial tpc://127.0.0.1:5555": "did you mean 'tcp'?",
    "--sub --listen ipc:///nonexistent/s": "listen ipc:///nonexistent/s: ",
    "--sub --listen tls+tcp://127.0.0.1:0": "give the own certificate with --cert FILE",
    "--sub --dial tls+tcp://127.0.0.1:1": "say whom to trust with --cacert FILE",
    "--sub --dial tls+tcp://a:1 --cacert /dev/null": "TLSConfig: ca_string",
    "--sub --dial tls+tcp://a:1 --cacert /none": "/none: No such file or directory",
    "--push --dial ipc://x -F /": "/: Is a directory",
    "--push --dial ipc://x -F {unreadable}": "unreadable: ",
    "ping ipc:///nonexistent/s": "nothing listens there",
    "ping": "required: URL",
    "ping tcp://[::1": "dial tcp://[::1: ",
    "monitor --req nonsense": "dial nonsense: ",
    "proxy ipc:///nonexistent/a ipc://b": "listen ipc:///nonexistent/a: ",
    "proxy inproc://a inproc://b --capture x": "listen x: ",
    "ping --serve ipc:///nonexistent/s": "listen ipc:///nonexistent/s: ",
    "cert -d /proc/nonexistent": "/proc/nonexistent: ",
    "cert -d {dir} not/a/name": "not/a/name",
}


async def test_failure_is_one_line_and_no_traceback(commands: Commands, tmp_path: Path) -> None:
    """Wrong addresses, certificates and files: exit code 1 or 2, the cause, nothing on stdout."""
    loop = tmp_path / "unreadable"
    loop.symlink_to(loop)  # root may read anything else
    wrong = {}

    async def one(words: str, cause: str) -> None:
        ready = words.format(unreadable=loop, dir=tmp_path).split()
        code, output, errors = await commands.run(*ready)
        lines = errors.splitlines()
        if code not in (1, 2) or output or cause not in errors or len(lines) > code:
            wrong[words] = (code, output, errors)

    async with trio.open_nursery() as nursery:
        for words, cause in FAILURES.items():
            nursery.start_soon(one, words, cause)

    assert wrong == {}


async def test_stranger_that_sends_garbage_is_reported(commands: Commands) -> None:
    """Garbage, and a message over the limit, end that connection and not the command."""
    words = ("--pull", "--listen", "tcp://127.0.0.1:0", "-v", "-C", "1", "-Z", "1k")
    with trio.fail_after(SECONDS):
        async with commands.start(*words) as pull:
            port = int((await pull.url()).rpartition(":")[2])
            for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\0SP\0\0\x50\0\0" + b"\xff" * 64):
                with socket.create_connection(("127.0.0.1", port)) as stranger:
                    stranger.sendall(garbage)
                    stranger.settimeout(SECONDS)
                    with contextlib.suppress(ConnectionError):
                        while await trio.to_thread.run_sync(stranger.recv, 1 << 10):
                            pass
            push = ("--push", "--dial", f"tcp://127.0.0.1:{port}", "-D", "a message")
            assert (await commands.run(*push))[0] == 0
            code, output, errors = await pull.end()
    assert (code, output) == (0, "a message\n")
    assert "Traceback" not in errors


async def test_two_at_one_address_are_told_apart(commands: Commands, tmp_path: Path) -> None:
    """A second listener is refused; a second peer of a pair is told that it is."""
    url = f"ipc://{tmp_path}/s"
    with trio.fail_after(SECONDS):
        async with commands.start("--pair", "--listen", url, "-v") as first:
            await first.url()
            code, _, errors = await commands.run("--pull", "--listen", url)
            assert (code, errors.count("\n")) == (1, 1)
            assert "another" in errors or "in use" in errors, errors
            async with commands.start("--pair", "--dial", url, "-v") as peer:
                await peer.line("stderr")
                ended: tuple[int, str, str] | None = None
                while ended is None:  # on a busy machine a refusal comes late, and the dial is made
                    with trio.move_on_after(10):
                        ended = await commands.run("--pair", "--dial", url, "-D", "x")
                assert ended[0] == 1
                assert "it has a peer already" in ended[2]


async def test_large_message_passes_and_json_is_valid(commands: Commands, tmp_path: Path) -> None:
    """100 MB go through, counted by the other end, which prints nothing of it."""
    path = tmp_path / "huge"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 100_000_000)
    url = f"ipc://{tmp_path}/s"
    words = [
        "--pull",
        "--listen",
        url,
        "-Z",
        "0",
        "-C",
        "1",
        "--format",
        "no",
        "-v",
        "--stats",
        "1h",
    ]
    with trio.fail_after(SECONDS):
        async with commands.start(*words) as pull:
            await pull.url()
            assert (await commands.run("--push", "--dial", url, "-F", str(path))) == (0, "", "")
            assert await pull.end() == (0, "", "")
