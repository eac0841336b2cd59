"""The pynng half of test_pynng.py: a process of its own, because pynng brings its own libnng.

    python pynng_peer.py ROLE listen|dial URL COUNT

It prints one line when it is connected or listening (`ready URL`), then one line for each message
it receives, in hexadecimal. It sends COUNT messages, or receives and answers until it is killed.
"""

import sys
import threading

import pynng


def reply(socket: "pynng.Rep0 | pynng.Respondent0", _: int) -> None:
    """Answer every request or survey."""
    while True:
        request = socket.recv()
        say(request.hex())
        socket.send(b"reply to " + request)


def request(socket: pynng.Req0, count: int) -> None:
    """Ask, and print the replies."""
    for number in range(count):
        socket.send(message("request", number))
        say(socket.recv().hex())


def send(socket: "pynng.Pub0 | pynng.Push0", count: int) -> None:
    """Send to every peer, then wait to be killed: pynng has no linger."""
    for number in range(count):
        socket.send(message("other", number))
        socket.send(message("topic", number))
    threading.Event().wait()


def receive(socket: "pynng.Sub0 | pynng.Pull0", _: int) -> None:
    """Print whatever comes."""
    while True:
        say(socket.recv().hex())


def survey(socket: pynng.Surveyor0, count: int) -> None:
    """Send surveys, and print the first reply to each."""
    socket.survey_time = 60_000
    for number in range(count):
        socket.send(message("survey", number))
        say(socket.recv().hex())


def echo(socket: "pynng.Pair0 | pynng.Pair1 | pynng.Bus0", _: int) -> None:
    """Send back whatever comes, with a word in front."""
    while True:
        data = socket.recv()
        say(data.hex())
        socket.send(b"echo of " + data)


def message(kind: str, number: int) -> bytes:
    """Return a message that holds every byte value."""
    return f"{kind} {number} ".encode() + bytes(range(256))


def say(line: str) -> None:
    """Print a line that is read by the test at once."""
    print(line, flush=True)


ROLES = {
    "rep": (pynng.Rep0, reply),
    "req": (pynng.Req0, request),
    "pub": (lambda: pynng.Pub0(send_buffer_size=128), send),  # 16 by default, then it drops
    "sub": (lambda: pynng.Sub0(topics=b"topic"), receive),
    "push": (pynng.Push0, send),
    "pull": (pynng.Pull0, receive),
    "surveyor": (pynng.Surveyor0, survey),
    "respondent": (pynng.Respondent0, reply),
    "pair0": (pynng.Pair0, echo),
    "pair1": (pynng.Pair1, echo),
    "pair1 polyamorous": (lambda: pynng.Pair1(polyamorous=True), echo),
    "bus": (pynng.Bus0, echo),
}


def main(role: str, how: str, url: str, count: str) -> None:
    """Open the socket, connect it, and do what the role says."""
    make, act = ROLES[role]
    connected = threading.Event()
    with make() as socket:
        socket.add_post_pipe_connect_cb(lambda _: connected.set())
        if how == "listen":
            say(f"ready {socket.listen(url).url}")
        else:
            socket.dial(url, block=True)
            say(f"ready {url}")
        connected.wait()
        act(socket, int(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
