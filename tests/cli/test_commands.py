"""`cat` beyond nngcat, and `ping`, `bench`, `proxy`, `monitor`, `info`, `cert`."""

from __future__ import annotations

import base64
import datetime
import json
import re
import signal
import stat
from typing import TYPE_CHECKING

import trio

import trionng
from tests.support.fork_server import SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command_line import Commands

# All five take the time of four starts of an interpreter.
TRANSPORTS = ("ipc", "tls")


async def test_cat_lines_sends_a_message_for_each(commands: Commands, tmp_path: Path) -> None:
    """Each line of stdin is a message, long and empty ones too, and the last needs no end."""
    url = f"ipc://{tmp_path}/s"
    lines = [b"one", b"", b"\xff two", b"x" * 200_000, b"last"]
    with trio.fail_after(SECONDS):
        async with trionng.Pull0(listen=url) as pull, trio.open_nursery() as nursery:

            async def push() -> None:
                words = ("--push", "--dial", url, "--lines")
                done = await commands.run(*words, stdin=b"\n".join(lines))
                assert done[:2] == (0, "")

            nursery.start_soon(push)
            assert [await pull.recv() for _ in lines] == lines


async def test_cat_lines_are_requests_and_replies(commands: Commands, tmp_path: Path) -> None:
    """A Req0 asks a line at a time; a Rep0 answers with its lines, until they end."""
    url = f"ipc://{tmp_path}/s"
    with trio.fail_after(SECONDS):
        async with commands.start("--rep", "--listen", url, "--lines", "-v") as rep:
            await rep.url()
            await rep.write(b"1\n2\n")
            await rep.close_input()
            asked = await commands.run("--req", "--dial", url, "--lines", stdin=b"a\nb\n")
            assert asked == (0, "1\n2\n", "")
            assert (await commands.run("--req", "--dial", url, "-D", "c", "--recv-timeout", "2"))[
                :2
            ] == (3, "")
            assert await rep.end() == (0, "a\nb\nc\n", "")


async def test_cat_formats_show_every_byte(commands: Commands, tmp_path: Path) -> None:
    """Each format shows a message as it says; --timestamp puts the time in front."""
    data = b'a\n\t"\\\x00\xff' + "é".encode()
    printed = {
        "text": b'a\\n\\t"\\\\x00\\xff' + "é\n".encode(),
        "ascii": b'a.."\\....',
        "quoted": b'"a\\n\\t\\"\\\\\\x00\\xff\\xc3\\xa9"\n',
        "hex": b'"' + b"".join(b"\\x%02x" % byte for byte in data) + b'"\n',
        "msgpack": b"\xc4\x09" + data,
        "raw": data,
        "no": b"",
    }
    path = tmp_path / "data"
    path.write_bytes(data)
    results = {}

    async def one(name: str, *words: str) -> None:
        url = f"ipc://{tmp_path}/{len(words)}{name}"
        async with commands.start("--pull", "-C1", "--listen", url, "-v", *words) as pull:
            await pull.url()
            await commands.run("--push", "--dial", url, "--file", str(path))
            results[name] = await pull.end()

    async with trio.open_nursery() as nursery:
        for name in printed:
            nursery.start_soon(one, name, "--format", name)
        nursery.start_soon(one, "json", "--json", "--timestamp")
        nursery.start_soon(one, "timed", "--hex", "--timestamp")

    for name, expected in printed.items():
        assert results[name] == (0, expected.decode("utf-8", "backslashreplace"), ""), name
    shown = json.loads(results["json"][1])
    assert base64.b64decode(shown["base64"]) == data
    assert (shown["size"], set(shown)) == (9, {"time", "peer", "size", "base64"})
    time, _, rest = results["timed"][1].partition(" ")
    assert rest.encode() == printed["hex"]
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(time)
    assert abs(age.total_seconds()) < SECONDS


async def test_cat_wait_peer_loses_no_first_message(commands: Commands, tmp_path: Path) -> None:
    """A publisher that waits for two subscribers reaches both with its only message."""
    url = f"ipc://{tmp_path}/s"
    with trio.fail_after(SECONDS):
        words = ("--pub", "--listen", url, "-D", "news", "--wait-peer", "2", "-v")
        async with commands.start(*words) as pub:
            await pub.url()
            subs = (trionng.Sub0(topics="", dial=url), trionng.Sub0(topics="", dial=url))
            async with subs[0] as one, subs[1] as two:
                assert [await one.recv(), await two.recv()] == [b"news"] * 2
                assert await pub.end() == (0, "", "")


async def test_cat_stats_and_timeouts_are_told(commands: Commands, tmp_path: Path) -> None:
    """--stats shows counters on stderr; a send that times out exits with 3 and says why."""
    url = f"ipc://{tmp_path}/s"
    with trio.fail_after(SECONDS):
        async with commands.start("--pull", "--listen", url, "--stats", "10ms") as pull:
            line = await pull.line("stderr")
    assert line == "trionng cat: 0 sent, 0 received, 0 dropped, 0 peers, 0 rejected"
    assert await commands.run("--push", "--listen", url, "-D", "x", "--send-timeout", "10ms") == (
        3,
        "",
        "trionng cat: a message could not be sent: no peer is connected\n",
    )
    code, _, _ = await commands.run("--surveyor", "--listen", url, "-D", "x", "--recv-timeout", "0")
    assert code == 3


async def test_ping_counts_and_measures(commands: Commands, tmp_path: Path) -> None:
    """Each reply is a line; the summary counts; a silent server means lost requests and 3."""
    url = f"ipc://{tmp_path}/s"
    with trio.fail_after(SECONDS):
        async with commands.start("ping", "--serve", url) as server:
            assert await server.url() == url
            code, output, errors = await commands.run(
                "ping", url, "-c", "5", "-i", "0", "--size", "100"
            )
            assert (code, errors) == (0, "")
            *lines, head, summary = output.splitlines()
            assert [line.split(" time=")[0] for line in lines] == [
                f"100 bytes: seq={number}" for number in range(1, 6)
            ]
            assert head == f"--- {url}"
            counts, times = summary.split("; ")
            assert counts == "5 requests, 5 answered, 0 lost (0 %)"
            assert re.fullmatch(r"min/median/p99/max ([\d.]+ [mu]?s( / )?){4}", times)
            async with commands.start("ping", url, "-i", "1h") as endless:
                assert (await endless.line()).startswith("56 bytes: seq=1 time=")
                endless.signal(signal.SIGINT)
                code, output, errors = await endless.end()
                assert (code, errors) == (130, "")
                assert output.startswith(f"--- {url}\n1 request, 1 answered, 0 lost (0 %); min/")
    async with trionng.Rep0(listen=url + "2"):
        code, output, _ = await commands.run("ping", f"{url}2", "-c2", "-i10ms", "-W50ms")
    assert code == 3
    assert "no reply: seq=2: no reply within 50.0 ms\n" in output
    assert output.endswith("2 requests, 0 answered, 2 lost (100 %)\n")


async def test_proxy_forwards_captures_and_counts(commands: Commands, tmp_path: Path) -> None:
    """Requests and replies pass a proxy, a copy of each is published, and the counters say so."""
    front, back, copies = (f"ipc://{tmp_path}/{name}" for name in "fbc")
    with trio.fail_after(SECONDS):
        async with (
            trionng.Rep0(listen=back) as server,
            trionng.Req0() as client,
            trionng.Sub0(topics="") as sub,
            commands.start("proxy", front, back, "--capture", copies) as proxy,
            trio.open_nursery() as nursery,
        ):
            await trionng.serve_rep(nursery, answer, socket=server)
            assert await proxy.url() == front
            while "copies at" not in await proxy.line("stderr"):
                pass
            await sub.dial(copies, block=True)
            await client.dial(front, block=True)
            for number in (b"1", b"22"):
                assert await client.request(number) == number + b"!"
            assert sorted([await sub.recv() for _ in range(4)]) == [b"1", b"1!", b"22", b"22!"]
            proxy.signal(signal.SIGTERM)
            code, output, errors = await proxy.end()
            nursery.cancel_scope.cancel()
    assert (code, output) == (143, "")
    assert re.search(
        r"A to B: 2 \([\d ]+/s, 3 B\); B to A: 2 \([\d ]+/s, 5 B\); 1 peer at A, 1 peer at B\n$",
        errors,
    ), errors


async def answer(request: bytes) -> bytes:
    return request + b"!"


async def test_proxy_for_each_protocol_starts(commands: Commands, tmp_path: Path) -> None:
    """Whatever the clients at A speak, A has its counterpart, and both ends may listen."""
    wrong = {}

    async def one(words: str, expected: str) -> None:
        name = words.replace("--", "").replace(" ", "")
        urls = [f"ipc://{tmp_path}/{name}{side}" for side in "ab"]
        async with commands.start("proxy", "--listen-b", *urls, *words.split()) as proxy:
            lines = [await proxy.line("stderr") for _ in range(2)]
            found = " ".join(line.rpartition(" as ")[2] for line in lines)
            if found != expected:
                wrong[words] = lines

    async with trio.open_nursery() as nursery:
        for words, expected in {
            "": "rep req", "--sub": "pub sub", "--pub": "sub pub", "--push": "pull push",
            "--pull": "push pull", "--surveyor": "respondent surveyor",
            "--respondent": "surveyor respondent", "--pair0": "pair pair",
            "--pair1": "pair1 pair1", "--bus": "bus bus", "--rep": "req rep",
        }.items():  # fmt: skip
            nursery.start_soon(one, words, expected)
    assert wrong == {}


async def test_monitor_shows_who_comes_and_why_not(commands: Commands, tmp_path: Path) -> None:
    """A connection that comes, one that goes, and one that speaks another protocol are lines."""
    url = f"ipc://{tmp_path}/s"
    with trio.fail_after(SECONDS):
        words = ("monitor", "--rep", "--listen", url, "--json", "--count", "3")
        async with commands.start(*words) as monitor:
            assert await monitor.url() == url
            async with trionng.Req0() as req:
                await req.dial(url, block=True)
                first = json.loads(await monitor.line())
            second = json.loads(await monitor.line())
            async with trionng.Sub0(dial=url):
                code, output, _ = await monitor.end()
    third = json.loads(output)
    assert code == 0
    assert [each["event"] for each in (first, second, third)] == [
        "connected",
        "disconnected",
        "rejected",
    ]
    assert (first["url"], first["reason"], third["reason"]) == (url, None, "protocol")
    with trio.fail_after(SECONDS):
        async with commands.start("monitor", "--req", url) as monitor:
            while "nothing listens there" not in await monitor.line("stderr"):
                pass
    waiting = ("monitor", "--req", url, "--timeout", "50ms", "-C", "1")
    assert (await commands.run(*waiting))[:2] == (3, "")


async def test_bench_has_a_row_for_each_kind(commands: Commands) -> None:
    """Each transport is measured, in a table and as JSON, and the other process ends."""
    code, output, errors = await commands.run(
        "bench", *TRANSPORTS, "--seconds", "20ms", "--json", "--size", "1k"
    )
    assert code == 0, errors
    tables = json.loads(output)["transports"]
    assert set(tables) == set(TRANSPORTS)
    for rows in tables.values():
        assert [row["what"] for row in rows] == [
            "request", "64 requests at once", "push, one by one", "push, in batches", "request",
        ]  # fmt: skip
        assert [row["size"] for row in rows] == [1024] * 4 + [1 << 20]
        assert all(row["rate"] > 0 for row in rows)
        assert all(0 < rows[i]["median_us"] <= rows[i]["p99_us"] for i in (0, 4))
    code, output, _ = await commands.run("bench", "inproc", "--seconds", "10ms")
    assert code == 0
    assert output.splitlines()[2].split() == ["inproc", "size", "rate", "data", "median", "p99"]
    assert len(output.splitlines()) == 8


async def test_info_says_what_build_info_does(commands: Commands) -> None:
    """`info` is trionng.build_info() in lines, and as JSON."""
    code, output, errors = await commands.run("info")
    assert (code, errors) == (0, "")
    assert str(trionng.build_info()) in output
    build = json.loads((await commands.run("info", "--json"))[1])
    assert build["nng_version"] == trionng.nng_version
    assert build["transports"] == list(trionng.build_info().transports)
    assert build["fixes"]["H1"]["active"] == trionng.build_info().fixes["H1"].active


async def test_cert_makes_what_tls_accepts(commands: Commands, tmp_path: Path) -> None:
    """The files serve a server and a client that verify each other; keys are for their owner."""
    made = await commands.run("cert", "-d", "new/certs", folder=str(tmp_path))
    assert (made[0], made[2]) == (0, "")
    folder = tmp_path / "new/certs"
    for name in ("server.pem", "client.pem"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    again = await commands.run("cert", "-d", str(folder))
    assert again == (1, "", f"trionng cert: {folder}/ca.pem is there; --force replaces it\n")
    ca, own = f"--cacert={folder}/ca.pem", "--server-name=localhost"
    url = "tls+tcp://127.0.0.1:0"
    with trio.fail_after(SECONDS):
        server = ("--rep", "--listen", url, "-D", "pong", "-E", f"{folder}/server.pem", ca, "-v")
        async with commands.start(*server) as rep:
            url = await rep.url()
            ask = ("--req", "--dial", url, "-D", "ping", ca, "--recv-timeout", "9")
            cert = f"--cert={folder}/client.pem"
            assert await commands.run(*ask, own, cert) == (0, "pong\n", "")
            code, _, errors = await commands.run(*ask, cert)
            assert (code, "give --server-name NAME" in errors) == (1, True)
            assert (await commands.run(*ask[:5], "-k", cert))[:2] == (0, "pong\n")
            assert (await commands.run(*ask, own))[0] == 1
    assert (await commands.run("cert", "-f", "-d", str(folder), "app.test"))[0] == 0
