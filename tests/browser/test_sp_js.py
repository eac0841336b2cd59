"""sp.js, in Node and in Chromium: what it promises to a page, with sockets of trionng."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

import trionng
from tests.support.certificates import identity, server
from tests.support.javascript import Node
from tests.support.ports import reserved_port

if TYPE_CHECKING:
    from tests.support.javascript import Engine

SECONDS = 120
URL = "ws://127.0.0.1:0/sp"
COUNT = 10_000


async def upper(request: bytes) -> bytes:
    return request.upper()


async def test_requests_in_parallel_get_each_its_own_reply(engine: Engine):
    """Thousands of requests wait at once, and each gets the reply that is its own."""
    script = """
        const req = new sp.Req(url);
        const texts = Array.from({ length: 2000 }, (_, number) => `request ${number}`);
        const replies = await Promise.all(texts.map((each) => req.request(each)));
        await req.close();
        return replies.every((each, at) => each.text() === texts[at].toUpperCase());
    """
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, upper, listen=URL)
            assert await engine.run(script, url=service.url) is True
            await service.aclose()


async def test_messages_of_a_pair_arrive_in_order(engine: Engine):
    """10 000 messages each way arrive in order; of a Pair0 in Node, of a Pair1 in Chromium."""
    script = """
        const numbers = [];
        await new Promise((done) => {
            const pair = new sp.Pair(url, { version, onmessage });
            function onmessage(message) {
                if (numbers.push(message.json()) === count) pair.close().then(done);
            }
            for (let number = 0; number < count; number++) pair.send(`${number}`);
        });
        return numbers.every((number, at) => number === at);
    """
    sent = [b"%d" % number for number in range(COUNT)]
    version = 0 if isinstance(engine, Node) else 1
    with trio.fail_after(SECONDS):
        async with (trionng.Pair1 if version else trionng.Pair0)() as pair:
            url = pair.listen(URL).url

            async def echo() -> None:
                while len(received) < COUNT:
                    received.extend(await pair.recv_many(COUNT))
                assert await pair.send_many(sent) == COUNT

            received: list[bytes] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(echo)
                assert await engine.run(script, url=url, version=version, count=COUNT) is True

    assert received == sent


async def test_message_of_one_mebibyte_comes_back_unchanged(engine: Engine):
    """`recv_max_size` counts what the page sent, not nng's header before it."""
    script = """
        const sent = Uint8Array.from({ length: 2 ** 20 }, (_, at) => (at * 31) >> 3);
        const req = new sp.Req(url);
        const reply = await req.request(sent);
        await req.close();
        return reply.length === sent.length && reply.every((byte, at) => byte === sent[at]);
    """

    async def same(request: bytes) -> bytes:
        return request

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, same, listen=URL)
            assert await engine.run(script, url=service.url) is True
            await service.aclose()


async def test_subscriber_gets_what_begins_with_its_topics(engine: Engine):
    """Topics are texts or bytes, and can change between two messages."""
    script = """
        const got = [];
        await new Promise((done) => {
            const topics = ["tea ", "switch", new Uint8Array([255])];
            const sub = new sp.Sub(url, { topics, onmessage });
            function onmessage(message) {
                got.push(message.text());
                if (message.text() === "switch") {
                    got.push(sub.unsubscribe("tea "), sub.unsubscribe("other"));
                    for (const topic of ["salt", new TextEncoder().encode("end").buffer])
                        sub.subscribe(topic);
                }
                if (message.text() === "end") sub.close().then(done);
            }
        });
        return got;
    """
    messages = [b"tea 1", b"teapot", b"t", b"", b"\xff\0", b"switch", b"tea 2", b"salt 3", b"end"]
    with trio.fail_after(SECONDS):
        async with trionng.Pub0() as pub, trio.open_nursery() as nursery:
            url = pub.listen(URL).url

            async def publish() -> None:
                await pub.wait_connected()
                for message in messages:
                    await pub.send(message)

            nursery.start_soon(publish)
            got = await engine.run(script, url=url)

    assert got == ["tea 1", "\ufffd\0", "switch", True, False, "salt 3", "end"]


async def test_respondent_behind_a_forwarder_answers_a_survey(engine: Engine):
    """Its answer takes the way back that nng's header says; undefined is no answer."""
    script = """
        return await new Promise((done) => {
            const respondent = new sp.Respondent(url, {
                onmessage: async (survey) => {
                    if (survey.text() === "silence, please") return undefined;
                    if (survey.text() === "end") setTimeout(() => respondent.close().then(done));
                    return `${survey.text()} I`;
                },
            });
        });
    """
    with trio.fail_after(SECONDS):
        async with (
            trionng.Surveyor0(listen="inproc://surveys-of-pages") as surveyor,
            trionng.Respondent0(raw=True, dial="inproc://surveys-of-pages") as there,
            trionng.Surveyor0(raw=True) as back,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(trionng.forward, there, back)

            async def first_answer(survey: bytes, seconds: float) -> bytes | None:
                async with surveyor.survey(survey, timeout=seconds) as replies:
                    async for reply in replies:
                        return reply
                return None

            async with trio.open_nursery() as page:
                page.start_soon(partial(engine.run, script, url=back.listen(URL).url))
                await back.wait_connected()
                await surveyor.wait_connected()
                answer = await first_answer(b"who?", SECONDS)
                nothing = await first_answer(b"silence, please", 0.05)
                await first_answer(b"end", SECONDS)
            nursery.cancel_scope.cancel()

    assert (answer, nothing) == (b"who? I", None)


async def test_request_that_is_given_up_rejects_with_the_reason(engine: Engine):
    """A deadline, an abort (twice), an abort before; late replies disturb no other request."""
    script = """
        const req = new sp.Req(url);
        const found = [(await req.request("hello")).text()];
        const name = (request) => request.then(() => "replied", (error) => error.name);
        const controller = new AbortController();
        const { signal } = controller;
        const late = req.request("late", { signal });
        found.push(await name(req.request("late", { signal: AbortSignal.timeout(20) })));
        controller.abort(new RangeError("changed my mind"));
        controller.abort();
        found.push(await name(late), await name(req.request("never", { signal })));
        found.push((await req.request("release")).text(), (await req.request("more")).text());
        await req.close();
        return found;
    """
    seen, release = [], trio.Event()

    async def handler(request: bytes) -> bytes:
        seen.append(request)
        if request == b"release":
            release.set()
        if request == b"late":
            await release.wait()
        return request.upper()

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=URL)
            found = await engine.run(script, url=service.url)
            await service.aclose()

    assert found == ["HELLO", "TimeoutError", "RangeError", "RangeError", "RELEASE", "MORE"]
    assert seen == [b"hello", b"late", b"late", b"release", b"more"]


async def test_page_connects_again_when_the_server_restarts(engine: Engine):
    """A request whose connection ends rejects; what waits for a connection goes out on the next."""
    script = """
        const news = [], states = [];
        const options = { reconnectTimeMin: 5, reconnectTimeMax: 40 };
        const req = new sp.Req(`${url}/rep`, options);
        let told;
        const onmessage = (message) => news.push(message.text()) && told?.();
        const onstate = ({ connected }) => states.push(connected);
        const sub = new sp.Sub(`${url}/pub`, { topics: "", onmessage, onstate, ...options });
        const replies = [(await req.request("first")).text()];
        while (!news.length) await new Promise((done) => (told = done));
        replies.push(await req.request("restart").then(String, (error) => error.name));
        const waiting = ["second", "third"].map((each) => req.request(each));
        for (const each of waiting) replies.push((await each).text());
        while (!news.includes("run 2")) await new Promise((done) => (told = done));
        await Promise.all([req.close(), sub.close()]);
        return { replies, news: [...new Set(news)], states: [states[0], states.at(-1)] };
    """

    async def run(number: int, url: str) -> None:
        """Be the server until a request wants it to restart."""
        restart = trio.Event()

        async def handler(request: bytes) -> bytes:
            if request == b"restart":
                restart.set()
                await trio.sleep_forever()
            return request.upper()

        async with trionng.Pub0(listen=f"{url}/pub") as pub, trio.open_nursery() as server:
            await trionng.serve_rep(server, handler, listen=f"{url}/rep")
            server.start_soon(publish, pub, b"run %d" % number)
            await restart.wait()
            server.cancel_scope.cancel()

    async def publish(pub: trionng.Pub0, message: bytes) -> None:
        while True:
            await pub.send(message)
            await trio.sleep(0.01)

    async def restart(url: str) -> None:
        for number in (1, 2):
            await run(number, url)

    with trio.fail_after(SECONDS), reserved_port() as port:
        url = f"ws://127.0.0.1:{port}"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(restart, url)
            found = await engine.run(script, url=url)
            nursery.cancel_scope.cancel()

    assert found == {
        "replies": ["FIRST", "NetworkError", "SECOND", "THIRD"],
        "news": ["run 1", "run 2"],
        "states": [True, True],
    }


async def test_request_over_wss_is_answered(engine: Engine):
    """The server has a certificate that the page trusts."""
    script = """
        const req = new sp.Req(url);
        const reply = await req.request("secret");
        await req.close();
        return reply.text();
    """
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, upper, listen="wss4://localhost:0/sp", tls_config=server(identity())
            )
            url = service.url.replace("wss4", "wss")
            assert await engine.run(script, url=url) == "SECRET"
            await service.aclose()


async def test_close_delivers_what_was_sent_and_rejects_the_rest(engine: Engine):
    """A second close is the same, and a send after it is refused."""
    script = """
        const name = (call) => call.then(() => "done", (error) => error.name);
        const push = new sp.Push(url);
        const chunk = new Uint8Array(100_000);
        for (let number = 0; number < count; number++) await push.send(chunk.fill(number));
        const closing = push.close();
        const found = [push.close() === closing, await name(push.send("more"))];
        await closing;
        const absent = new sp.Req(url.replace("sp", "absent"));
        const waiting = [name(absent.request("hello")), name(absent.request("hello"))];
        await absent.close();
        return [...found, ...(await Promise.all(waiting))];
    """
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, trio.open_nursery() as nursery:
            received: list[bytes] = []

            async def receive() -> None:
                async for message in pull:
                    received.append(message)

            nursery.start_soon(receive)
            found = await engine.run(script, url=pull.listen(URL).url, count=40)
            while len(received) < 40:
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    assert found == [True, "InvalidStateError", "InvalidStateError", "InvalidStateError"]
    assert received == [bytes([number]) * 100_000 for number in range(40)]
