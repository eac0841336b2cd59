"""What pynng's documentation shows of its synchronous calls, in our words: the same script runs on
both libraries, and only the line that imports differs."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.processes import STRICT, environment
from trionng import blocking
from trionng.testing import new_url

PAIR = """
with sp.Pair0(listen=URL) as left, sp.Pair0(dial=URL) as right:
    left.send(b"are you there?")
    print(right.recv())
    right.send(b"I am")
    print(left.recv())
"""

POLYAMOROUS_PAIR = """
with sp.Pair1(polyamorous=True, listen=URL) as hub:
    with sp.Pair1(polyamorous=True, dial=URL) as a, sp.Pair1(polyamorous=True, dial=URL) as b:
        a.send(b"a")
        b.send(b"b")
        for message in sorted([hub.recv_msg(), hub.recv_msg()], key=lambda msg: msg.bytes):
            print(message.bytes)
            message.pipe.send(b"to " + message.bytes)
        print(a.recv(), b.recv())
"""

REQ_REP = """
with sp.Rep0(listen=URL) as server, sp.Req0(dial=URL) as client:
    client.send(b"6 * 7")
    print(server.recv())
    server.send(b"42")
    print(client.recv())
"""

PUB_SUB = """
with sp.Pub0(listen=URL) as news, sp.Sub0(dial=URL, recv_timeout=60_000) as sport:
    with sp.Sub0(dial=URL, recv_timeout=60_000) as all_of_it, sp.Sub0(dial=URL) as nothing:
        sport.subscribe(b"sport")
        all_of_it.subscribe(b"")
        all_of_it.recv_buffer_size = 2
        nothing.recv_timeout = 50
        while len(news.pipes) < 3:
            time.sleep(0.01)
        news.send(b"weather: rain")
        news.send(b"sport: 6:4")
        print(sport.recv())
        print(all_of_it.recv(), all_of_it.recv())
        try:
            nothing.recv()
        except sp.Timeout:
            print("not subscribed")
"""

PUSH_PULL = """
with sp.Push0(listen=URL) as work:
    with sp.Pull0(dial=URL, recv_timeout=60_000) as one, sp.Pull0(dial=URL) as two:
        two.recv_timeout = 60_000
        while len(work.pipes) < 2:
            time.sleep(0.01)
        work.send(b"a job")
        work.send(b"a job")
        print(one.recv(), two.recv())
        one.recv_timeout = 50
        try:
            one.recv()
        except sp.Timeout:
            print("one each")
"""

SURVEY = """
with sp.Surveyor0(listen=URL) as boss:
    with sp.Respondent0(dial=URL) as one, sp.Respondent0(dial=URL) as two:
        while len(boss.pipes) < 2:
            time.sleep(0.01)
        boss.survey_time = 400
        answers = []
        while len(answers) < 2:  # on a busy machine one can be too late
            answers.clear()
            boss.send(b"who comes?")
            for who, answer in ((one, b"I"), (two, b"not I")):
                assert who.recv() == b"who comes?"
                who.send(answer)
            while True:
                try:
                    answers.append(boss.recv())
                except sp.Timeout:
                    break
        print(sorted(answers))
"""

BUS = """
with sp.Bus0(listen=URL, recv_timeout=60_000) as hub:
    with sp.Bus0(dial=URL, recv_timeout=60_000) as a, sp.Bus0(dial=URL, recv_timeout=60_000) as b:
        while len(hub.pipes) < 2:
            time.sleep(0.01)
        hub.send(b"everybody")
        print(a.recv(), b.recv())
        a.send(b"only the hub")
        print(hub.recv())
        b.recv_timeout = 50
        try:
            b.recv()
        except sp.Timeout:
            print("not connected to a")
"""

CALLS = """
with sp.Pair0(recv_timeout=60_000, send_timeout=60_000) as ours, sp.Pair0() as theirs:
    ours.listen(URL)
    theirs.dial(URL, block=True)
    try:
        ours.recv(block=False)
    except sp.TryAgain:
        print("nothing yet")
    try:
        ours.recv_msg(block=False)
    except sp.TryAgain:
        print("nor a message")
    theirs.send_msg(sp.Message(b"a message"))
    print(ours.recv_msg().bytes)
    for sock in (ours, theirs):
        sock.close()
    try:
        ours.recv()
    except sp.Closed:
        print("closed")
with sp.Rep0(listen=URL) as rep, sp.Req0(dial=URL) as req:
    with req.new_context() as one, req.new_context() as two, rep.new_context() as answering:
        one.send(b"1")
        two.send(b"2")
        answering.send(answering.recv() + b"!")
        answering.send_msg(sp.Message(answering.recv_msg().bytes + b"!"))
        print(one.recv(), two.recv())
"""

ADDRESS = """
with sp.Pair0() as sock:
    listener = sock.listen(URL.replace("inproc", "abstract"))
    print(listener.local_address.family_as_str, listener.url == str(listener.local_address))
    print(sock.listen(URL).local_address.family_as_str)
"""

SCRIPTS = {
    "pair": PAIR,
    "polyamorous_pair": POLYAMOROUS_PAIR,
    "req_rep": REQ_REP,
    "pub_sub": PUB_SUB,
    "push_pull": PUSH_PULL,
    "survey": SURVEY,
    "bus": BUS,
    "calls": CALLS,
    "address": ADDRESS,
}
OUTPUTS = {
    "pair": "b'are you there?'\nb'I am'\n",
    "polyamorous_pair": "b'a'\nb'b'\nb'to a' b'to b'\n",
    "req_rep": "b'6 * 7'\nb'42'\n",
    "pub_sub": "b'sport: 6:4'\nb'weather: rain' b'sport: 6:4'\nnot subscribed\n",
    "push_pull": "b'a job' b'a job'\none each\n",
    "survey": "[b'I', b'not I']\n",
    "bus": "b'everybody' b'everybody'\nb'only the hub'\nnot connected to a\n",
    "calls": "nothing yet\nnor a message\nb'a message'\nclosed\nb'1!' b'2!'\n",
    "address": "abstract True\ninproc\n",
}


@pytest.mark.parametrize("library", ["trionng.blocking", "pynng"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_script_in_the_shape_of_pynng_runs_on_both_libraries(name, library, tmp_path):
    """A synchronous script for pynng runs on trionng.blocking when its import line is changed."""
    if library == "pynng":
        pytest.importorskip("pynng", reason="pynng is not installed")
    program = tmp_path / "script.py"
    url = new_url("inproc", tmp_path)
    program.write_text(f"import {library} as sp\nimport time\nURL = {url!r}\n{SCRIPTS[name]}")

    done = subprocess.run(
        [sys.executable, *(STRICT if library != "pynng" else ()), str(program)],
        capture_output=True,
        text=True,
        timeout=90,
        env=environment(),
    )

    assert (done.returncode, done.stdout) == (0, OUTPUTS[name]), done.stderr
    assert not re.search("Traceback|Warning", done.stderr), done.stderr


def test_topic_with_wide_letters_matches_to_its_end():
    """A str topic counts in its encoded bytes, all of them."""
    url = new_url()
    with blocking.Pub0(listen=url) as pub, blocking.Sub0(dial=url, topics="größe") as sub:
        pub.wait_connected(timeout=60)
        pub.send("größer: nein".encode())
        pub.send("größ".encode())
        pub.send("größte".encode())
        pub.send("größe: 5".encode())

        assert sub.recv(timeout=60) == "größer: nein".encode()
        assert sub.recv(timeout=60) == "größe: 5".encode()
