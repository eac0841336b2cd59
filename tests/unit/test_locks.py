"""Every lock that a task thread of nng takes is taken in the right way (docs/design/wakeups.md).

A task thread may have suppressed wake-ups of the others. If it blocks on a lock whose holder waits
for one of them, all wait for ever. So a lock that is held in calls of nng is taken with tnng_lock,
which sends the wake-ups first. The other locks are leaves: while one is held, the shim calls
nothing of nng but what waits for no lock of nng that a waiting thread holds.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.c_locks import Lock, Shim
from tests.support.processes import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# Calls of nng that wait for no other thread.
HARMLESS = re.compile(
    r"nng_(?:msg_\w+|strfree|pipe_id|pipe_dialer|pipe_listener|stat_\w+|stats_free"
    # Fields of an aio that no operation uses, and its memory.
    r"|aio_(?:alloc|get_msg|set_msg|get_output|set_output|set_timeout|result)"
    # A getter: it takes locks that nng holds for a few instructions.
    r"|pipe_get_\w+)"
)
# Locks that are held in other calls of nng: how each is taken. Those without tnng_lock are never
# taken by a task thread, with the reason.
HELD_IN_NNG = {
    "ctx.lock": "tnng_lock",
    "pool_ctx.lock": "tnng_lock",
    "contexts.lock": "tnng_lock",
    "sends.survey_lock": "tnng_lock",
    "endpoints.lock": "held by helper threads while they close",
    "contexts.close_lock": "the same: a pool is closed by its caller, or by a helper thread",
    "fixes/ws_listener.c: closing": "nng calls the hook on its threads for other transports only",
    "perf/wakeups.c: mutex": "is tnng_lock itself",
}


def wrong_locks(root: Path) -> list[str]:
    """Return the locks that are taken in another way than the table says, or that it lacks."""
    shim = Shim(root)
    task = {id(each) for each in shim.on_task_threads()}
    wrong = []
    for name, lock in sorted(shim.locks.items()):
        how = HELD_IN_NNG.get(name)
        if how == "tnng_lock":
            wrong += [f"{name}: taken with {each}" for each in lock.takers - {"tnng_lock"}]
        elif how is None and any(id(each) in task for each in lock.functions):
            wrong += [f"{name}: held in {each}" for each in sorted(harmful(lock))]
    return wrong


def harmful(lock: Lock) -> set[str]:
    return {each for each in lock.within if not HARMLESS.fullmatch(each)}


def test_lock_held_in_calls_of_nng_is_taken_by_tnng_lock():
    """Each lock of a task thread is a leaf, or is taken with tnng_lock."""
    assert wrong_locks(ROOT) == []


def test_table_of_locks_names_those_held_in_calls_of_nng():
    """A lock that is not held in calls of nng any more leaves the table."""
    locks = Shim(ROOT).locks
    held = {name for name in HELD_IN_NNG if name in locks and harmful(locks[name])}

    assert held | {"perf/wakeups.c: mutex"} == set(HELD_IN_NNG)


SOCKET = """
/* [nng] A callback. */
static void socket_on_received(void *arg)
{
    pthread_mutex_lock(&socket->lock);
    BODY
    pthread_mutex_unlock(&socket->lock);
    nng_send_aio(socket, aio);
}

static void socket_submit(void) { nng_recv_aio(socket, aio); }

static const kind hooks = {.dispatch = socket_submit};
"""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("count++;", []),
        ("nng_msg_free(msg);", []),
        ("nng_recv_aio(socket, aio);", ["socket.lock: held in nng_recv_aio"]),
        ("socket_submit();", ["socket.lock: held in nng_recv_aio"]),
        ("socket->hooks->dispatch();", ["socket.lock: held in nng_recv_aio"]),
        ("if (x) { pthread_mutex_unlock(&socket->lock); return nng_recv_aio(socket, aio); }", []),
        (
            "if (x) { pthread_mutex_unlock(&socket->lock); return; } nng_recv_aio(socket, aio);",
            ["socket.lock: held in nng_recv_aio"],
        ),
        ("tnng_lock(&ctx->lock);", []),
        ("pthread_mutex_lock(&ctx->lock);", ["ctx.lock: taken with pthread_mutex_lock"]),
    ],
)
def test_lock_that_is_taken_wrongly_is_found(tmp_path: Path, body: str, found: list[str]):
    """The reading of the sources sees calls through functions, pointers, and after branches."""
    file = tmp_path / "nng" / "sock" / "socket.c"
    file.parent.mkdir(parents=True)
    file.write_text(SOCKET.replace("BODY", body), encoding="utf-8")

    assert wrong_locks(tmp_path) == found
