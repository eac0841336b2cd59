"""What nng's own ten shell scripts look at in nngcat, looked at in `trionng`.

Only the exit code of --help differs: nng's script wants 1.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.fixes import LINK
from tests.support.fork_server import SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command_line import Commands


def checksum(output: str) -> int:
    """Return what cksum(1) says of an output."""
    data = output.encode("utf-8")
    said = subprocess.run(["cksum"], input=data, capture_output=True, check=True).stdout
    return int(said.split()[0])


REFUSED = {
    "ambiguous": ("--re --dial=tcp://127.0.0.1:27272", "option --re is ambiguous: --receive-"),
    "dup_proto": ("--pub0 --sub0 --dial=tcp://127.0.0.1:8989", "only one protocol can be given"),
    "need_proto": ("--dial=tcp://127.0.0.1:8989", "no protocol: give one, such as --sub"),
    "incompat_subscribe": ("--req0 -x /x --subscribe=oops", "--subscribe is for sub0"),
    "incompat_interval": ("--interval 1 --pull -x /x", "pull0 sends nothing by itself"),
    "incompat_pair1": ("--compat --pair1 -x /x", "pair1 does not go with --compat"),
    "incompat_count": ("--compat --count=1 --pair0 -x /x", "--count and --compat do not go"),
    "incompat_number": ("--count=xyz --pair0 -x /x", "'xyz' is no number"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_wrong_words_are_refused_with_the_reason(commands: Commands, name: str) -> None:
    """Scripts ambiguous, dup_proto, need_proto and incompat: one reason, exit code 2."""
    words, reason = REFUSED[name]

    code, output, errors = await commands.run(*words.split())

    assert (code, output) == (2, "")
    assert errors.startswith("trionng cat: ")
    assert reason in errors.splitlines()[0]
    assert errors.splitlines()[1:] == ["Try `trionng cat --help`."]


async def test_file_that_is_not_there_fails(commands: Commands) -> None:
    """Script incompat, its last case: that is no wrong use."""
    words = "--async --file=/nosuchfilehere --push0 -x /tmp/bogusipc".split()

    assert await commands.run(*words) == (
        1,
        "",
        "trionng cat: /nosuchfilehere: No such file or directory\n",
    )


async def test_help_says_usage(commands: Commands) -> None:
    """Script help, but for the exit code."""
    for words in (["--help"], ["cat", "--help"], ["--pub", "--help"]):
        code, output, errors = await commands.run(*words)

        assert (code, errors) == (0, "")
        assert "Usage:" in output


async def test_async_dialer_comes_before_the_listener(commands: Commands, tmp_path: Path) -> None:
    """Script async: a request waits for a server that starts later."""
    url = f"ipc://{tmp_path}/s"
    with trio.fail_after(SECONDS):
        async with commands.start(*f"--async -d 0.1 --connect {url} --req0 -D ping".split()) as req:
            server = f"--rep0 --recv-timeout=10 --listen {url} -D pong --ascii -C 1".split()

            assert await commands.run(*server) == (0, "ping", "")
            code, output, _ = await req.end()
            assert (code, output) == (0, "pong\n")


async def test_pubsub_gets_the_topics_in_order(commands: Commands, tmp_path: Path) -> None:
    """Script pubsub: its checksum."""
    url = f"ipc://{tmp_path}/s"
    words = "--count=3 --recv-timeout=20 --sub0 --subscribe=one --subscribe=two --quoted".split()
    with trio.fail_after(SECONDS):
        async with commands.start(*words, "--listen", url, "-v") as sub:
            await sub.url()
            for data in ("xyz", "none swam", "one flew", "twofer test", "one more"):
                done = await commands.run("-d", "0.01", "--connect", url, "--pub0", "--data", data)
                assert done == (0, "", "")
            code, output, errors = await sub.end()

    assert (code, checksum(output), errors) == (0, 3929078614, "")


async def test_recvmaxsz_drops_larger_messages(commands: Commands, tmp_path: Path) -> None:
    """Script recvmaxsz: its checksum; and a word for each that is dropped, if that is known."""
    url = f"ipc://{tmp_path}/s"
    words = ["--listen", url, "--count=3", "--recv-maxsz=5", "--pull0", "--quoted", "-v"]
    with trio.fail_after(SECONDS):
        async with commands.start(*words) as pull:
            await pull.url()
            for data in ("one", "55555", "666666", "7777777", "88888"):
                await commands.run("--connect", url, "--push0", "--data", data)
            code, output, errors = await pull.end()

    assert (code, checksum(output)) == (0, 4122906158)
    assert LINK == "shared" or "sent a message larger than" in errors


async def test_stdin_is_a_message(commands: Commands, tmp_path: Path) -> None:
    """Script stdin_pipe: its checksum."""
    url = f"ipc://{tmp_path}/s"
    words = "--count=1 --recv-timeout=9 --recv-maxsz=0 --pull0 --raw -v --listen".split()
    with trio.fail_after(SECONDS):
        async with commands.start(*words, url) as pull:
            await pull.url()
            push = f"--connect {url} --delay=10ms --push0 --file -".split()
            assert await commands.run(*push, stdin=b"hello world\n") == (0, "", "")
            code, output, errors = await pull.end()

    assert (code, checksum(output), errors) == (0, 3733384285, "")


async def test_unlimited_takes_four_megabytes(commands: Commands, tmp_path: Path) -> None:
    """Script unlimited: 4 MiB of a file arrive with --recv-maxsz=0."""
    url, content = f"ipc://{tmp_path}/s", os.urandom(4 << 20).hex()[: 4 << 20]
    (tmp_path / "input").write_text(content, "ascii")
    words = ["--listen", url, "--count=1", "--recv-maxsz=0", "--pull0", "--raw", "-v"]
    with trio.fail_after(SECONDS):
        async with commands.start(*words) as pull:
            await pull.url()
            push = ["--connect", url, "--push0", "--file", f"{tmp_path}/input"]
            assert await commands.run(*push) == (0, "", "")
            code, output, errors = await pull.end()

    assert (code, errors) == (0, "")
    assert output == content
