"""sp.js in Node: servers that say nonsense or hang up, and a WebSocket that is not real."""

from __future__ import annotations

import pytest
import trio

from tests.support.javascript import Node
from tests.support.websocket import Say, serve_websocket

SECONDS = 120

# Ends when the connection has ended for the first time, and says with which code.
FIRST_END = """
    return await new Promise((done) => {
        const onstate = ({ connected, code }) => connected || socket.close().then(() => done(code));
        const onmessage = () => {};
        const socket = new sp[kind](url, { onstate, onmessage, topics: "", version: 1 });
        socket.request?.("hello").catch(() => {});
    });
"""


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("Sub", "text"),
        ("Push", "text"),
        ("Req", b"\x80\0\0"),
        ("Pair", b"\0\0\0"),
        ("Respondent", b"\x80\0"),
        ("Respondent", b"\0\0\0\1\0\0\0\2"),
    ],
)
async def test_message_that_is_not_nng_ends_the_connection(kind: str, message: bytes | str):
    """A text frame, and a message without the whole header, is refused with code 4000."""

    async def talk(_: bytes, say: Say) -> None:
        await say(message)

    with trio.fail_after(SECONDS):
        async with serve_websocket(talk) as url:
            assert await Node().run(FIRST_END, url=url, kind=kind) == 4000


async def test_server_without_the_protocol_is_no_connection():
    """A server that speaks WebSocket, and not nng, is not talked to."""
    heard = []

    async def talk(message: bytes, say: Say) -> None:
        heard.append(message)

    with trio.fail_after(SECONDS):
        async with serve_websocket(talk, protocol="") as url:
            assert await Node().run(FIRST_END, url=url, kind="Req") == 1006

    assert heard == [b""]


async def test_reply_to_no_request_is_ignored():
    """An unknown number, a reply that comes twice: the one request gets the one reply."""
    script = """
        const req = new sp.Req(url);
        const replies = [];
        for (const each of ["one", "two"]) replies.push((await req.request(each)).text());
        await req.close();
        return replies;
    """

    async def talk(request: bytes, say: Say) -> None:
        if request:
            for reply in (b"\x80\0\0\0no", request, request[:4] + b"twice"):
                await say(reply)

    with trio.fail_after(SECONDS):
        async with serve_websocket(talk) as url:
            assert await Node().run(script, url=url) == ["one", "two"]


async def test_connection_that_ends_rejects_its_requests_only():
    """What was not sent yet goes out on the next connection."""
    script = """
        const req = new sp.Req(url, { reconnectTimeMin: 1, reconnectTimeMax: 2 });
        const name = (call) => call.then((reply) => reply.text(), (error) => error.message);
        const asked = ["hang up", "hang up"].map((each) => name(req.request(each)));
        const found = await Promise.all(asked);
        found.push(await name(req.request("hello")));
        await req.close();
        return found;
    """

    async def talk(request: bytes, say: Say) -> None:
        if request.endswith(b"hang up"):
            raise StopAsyncIteration
        if request:
            await say(request)

    with trio.fail_after(SECONDS):
        async with serve_websocket(talk) as url:
            found = await Node().run(script, url=url)

    assert found == [f"{url}: the connection ended (1006)"] * 2 + ["hello"]


# A WebSocket without a network; `answer` decides what becomes of a connection. Timers run at once,
# but for the ten seconds of an attempt, which run when `tooLate()` says so.
FAKE = """
    let now = 0, answer, tooLate;
    const waits = [];
    const sent = [];
    performance.now = () => now;
    globalThis.setTimeout = (call, wait) => {
        if (wait === 10000) return void (tooLate = call);
        waits.push(wait);
        queueMicrotask(call);
    };
    globalThis.WebSocket = class {
        static OPEN = 1;
        static CLOSED = 3;
        readyState = 0;
        bufferedAmount = 0;
        url = "ws://fake/";
        constructor() { queueMicrotask(() => answer(this)); }
        open() { this.readyState = 1; this.onopen(); }
        end() { this.readyState = 3; this.onclose?.({ code: 1006, reason: "" }); }
        close() { this.end(); }
        send(frame) { sent.push(new TextDecoder().decode(frame)); }
    };
"""


async def test_pause_doubles_up_to_a_bound_and_begins_anew():
    """Half of it is random. A connection that ends at once is a failure, one that lasts is not."""
    script = """
        const connections = [
            ...Array(12).fill((ws) => ws.end()),
            ...[20000, 5, 5, 150].map((time) => (ws) => (ws.open(), (now += time), ws.end())),
        ];
        await new Promise((done) => {
            answer = (ws) => (connections.length ? connections.shift()(ws) : done());
            new sp.Sub("ws://fake/");
        });
        return waits;
    """
    with trio.fail_after(SECONDS):
        waits = await Node().run(FAKE + script)

    bounds = [100, 200, 400, 800, 1600, 3200, 6400, *[10000] * 5, 100, 200, 400, 800]
    assert len(waits) == len(bounds)
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))


async def test_send_waits_while_the_browser_holds_much_unsent():
    """Sends go out in order, when less than a mebibyte waits in the browser."""
    script = """
        const push = new sp.Push("ws://fake/");
        const ws = await new Promise((done) => (answer = done));
        ws.bufferedAmount = 2 ** 20;
        ws.open();
        await push.send("a");
        ws.bufferedAmount += 1;
        const calls = ["b", "c"].map((each) => push.send(each));
        const before = [...sent];
        ws.bufferedAmount = 0;
        await Promise.all(calls);
        return { before, sent, waited: waits.length > 0 };
    """
    with trio.fail_after(SECONDS):
        found = await Node().run(FAKE + script)

    assert found == {"before": ["a"], "sent": ["a", "b", "c"], "waited": True}


async def test_send_that_is_aborted_unsent_never_goes_out():
    """Not even when another call sends in the same moment; what cannot be sent is a TypeError."""
    script = """
        const name = (call) => call.then(() => "sent", (error) => error.name);
        const push = new sp.Push("ws://fake/");
        const ws = await new Promise((done) => (answer = done));
        const controller = new AbortController();
        const first = name(push.send("never", controller));
        ws.readyState = 1;
        controller.abort();
        const found = [await name(push.send("b")), await first];
        for (const each of [1, undefined, null, {}, []]) found.push(await name(push.send(each)));
        const bytes = new Uint8Array([120, 97, 98, 99, 120]);
        const views = [bytes.subarray(1, 3), new DataView(bytes.buffer, 1, 3)];
        for (const each of ["", bytes.buffer, ...views]) await push.send(each);
        return { found, sent };
    """
    with trio.fail_after(SECONDS):
        found = await Node().run(FAKE + script)

    assert found["found"] == ["sent", "AbortError", *["TypeError"] * 5]
    assert found["sent"] == ["b", "", "xabcx", "ab", "abc"]


async def test_server_that_does_not_answer_is_given_up():
    """An attempt ends after 10 s, a close after 5 s."""
    script = """
        const codes = [];
        const push = new sp.Push("ws://fake/", { onstate: ({ code }) => codes.push(code) });
        const first = await new Promise((done) => (answer = done));
        tooLate();
        const second = await new Promise((done) => (answer = done));
        second.open();
        second.close = () => {};
        await push.close();
        const wait = waits.at(-1);
        const other = new sp.Push("ws://fake/");
        (await new Promise((done) => (answer = done))).open();
        await other.close();
        return { codes, ended: first.readyState, waits: [wait, waits.at(-1)] };
    """
    with trio.fail_after(SECONDS):
        found = await Node().run(FAKE + script)

    assert found == {"codes": [4001, None], "ended": 3, "waits": [5000, 0]}
