"""The exception table: numbers, second parents, and a mapper that accepts everything."""

from __future__ import annotations

import copy
import errno
import os
import pickle
import re
import runpy
from pathlib import Path

import pytest
import trio

import trionng
from trionng import blocking, exceptions
from trionng._base import errors
from trionng._base.errors import NNGException, error_for

# class, nng code, .errno, what it is besides an NNGException
TABLE = [
    ("Interrupted", 1, errno.EINTR, [InterruptedError]),
    ("NoMemory", 2, 2, [MemoryError]),
    ("InvalidOperation", 3, 3, [ValueError]),
    ("Busy", 4, 4, [trio.BusyResourceError]),
    ("Timeout", 5, errno.ETIMEDOUT, [TimeoutError]),
    ("ConnectionRefused", 6, errno.ECONNREFUSED, [ConnectionRefusedError]),
    ("Closed", 7, 7, [trio.ClosedResourceError]),
    ("TryAgain", 8, 8, [trio.WouldBlock]),
    ("NotSupported", 9, 9, [NotImplementedError]),
    ("AddressInUse", 10, errno.EADDRINUSE, [OSError]),
    ("BadState", 11, 11, []),
    ("NoEntry", 12, errno.ENOENT, [FileNotFoundError]),
    ("ProtocolError", 13, 13, []),
    ("DestinationUnreachable", 14, errno.EHOSTUNREACH, [OSError]),
    ("AddressInvalid", 15, 15, [ValueError]),
    ("PermissionDenied", 16, errno.EPERM, [PermissionError]),
    ("MessageTooLarge", 17, 17, []),
    (
        "ConnectionAborted",
        18,
        errno.ECONNABORTED,
        [ConnectionAbortedError, trio.BrokenResourceError],
    ),
    ("ConnectionReset", 19, errno.ECONNRESET, [ConnectionResetError, trio.BrokenResourceError]),
    ("Canceled", 20, 20, []),
    ("OutOfFiles", 21, errno.EMFILE, [OSError]),
    ("OutOfSpace", 22, errno.ENOSPC, [OSError]),
    ("AlreadyExists", 23, errno.EEXIST, [FileExistsError]),
    ("ReadOnly", 24, 24, [AttributeError]),
    ("WriteOnly", 25, 25, [AttributeError]),
    ("CryptoError", 26, 26, []),
    ("AuthenticationError", 27, 27, []),
    ("NoArgument", 28, 28, []),
    ("Ambiguous", 29, 29, []),
    ("BadType", 30, 30, []),
    ("ConnectionShutdown", 31, errno.EPIPE, [BrokenPipeError, trio.BrokenResourceError]),
    ("Internal", 1000, 1000, []),
]
WITHOUT_CODE = ["EventsLost", "MessageStateError", "UsedAfterFork"]
# An operating system or transport error with a number no system has, or none.
FLAGGED = [0x10000000, 0x1FFFFFFF, 0x20000000, 0x20000007, 0x30000001]
ALL_NAMES = (
    [row[0] for row in TABLE] + WITHOUT_CODE + ["OutOfThreads", "Superseded", "NNGException"]
)
SECOND_PARENTS = {parent for row in TABLE for parent in row[3]} | {RuntimeError}  # type: ignore[attr-defined]

ROOT = Path(__file__).resolve().parents[2]

by_row = pytest.mark.parametrize(
    ("name", "code", "number", "parents"), TABLE, ids=[row[0] for row in TABLE]
)


@by_row
def test_error_for_every_code_has_class_and_parents(name, code, number, parents):
    """Each code gives its own class, which is also what Python and Trio users already catch."""
    error = error_for(code, "dial", "tcp://127.0.0.1:9")

    assert type(error) is getattr(exceptions, name)
    assert (error.code, error.errno, error.url) == (code, number, "tcp://127.0.0.1:9")
    for parent in parents:
        assert isinstance(error, parent)
    for foreign in SECOND_PARENTS - set(parents):
        if not any(issubclass(parent, foreign) for parent in parents):
            assert not isinstance(error, foreign)


@by_row
def test_error_for_every_code_says_what_was_attempted(name, code, number, parents):
    """The text names the operation, the URL and the reason, without an errno prefix."""
    error = error_for(code, "dial", "tcp://127.0.0.1:9")

    assert re.fullmatch(r"dial tcp://127\.0\.0\.1:9: \w[\w ]+", str(error))


@by_row
def test_exception_pickled_or_copied_stays_the_same(name, code, number, parents):
    """An exception crosses a process border with its text, code, errno and URL."""
    error = error_for(code, "send", "ipc:///x")

    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(same) is type(error)
        assert str(same) == str(error)
        assert (same.code, same.errno, same.url) == (error.code, error.errno, error.url)


@by_row
def test_exception_raised_by_hand_has_code_and_words(name, code, number, parents):
    """A class raised without arguments still has its number and a reason."""
    error = getattr(exceptions, name)()

    assert (error.code, error.errno, error.url) == (code, number, None)
    assert str(error)


@pytest.mark.parametrize("name", WITHOUT_CODE)
def test_exception_unknown_to_nng_has_no_code(name):
    """What nng knows nothing of is a RuntimeError without a number."""
    error = getattr(exceptions, name)("no")

    assert isinstance(error, NNGException)
    assert isinstance(error, RuntimeError)
    assert (error.code, error.errno, str(error)) == (None, None, "no")


def test_error_for_code_of_the_shim_gives_its_class():
    """The shim's own numbers have their classes: superseded and forked."""
    superseded = error_for(-2, "recv")
    forked = error_for(-3, "recv")

    assert type(superseded) is exceptions.Superseded
    assert isinstance(superseded, exceptions.Canceled)
    assert superseded.code == 20
    assert type(forked) is exceptions.UsedAfterFork
    assert forked.code is None


def test_error_for_a_missing_thread_names_the_limit():
    """A thread that cannot be made is NoMemory and an OSError, and says what limits threads."""
    error = error_for(-6, "open Req0")

    assert type(error) is exceptions.OutOfThreads
    assert isinstance(error, exceptions.NoMemory)
    assert isinstance(error, OSError)
    assert (error.code, error.errno) == (2, errno.EAGAIN)
    assert "ulimit -u" in str(error)


def test_error_for_system_error_has_the_words_of_the_system():
    """NNG_ESYSERR carries an errno, whose text is shown."""
    error = error_for(0x10000000 | errno.EMLINK, "listen", "ipc:///x")

    assert type(error) is NNGException
    assert (error.code, error.errno) == (0x10000000 | errno.EMLINK, errno.EMLINK)
    assert str(error) == f"listen ipc:///x: {os.strerror(errno.EMLINK)}"
    assert pickle.loads(pickle.dumps(error)).errno == errno.EMLINK


@pytest.mark.parametrize(
    "code",
    [0, -1, -4, -(2**31), 32, 999, 1001, 2**31 - 1, 2**64, *FLAGGED],
)
def test_error_for_unknown_code_never_fails(code):
    """Any number makes an exception that has it and names the operation."""
    error = error_for(code, "recv")

    assert type(error) is NNGException
    assert error.code == code
    assert str(error).startswith("recv: ")


def test_error_for_without_url_names_the_operation_alone():
    """Without a URL the text starts with the operation."""
    assert str(error_for(7, "recv")) == "recv: already closed"


def test_exceptions_module_has_every_class():
    """`trionng.exceptions` re-exports each exception class, and the table above names each."""
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, NNGException)
    }

    assert classes == set(ALL_NAMES)
    for name in classes:
        assert getattr(exceptions, name) is getattr(errors, name)


def test_numbers_of_the_classes_are_those_of_the_header():
    """Every error number in nng's header has a class, and no class has a number of its own."""
    build = runpy.run_path(str(ROOT / "build_libnng.py"))
    header = build["find_nng"]().header.read_text(encoding="utf-8")
    enum = re.search(r"enum nng_errno_enum \{(.*?)\}", header, re.DOTALL)
    assert enum is not None
    numbers = dict(re.findall(r"(NNG_E\w+)\s*=\s*(\w+)", enum[1]))

    assert int(numbers.pop("NNG_ESYSERR"), 0) == errors.SYSTEM_ERROR
    assert int(numbers.pop("NNG_ETRANERR"), 0) == errors.TRANSPORT_ERROR
    assert {int(number, 0) for number in numbers.values()} == set(errors.BY_CODE)
    for error in errors.BY_CODE.values():
        words = re.findall(r"\((NNG_E\w+)\)", error.__doc__ or "")
        assert [int(numbers[word], 0) for word in words] == [error().code]


def test_numbers_of_the_shim_are_those_of_its_header():
    """The shim's own codes that become exceptions are declared with the same numbers in C."""
    header = (ROOT / "nng/api/completion_queue.h").read_text(encoding="utf-8")
    numbers = dict(re.findall(r"(TNNG_\w+) = (-\d+)", header))

    assert int(numbers["TNNG_SUPERSEDED"]) == -2
    assert int(numbers["TNNG_EVENTS_LOST"]) == -5
    assert int(numbers["TNNG_FORKED"]) == -3
    assert set(errors.BY_OWN_CODE) == {-2, -3, -5, -6, -7}


# The wrong order of calls.

WRONG_ORDER = {
    "Req0": ("recv", "send a request first"),
    "Surveyor0": ("recv", "send one first"),
    "Rep0": ("send", "no request to answer: receive one first"),
    "Respondent0": ("send", "no survey to answer: receive one first"),
}


@pytest.mark.parametrize("name", WRONG_ORDER)
@pytest.mark.parametrize("of", ["socket", "context"])
@pytest.mark.parametrize("with_message", [False, True])
async def test_bad_state_says_which_call_is_missing(name, of, with_message):
    """A call in the wrong order says what to do first, in both APIs."""
    operation, words = WRONG_ORDER[name]
    full = f"{operation}_msg" if with_message else operation

    def arguments():
        if operation == "recv":
            return ()
        return (trionng.Message(b"x"),) if with_message else (b"x",)

    def use():
        with getattr(blocking, name)() as socket:
            used = socket if of == "socket" else socket.new_context()
            getattr(used, full)(*arguments())

    with trio.fail_after(60):
        async with getattr(trionng, name)() as socket:
            used = socket if of == "socket" else socket.new_context()
            with pytest.raises(trionng.BadState, match=f"{full}: .*{words}"):
                await getattr(used, full)(*arguments())
        with pytest.raises(trionng.BadState, match=f"{full}: .*{words}"):
            await trio.to_thread.run_sync(use)


def test_text_of_an_exception_can_always_be_printed():
    """What a URL has that is no text is escaped in the words, and kept in `.url`."""
    error = error_for(6, "dial", "ipc:///\udcff\0\n")

    assert str(error) == "dial ipc:///\\udcff\\x00\\n: connection refused"
    assert error.url == "ipc:///\udcff\0\n"


def test_number_that_the_system_does_not_know_is_named():
    """A number beyond those of the operating system has an exception too."""
    error = error_for(errors.SYSTEM_ERROR | 1 << 40, "dial")

    assert str(error) == f"dial: error {1 << 40} of the operating system"
    assert error.errno == 1 << 40
