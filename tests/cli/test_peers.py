"""`trionng cat` with nngcat and nanocat: every protocol, both roles, ipc, tcp and ws.

nanocat is libnanomsg's, an implementation of its own. Its sockets of version 1 are not there.
"""

from __future__ import annotations

import ast
import contextlib
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from tests.support.ports import (
    reserved_port,
    wait_until_path_listens,
    wait_until_port_listens,
)
from tests.support.processes import other_process

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command_line import Commands

SECONDS = 60
AT_ONCE = 6
OURS = b'ours: "\\ \t\n\r\x00\x01\x7f and the end'
THEIRS = b'theirs: "\\ \t\n\r\x01\x7f and the end'


@attrs.frozen
class Case:
    """What the two ends are told, and who prints what the other one sends.

    Attributes:
        ours: words of `trionng cat`.
        theirs: words of the other program; {i} says when it sends.
        gets: we print what they send.
        gives: they print what we send.
    """

    ours: str
    theirs: str
    gets: bool = True
    gives: bool = True


CASES = {
    "req0": Case("--req -F OURS -Q", "--rep0 -Q -F THEIRS"),
    "rep0": Case("--rep -F OURS -Q", "--req0 -Q -F THEIRS"),
    "push0": Case("--push -F OURS -i 0.2", "--pull0 -Q", gets=False),
    "pull0": Case("--pull -Q -C 1", "--push0 -F THEIRS {i}", gives=False),
    "pub0": Case("--pub -F OURS -i 0.2", "--sub0 -Q --subscribe ours", gets=False),
    "sub0": Case("--sub -Q -C 1 --subscribe theirs", "--pub0 -F THEIRS {i}", gives=False),
    "surveyor0": Case("--surveyor -F OURS -Q -i 0.3", "--respondent0 -Q -F THEIRS"),
    "respondent0": Case("--respondent -F OURS -Q", "--surveyor0 -Q -F THEIRS {i}"),
    "pair0": Case("--pair0 -F OURS -Q", "--pair0 -Q -F THEIRS"),
    "pair1": Case("--pair -F OURS -Q", "--pair1 -Q -F THEIRS"),
    "bus0": Case("--bus -F OURS -Q -i 0.2", "--bus0 -Q -F THEIRS {i}"),
}
# What gives keeps running until its message is printed: a connection that ends can take a message
# along that the other program has received and not read yet.
ENDLESS = ("rep0", "push0", "pub0", "surveyor0", "respondent0", "pair0", "pair1", "bus0")


def words_of(program: str, case: Case, files: dict[str, Path]) -> tuple[list[str], list[str]]:
    """Return the words for both ends."""
    theirs = case.theirs
    if program == "nanocat":
        theirs = theirs.replace("0 ", " ", 1) if not theirs.startswith("--pair0") else theirs
        theirs = theirs.replace("--pair0", "--pair")
    # nngcat has whole seconds, and ends with an error when it is late by an interval.
    theirs = theirs.format(i="-d 1 -i 5" if program == "nngcat" else "-i 0.2")
    both = []
    for words in (case.ours, theirs):
        for name, path in files.items():
            words = words.replace(name, str(path))
        both.append(words.split())
    return both[0], both[1]


async def printed(line: str) -> bytes:
    message = ast.literal_eval(f"b{line}")
    assert isinstance(message, bytes)
    return message


async def check(
    commands: Commands,
    program: str,
    protocol: str,
    transport: str,
    files: dict[str, Path],
    ours_listens: bool,
) -> None:
    """Run both ends; each prints what the other one sends."""
    case = CASES[protocol]
    ours, theirs = words_of(program, case, files)
    folder = files["OURS"].parent
    command = ["stdbuf", "-oL", program, *theirs]
    async with contextlib.AsyncExitStack() as stack:
        path = folder / f"{program}-{protocol}-{int(ours_listens)}"
        port = 0 if ours_listens else stack.enter_context(reserved_port())
        url = {
            "ipc": f"ipc://{path}",
            "tcp": f"tcp://127.0.0.1:{port}",
            "ws": f"ws://127.0.0.1:{port}",
        }[transport]
        if ours_listens:
            run = await stack.enter_async_context(
                commands.start(*ours, "-v", "--listen", url, "--wait-peer", "1")
            )
            url = await run.url()
            other = await stack.enter_async_context(other_process(*command, "--connect", url))
        else:
            other = await stack.enter_async_context(other_process(*command, "--bind", url))
            if transport == "ipc":
                await wait_until_path_listens(path)
            else:
                await wait_until_port_listens(port)
            run = await stack.enter_async_context(commands.start(*ours, "--dial", url))
        if case.gets:
            assert await printed(await run.line()) == THEIRS
        if case.gives:
            assert await printed(await other.line()) == OURS
        if protocol not in ENDLESS:
            code, output, errors = await run.end()
            assert (code, output) == (0, ""), errors


@pytest.mark.parametrize("transport", ["ipc", "tcp", "ws"])
@pytest.mark.parametrize("program", ["nngcat", "nanocat"])
async def test_cat_with_every_protocol_exchanges_messages(
    commands: Commands, program: str, transport: str, tmp_path: Path
) -> None:
    """Each protocol, listening and dialling, gives and gets every byte."""
    files = {"OURS": tmp_path / "o", "THEIRS": tmp_path / "t"}
    files["OURS"].write_bytes(OURS)
    files["THEIRS"].write_bytes(THEIRS)
    limit = trio.CapacityLimiter(AT_ONCE)
    failed = {}

    async def one(protocol: str, ours_listens: bool) -> None:
        async with limit:
            try:
                with trio.fail_after(SECONDS):
                    await check(commands, program, protocol, transport, files, ours_listens)
            except Exception as error:
                failed[protocol, ours_listens] = repr(error)

    async with trio.open_nursery() as nursery:
        for protocol in CASES:
            if (program, protocol) != ("nanocat", "pair1"):
                for ours_listens in (True, False):
                    nursery.start_soon(one, protocol, ours_listens)

    assert failed == {}
