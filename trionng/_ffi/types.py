"""The opaque things of C, as types: outside this package they are only passed on."""

from __future__ import annotations

from collections.abc import Callable


class Pointer:
    """A pointer of C; false when it is NULL. There are no instances: cffi has its own."""

    def __bool__(self) -> bool:
        raise NotImplementedError


Msg = Pointer  # an nng_msg, which belongs to whoever holds it
Op = Pointer  # a tnng_op: a call that is parked

# What a submit answers: PARKED and the operation; or at once a code and a message.
SubmitResult = tuple[int, Pointer]
# What a finished operation comes to: 0 and what was received; or an error and what a send gives
# back.
Completion = tuple[int, Msg]
# What to do with a message that a task must not have.
Reclaim = Callable[[Msg], None]
