"""Types of the pointers of C; modules outside this package only pass them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Pointer:
    """A pointer of C; false when it is NULL. There are no instances: cffi has its own."""

    def __bool__(self) -> bool:
        raise NotImplementedError


Chars = bytes | Pointer  # what C reads; cffi takes both
Msg = Pointer  # an nng_msg; the holder of the pointer owns it
Op = Pointer  # a tnng_op: a call that is parked

# The result of a submit: PARKED and the operation, or a code and a message.
SubmitResult = tuple[int, Pointer]
# The result of an operation: 0 and the received message, or an error and the message not sent.
Completion = tuple[int, Msg]
# Takes a message that its task must not have.
Reclaim = Callable[[Msg], None]


class Origin(Protocol):
    """Where a message came from: it can become the next one there again."""

    def unget(self, msg: Msg) -> None:
        """Take a message back."""
