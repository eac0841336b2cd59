"""What the foundation's sockets promise one by one, on real transports."""

from __future__ import annotations

import array
import gc

import pytest
import trio
import trio.abc

import trionng
from tests.support.fixes import fix_state
from tests.support.ports import reserved_port
from trionng import exceptions


async def connected(listening, dialling, url="tcp://127.0.0.1:0"):
    listener = listening.listen(url)
    await dialling.dial(listener.url, block=True)
    await listening.wait_connected()


async def test_socket_base_class_cannot_be_instantiated():
    """`Socket` itself is no protocol, and says which classes are."""
    with pytest.raises(TypeError, match="Pair0"):
        trionng.Socket()


async def test_constructor_that_fails_closes_what_it_opened(recwarn):
    """A constructor that raises leaves nothing open behind it."""
    with pytest.raises(exceptions.NotSupported, match=r"nosuch://x.*'nosuch'"):
        trionng.Pull0(listen=["inproc://constructor-fails", "nosuch://x"])
    with trio.fail_after(60):
        while True:
            try:
                again = trionng.Pull0(listen="inproc://constructor-fails")
                break
            except exceptions.AddressInUse:
                await trio.sleep(0.001)
    await again.aclose()
    assert [each.message for each in recwarn if each.category is ResourceWarning] == []


async def test_plain_with_raises_and_names_async_with():
    """`with` on a Trio socket says `async with`."""
    async with trionng.Pair0() as pair:
        with pytest.raises(RuntimeError, match="async with"), pair:
            pass


async def test_constructor_listens_and_dials_several_urls():
    """`listen=` and `dial=` take one URL or several."""
    with trio.fail_after(60):
        async with (
            trionng.Pull0(listen=["inproc://several-a", "tcp://127.0.0.1:0"]) as pull,
            trionng.Push0(dial=[listener.url for listener in pull.listeners]) as push,
        ):
            await pull.wait_connected(2)
            assert len(push.dialers) == 2
            assert len(pull.pipes) == 2


@pytest.mark.parametrize(
    "data",
    [b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), array.array("i", [1, 2])],
    ids=lambda data: type(data).__name__,
)
async def test_send_accepts_any_contiguous_buffer(data):
    """Whatever has contiguous bytes can be sent."""
    with trio.fail_after(60):
        async with trionng.Pair0() as a, trionng.Pair0() as b:
            await connected(a, b, "inproc://buffers")
            await a.send(data)
            assert await b.recv() == bytes(memoryview(data).cast("B"))


async def test_send_str_raises_type_error_that_says_encode():
    """A str is refused with the way out, by every call that sends."""
    async with trionng.Push0() as push, trionng.Req0() as req:
        for call in (push.send, req.request):
            with pytest.raises(TypeError, match="encode"):
                await call("text")
        with pytest.raises(TypeError, match="encode"):
            push.send_nowait("text")
        with pytest.raises(TypeError, match="encode"):
            trionng.Message("text")


async def test_send_non_contiguous_buffer_raises_and_sends_nothing():
    """A strided view is refused before anything is sent."""
    with trio.fail_after(60):
        async with trionng.Pair0() as a, trionng.Pair0() as b:
            await connected(a, b, "inproc://strided")
            with pytest.raises((ValueError, BufferError)):
                await a.send(memoryview(b"abcdef")[::2])
            await a.send(b"after")
            assert await b.recv() == b"after"


async def test_missing_direction_raises_not_supported():
    """A protocol's missing direction raises NotSupported for every spelling of it."""
    async with trionng.Pub0() as pub, trionng.Pull0() as pull:
        for receive in (pub.recv, pub.recv_msg):
            with pytest.raises(exceptions.NotSupported, match="only sends"):
                await receive()
        for receive_now in (pub.recv_nowait, pub.recv_msg_nowait):
            with pytest.raises(exceptions.NotSupported):
                receive_now()
        with pytest.raises(exceptions.NotSupported, match="only receives"):
            await pull.send(b"")
        with pytest.raises(exceptions.NotSupported):
            await pull.send_msg(trionng.Message(b""))
        with pytest.raises(exceptions.NotSupported):
            pull.new_context()


async def test_call_a_protocol_cannot_do_honestly_is_not_supported():
    """Trying to send, and batches, exist where they are honest, and say so elsewhere."""
    async with trionng.Rep0() as rep, trionng.Pull0() as pull, trionng.Push0() as push:
        for socket in (rep, pull, trionng.Req0):
            instance = socket() if isinstance(socket, type) else socket
            with pytest.raises(exceptions.NotSupported, match="send_nowait"):
                instance.send_nowait(b"")
            with pytest.raises(exceptions.NotSupported, match="send_msg_nowait"):
                instance.send_msg_nowait(trionng.Message(b""))
            with pytest.raises(exceptions.NotSupported, match="send_many"):
                await instance.send_many([b""])
            await instance.aclose()
        with pytest.raises(exceptions.NotSupported, match="one request, or one answer"):
            await rep.recv_many(2)
        with pytest.raises(exceptions.NotSupported, match="only sends"):
            await push.recv_many(2)


async def test_nowait_calls_raise_try_again_which_is_would_block():
    """Calls that must not wait raise TryAgain, which Trio code catches as WouldBlock."""
    with trio.fail_after(60):
        async with trionng.Push0() as push, trionng.Pull0() as pull:
            with pytest.raises(trio.WouldBlock, match="send_nowait"):
                push.send_nowait(b"nobody")
            with pytest.raises(exceptions.TryAgain):
                pull.recv_nowait()
            await connected(pull, push)
            push.send_nowait(b"somebody")
            assert await pull.recv() == b"somebody"


async def test_send_msg_nowait_refused_gives_the_message_back():
    """A message that was not sent is still the caller's."""
    async with trionng.Push0() as push:
        message = trionng.Message(b"mine")
        with pytest.raises(exceptions.TryAgain):
            push.send_msg_nowait(message)
        assert message.bytes == b"mine"


async def test_message_sent_twice_raises_message_state_error():
    """A message can be sent once."""
    with trio.fail_after(60):
        async with trionng.Pair0() as a, trionng.Pair0() as b:
            await connected(a, b, "inproc://twice")
            message = trionng.Message(b"once")
            await a.send_msg(message)
            with pytest.raises(exceptions.MessageStateError):
                await a.send_msg(message)
            with pytest.raises(exceptions.MessageStateError):
                _ = message.body
            assert await b.recv() == b"once"


async def test_message_cancelled_send_gives_the_message_back():
    """A send that was cancelled gives its message back, and it can be sent again."""
    with trio.fail_after(60):
        async with trionng.Push0() as push, trionng.Pull0() as pull:
            message = trionng.Message(b"later")
            with trio.move_on_after(0.02) as scope:
                await push.send_msg(message)
            assert scope.cancelled_caught
            await connected(pull, push)
            await push.send_msg(message)
            assert await pull.recv() == b"later"


async def test_message_view_outlives_its_send_and_its_message():
    """A view of a body stays valid when the message has been sent and dropped."""
    with trio.fail_after(60):
        async with trionng.Pair0() as a, trionng.Pair0() as b:
            await connected(a, b, "inproc://views")
            await a.send(b"x" * 5000)
            message = await b.recv_msg()
            view = message.body
            await b.send_msg(message)
            del message
            assert await a.recv() == b"x" * 5000
            assert view == b"x" * 5000
            assert view.readonly


async def test_received_message_names_its_pipe():
    """`.pipe` of a received message is one of the socket's pipes and knows both ends."""
    with trio.fail_after(60):
        async with trionng.Rep0() as rep, trionng.Req0() as req:
            await connected(rep, req)
            await req.send(b"who")
            message = await rep.recv_msg()
            assert message.pipe in rep.pipes
            assert message.pipe.listener is rep.listeners[0]
            assert message.pipe.url == rep.listeners[0].url
            assert str(message.pipe.local_address) in message.pipe.url
            assert not message.pipe.closed
            message.pipe.close()
            while not message.pipe.closed:
                await trio.sleep(0.001)


@pytest.mark.parametrize(
    ("kind", "abc"),
    [
        (trionng.Pub0, trio.abc.SendChannel),
        (trionng.Push0, trio.abc.SendChannel),
        (trionng.Sub0, trio.abc.ReceiveChannel),
        (trionng.Pull0, trio.abc.ReceiveChannel),
        (trionng.SubContext, trio.abc.ReceiveChannel),
        (trionng.Pair0, trio.abc.Channel),
    ],
)
def test_sockets_are_the_trio_channels_they_can_be(kind, abc):
    """Sockets whose directions are independent are Trio channels."""
    assert issubclass(kind, abc)


@pytest.mark.parametrize("kind", [trionng.Req0, trionng.Rep0])
def test_request_and_reply_sockets_are_no_channels(kind):
    """Directions that depend on each other make no channel."""
    assert not issubclass(kind, (trio.abc.SendChannel, trio.abc.ReceiveChannel))


async def test_async_for_yields_messages_and_close_raises_closed():
    """`async for` receives until the socket is closed under it, which raises Closed."""
    got = []
    with trio.fail_after(60):
        async with trionng.Push0() as push, trionng.Pull0() as pull, trio.open_nursery() as nursery:
            await connected(pull, push)

            async def consume():
                with pytest.raises(trio.ClosedResourceError):  # noqa: PT012
                    async for data in pull:
                        got.append(data)
                        if data == b"2":
                            nursery.start_soon(pull.aclose)

            nursery.start_soon(consume)
            await push.send(b"1")
            await push.send(b"2")
    assert got == [b"1", b"2"]


async def test_sub_delivers_only_its_topics_and_none_after_unsubscribe():
    """A message of a topic is not delivered after its unsubscribe, whatever had been taken."""
    with trio.fail_after(60):
        async with trionng.Pub0() as pub, trionng.Sub0(topics=["a", b"b"]) as sub:
            await connected(pub, sub, "inproc://topics")
            with trio.move_on_after(0.01):
                await sub.recv()  # leaves a receive standing in nng, where C1 is mended
            for data in (b"a1", b"c1", b"b1"):
                await pub.send(data)
            while fix_state("C1").active and not sub._ctx.prefetched():
                await trio.sleep(0.001)
            sub.unsubscribe("a")
            assert await sub.recv() == b"b1"
            with pytest.raises(exceptions.NoEntry, match="unsubscribe"):
                sub.unsubscribe("a")


async def test_sub_contexts_have_topics_of_their_own():
    """Each Sub0 context gets what it subscribed to."""
    with trio.fail_after(60):
        async with trionng.Pub0() as pub, trionng.Sub0() as sub:
            one, two = sub.new_context(), sub.new_context()
            one.subscribe("1")
            two.subscribe("")
            await connected(pub, sub, "inproc://sub-contexts")
            await pub.send(b"1x")
            await pub.send(b"2x")
            assert await one.recv() == b"1x"
            assert [await two.recv(), await two.receive()] == [b"1x", b"2x"]
            await one.aclose()
            await one.aclose()
            with pytest.raises(exceptions.Closed):
                await one.recv()
            await two.aclose()


async def test_rep_contexts_answer_their_own_requests():
    """Each Rep0 context answers the request it received."""
    with trio.fail_after(60):
        async with trionng.Rep0() as rep, trionng.Req0() as req:
            await connected(rep, req)

            async def serve(context):
                async for request in context:
                    await context.send(b"re:" + request)

            async def ask(number):
                assert await req.request(b"%d" % number) == b"re:%d" % number

            async with trio.open_nursery() as servers:
                for _ in range(4):
                    servers.start_soon(serve, rep.new_context())
                async with trio.open_nursery() as clients:
                    for number in range(50):
                        clients.start_soon(ask, number)
                servers.cancel_scope.cancel()


async def test_rep_without_request_raises_bad_state():
    """A reply without a request, and a second reply to one, are the wrong order."""
    with trio.fail_after(60):
        async with trionng.Rep0() as rep, trionng.Req0() as req:
            await connected(rep, req)
            with pytest.raises(exceptions.BadState, match=r"Rep0\.send tcp://"):
                await rep.send(b"unasked")
            await req.send(b"ask")
            await rep.recv()
            await rep.send(b"answer")
            with pytest.raises(exceptions.BadState):
                await rep.send(b"again")
            assert await req.recv() == b"answer"
            with pytest.raises(exceptions.BadState):
                await req.recv()


async def test_req_without_resend_whose_peer_goes_raises_reset():
    """With `resend_time=-1` a lost peer ends the request with ConnectionReset."""
    with trio.fail_after(60):
        async with trionng.Req0(resend_time=-1) as req:
            rep = trionng.Rep0()
            await connected(rep, req)
            await req.send(b"ask")
            await rep.recv()
            await rep.aclose()
            with pytest.raises(trio.BrokenResourceError):
                await req.recv()


@pytest.mark.parametrize("kind", [trionng.Req0, trionng.Pair0, trionng.Push0])
async def test_cancelled_recv_on_closed_socket_prefers_closed(kind):
    """Every call on a closed socket raises Closed and names the call."""
    socket = kind()
    await socket.aclose()
    with pytest.raises(exceptions.Closed, match="send"):
        await socket.send(b"x")
    with pytest.raises(exceptions.Closed, match="listen"):
        socket.listen("inproc://never")
    with pytest.raises(exceptions.Closed, match="dial"):
        await socket.dial("inproc://never")
    with pytest.raises(exceptions.Closed, match="wait_connected"):
        await socket.wait_connected()
    with pytest.raises(exceptions.Closed):
        _ = socket.recv_max_size


async def test_dial_that_is_refused_raises_logs_or_retries_by_block(caplog):
    """`block` says whether a failed first attempt raises, is logged, or is only retried."""
    with trio.fail_after(60), reserved_port() as port:
        url = f"tcp://127.0.0.1:{port}"
        async with trionng.Pair0(reconnect_time_min=10, reconnect_time_max=20) as pair:
            with pytest.raises(ConnectionRefusedError, match=url):
                await pair.dial(url, block=True)
            assert pair.dialers == ()
            dialer = await pair.dial(url)
            (record,) = caplog.records
            assert url in record.getMessage()
            assert "\n" not in record.getMessage()
            assert record.exc_info is None
            assert pair.dialers == (dialer,)
            async with trionng.Pair0(listen=url) as late:
                await pair.wait_connected()
                await late.wait_connected()
                await dialer.aclose()  # its peer stays, whose end would be an outage to report
            assert pair.dialers == ()
            assert len(caplog.records) == 1
            background = await pair.dial(url, block=False)
            background.close()


async def test_dial_to_another_protocol_raises_protocol_error():
    """A peer of another protocol is refused, though the transport connected."""
    with trio.fail_after(60):
        async with trionng.Pull0(listen="tcp://127.0.0.1:0") as pull, trionng.Sub0() as sub:
            with pytest.raises(exceptions.ProtocolError, match="is no pub: a sub talks"):
                await sub.dial(pull.listeners[0].url, block=True)
            assert sub.dialers == ()


async def test_cancelled_dial_leaves_no_dialer_behind():
    """A dial to a server that accepts and stays silent can be cancelled, and nothing remains."""
    with trio.fail_after(60):
        silent = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = silent[0].socket.getsockname()[1]
        async with trionng.Pair0() as pair:
            with trio.move_on_after(0.05) as scope:
                await pair.dial(f"tcp://127.0.0.1:{port}", block=True)
            assert scope.cancelled_caught
            assert pair.dialers == ()
        await silent[0].aclose()


@pytest.mark.parametrize(
    ("option", "value", "bad", "error"),
    [
        ("recv_timeout", 250, 0.25, TypeError),
        ("recv_timeout", 0, -2, ValueError),
        ("send_timeout", 10, "10", TypeError),
        ("recv_max_size", 12345, -1, ValueError),
        ("recv_max_size", 0, 1.5, TypeError),
        ("recv_buffer_size", 7, 8193, ValueError),
        ("send_buffer_size", 9, -1, ValueError),
        ("reconnect_time_min", 50, 0.5, TypeError),
        ("reconnect_time_max", 500, None, TypeError),
        ("tcp_nodelay", False, 1, TypeError),
        ("tcp_keepalive", True, "yes", TypeError),
        ("name", "telescope", 3, TypeError),
    ],
)
async def test_option_round_trips_and_refuses_bad_values(option, value, bad, error):
    """An option reads back as it was set, and a bad value is refused with its name."""
    async with trionng.Pair0(**{option: value}) as pair:
        assert getattr(pair, option) == value
        with pytest.raises(error, match=option):
            setattr(pair, option, bad)
        assert getattr(pair, option) == value


async def test_float_timeout_suggests_the_integer_in_milliseconds():
    """A float for milliseconds is refused with the integer that was probably meant."""
    async with trionng.Pair0() as pair:
        with pytest.raises(TypeError, match="250"):
            pair.recv_timeout = 0.25  # type: ignore[assignment]


async def test_read_only_attributes_describe_the_protocol():
    """What nng says of a protocol can be read, and not written."""
    async with trionng.Req0() as req:
        assert (req.protocol, req.protocol_name) == (0x30, "req")
        assert (req.peer, req.peer_name) == (0x31, "rep")
        assert req.raw is False
        with pytest.raises(AttributeError, match="protocol"):
            req.protocol = 1


async def test_endpoint_options_can_be_given_per_endpoint():
    """An endpoint has limits of its own, different from the socket's."""
    with trio.fail_after(60):
        async with trionng.Pair0() as a, trionng.Pair0() as b:
            listener = a.listen("tcp://127.0.0.1:0", recv_max_size=100, tcp_nodelay=False)
            dialer = await b.dial(
                listener.url, block=True, recv_max_size=200, reconnect_time_min=30
            )
            assert (listener.recv_max_size, listener.tcp_nodelay) == (100, False)
            assert (dialer.recv_max_size, dialer.reconnect_time_min) == (200, 30)
            assert a.recv_max_size == 1024 * 1024
            assert str(listener.local_address) in listener.url
            await listener.aclose()
            with pytest.raises(exceptions.Closed):
                _ = listener.recv_max_size
            assert a.listeners == ()


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_linger_delivers_everything_accepted_before_aclose(transport, tmp_path):
    """With `linger`, 100 accepted messages arrive after an immediate close, every time."""
    for attempt in range(10):
        url = "tcp://127.0.0.1:0" if transport == "tcp" else f"ipc://{tmp_path}/{attempt}"
        with trio.fail_after(60):
            async with trionng.Pull0(recv_max_size=0) as pull:
                listener = pull.listen(url)
                async with trionng.Push0(send_buffer_size=128, linger=60) as push:
                    await push.dial(listener.url, block=True)
                    async with trio.open_nursery() as nursery:

                        async def take():
                            for number in range(100):
                                assert await pull.recv() == b"%d" % number

                        nursery.start_soon(take)
                        for number in range(100):
                            await push.send(b"%d" % number)
                        await push.aclose()


async def test_flush_while_no_peer_takes_the_messages_waits():
    """`flush` does not return while accepted messages wait for a peer."""
    with trio.fail_after(60):
        async with trionng.Push0(send_buffer_size=4) as push:
            for _ in range(4):
                await push.send(b"x")
            with trio.move_on_after(0.3) as scope:
                await push.flush()
            assert scope.cancelled_caught
            async with trionng.Pull0() as pull:
                await connected(pull, push)
                await push.flush()


async def test_wait_connected_with_enough_peers_returns_at_once():
    """`wait_connected(n)` returns when n peers are connected now."""
    with trio.fail_after(60):
        async with trionng.Pub0() as pub, trionng.Sub0() as one, trionng.Sub0() as two:
            await connected(pub, one)
            with trio.move_on_after(0.05) as scope:
                await pub.wait_connected(2)
            assert scope.cancelled_caught
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pub.wait_connected, 2)
                await two.dial(pub.listeners[0].url, block=True)
            await pub.wait_connected(2)


async def test_endpoint_names_its_socket_and_has_a_number():
    """A dialer and a listener know their socket, and have nng's number for them."""
    with trio.fail_after(60):
        async with trionng.Pair0() as a, trionng.Pair0() as b:
            await connected(a, b, "inproc://endpoint-socket")
            (listener,), (dialer,) = a.listeners, b.dialers
            assert (listener.socket, dialer.socket) == (a, b)
            assert listener.id > 0
            assert dialer.id > 0
        del a, b
        gc.collect()
        assert (listener.socket, dialer.socket) == (None, None)
