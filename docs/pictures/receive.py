"""The life of one receive: which thread does what, from `await sock.recv()` to its bytes."""

from __future__ import annotations

from svg import Picture

TASK, LOOP, SHIM, NNG, PEER = 95, 265, 435, 605, 775
STEPS = (
    (TASK, SHIM, "recv(): is a message there already?", "If so, take it: no wait, no thread."),
    (TASK, SHIM, "submit a receive operation", ""),
    (TASK, LOOP, "park: other tasks run", "Cancelled here? The operation leaves; nothing is lost."),
    (PEER, NNG, "bytes arrive", ""),
    (NNG, SHIM, "callback: match the operation", "C only; never waits for the GIL."),
    (SHIM, LOOP, "notify the wake-up descriptor", "Once, while the queue is not empty."),
    (LOOP, TASK, "one waiting task collects", "It reschedules the tasks of all that is complete."),
    (SHIM, TASK, "recv() returns the bytes", ""),
)


def draw() -> Picture:
    """Draw the lanes, and an arrow a step."""
    top, pitch = 78, 52
    bottom = top + pitch * len(STEPS) + 6
    picture = Picture(
        862, bottom + 12, "The life of one receive: task, Trio's loop, shim, nng, peer"
    )
    for x, lines, look in (
        (TASK, ("your task", "Python"), "main"),
        (LOOP, ("Trio's loop", "the same thread"), "box"),
        (SHIM, ("completion queue", "C, of this Trio run"), "box"),
        (NNG, ("nng's threads", "C, never run Python"), "box"),
        (PEER, ("peer", "another process"), "box"),
    ):
        picture.line((x, 54), (x, bottom), look="faint")
        picture.box(x - 74, 10, 148, 44, *lines, look=look)
    for number, (start, end, what, note) in enumerate(STEPS):
        y = top + pitch * number + 16
        picture.arrow((start, y), (end, y))
        left = min(start, end) + 8
        picture.text(left, y - 6, f"{number + 1}. {what}", at="start", look="small strong")
        picture.text(left, y + 15, note, at="start", look="small")
    return picture
