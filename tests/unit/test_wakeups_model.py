"""A model of nng/perf/wakeups.c: no order of its steps leaves work in the queue with all asleep.

A thread is a list of steps; a step maps a state to the states that may follow, none if it blocks.
All orders of all steps are walked. The same walk must find what is wrong with a plain lock, and
with a flusher that looks before it says that it sleeps. test_locks.py reads which locks there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
import pytest

Jobs = tuple[str, ...]


@attrs.frozen
class State:
    """What the threads share, and where each of them is."""

    places: tuple[int, ...]
    queue: Jobs = ()
    job: tuple[str, ...] = ("", "")  # what each task thread does
    asleep: frozenset[int] = frozenset({0, 1})  # task threads in pthread_cond_wait
    suppressed: int = 0
    pending: int = 0  # of the caller, while it defers
    flush_pending: bool = False
    flusher_awake: bool = False
    flusher_signalled: bool = False
    held: bool = False  # a lock of nng, by the caller
    done: frozenset[str] = frozenset()


# A step returns states that may follow, with the step that comes next; itself when it has to wait.
Step = Callable[[State, int], list[tuple[State, int]]]
Program = list[Step]


def signal(state: State) -> list[State]:
    """Wake any one task thread, or none if none sleeps."""
    woken = [attrs.evolve(state, asleep=state.asleep - {each}) for each in sorted(state.asleep)]
    return woken or [state]


def send_suppressed(state: State, times: int) -> list[State]:
    """wakeups_signal: send up to so many of the suppressed signals."""
    states = [state]
    for _ in range(min(times, state.suppressed)):
        fewer = [attrs.evolve(each, suppressed=each.suppressed - 1) for each in states]
        states = [after for each in fewer for after in signal(each)]
    return states


def flush(state: State) -> list[State]:
    """tnng_wakeups_flush."""
    if not state.flush_pending:
        return [state]
    return send_suppressed(attrs.evolve(state, flush_pending=False), 1)


def task_thread(me: int, *, flushes: bool) -> Program:
    """Take jobs from the queue for good; sleep while there are none."""

    def take(state: State, at: int) -> list[tuple[State, int]]:
        if me in state.asleep:
            return []
        if not state.queue:
            asleep = state.asleep | {me}
            changed = attrs.evolve(state, asleep=asleep, suppressed=0, flush_pending=False)
            return [(changed, at)]
        job = tuple(state.queue[0] if each == me else old for each, old in enumerate(state.job))
        return [(attrs.evolve(state, queue=state.queue[1:], job=job), at + 1)]

    def begin(state: State, at: int) -> list[tuple[State, int]]:
        """A job that appends another one does so without a signal, and then wants the lock."""
        if state.job[me] != "appends":
            return [(attrs.evolve(state, done=state.done | {state.job[me]}), 0)]
        queue = (*state.queue, "appended")
        return [(attrs.evolve(state, queue=queue, suppressed=state.suppressed + 1), at + 1)]

    def want(state: State, at: int) -> list[tuple[State, int]]:
        """tnng_lock: try; before it blocks it sends what it has suppressed."""
        if state.held and flushes:
            return [(after, at + 1) for after in send_suppressed(state, state.suppressed)]
        return [(state, at + 1)]

    def lock(state: State, at: int) -> list[tuple[State, int]]:
        if state.held:
            return []
        return [(attrs.evolve(state, done=state.done | {"appends"}), 0)]

    return [take, begin, want, lock]


def holder() -> Program:
    """A caller that holds a lock until what the task thread appended was done."""

    def append(state: State, at: int) -> list[tuple[State, int]]:
        state = attrs.evolve(state, held=True, queue=(*state.queue, "appends"))
        return [(after, at + 1) for after in signal(state)]

    def release(state: State, at: int) -> list[tuple[State, int]]:
        if "appended" not in state.done:
            return []
        return [(attrs.evolve(state, held=False), at + 1)]

    return [append, release]


def streamer(*, jobs: int) -> Program:
    """A caller that defers its signals in a stream, and then does nothing more."""

    def append(name: str) -> Step:
        def step(state: State, at: int) -> list[tuple[State, int]]:
            queue = (*state.queue, name)
            suppressed, pending = state.suppressed + 1, state.pending + 1
            changed = attrs.evolve(state, queue=queue, suppressed=suppressed, pending=pending)
            return [(changed, at + 1)]

        return step

    def tell(state: State, at: int) -> list[tuple[State, int]]:
        return [(attrs.evolve(state, flush_pending=True, pending=0), at + 1)]

    def look(state: State, at: int) -> list[tuple[State, int]]:
        if state.flusher_awake:
            return [(state, at + 1)]
        return [(attrs.evolve(state, flusher_awake=True, flusher_signalled=True), at + 1)]

    program: Program = []
    for number in range(jobs):
        program += [append(f"job {number}"), tell, look]
    return program


def flusher(*, says_first: bool) -> Program:
    """The flusher: says that it sleeps, then looks whether it may; later it flushes."""

    def say(state: State, at: int) -> list[tuple[State, int]]:
        return [(attrs.evolve(state, flusher_awake=False), at + 1)]

    def look(to_flush: int) -> Step:
        def step(state: State, at: int) -> list[tuple[State, int]]:
            return [(state, to_flush if state.flush_pending else at + 1)]

        return step

    def wait(state: State, at: int) -> list[tuple[State, int]]:
        if not state.flusher_signalled:
            return []
        return [(attrs.evolve(state, flusher_signalled=False), 0)]

    def wake(state: State, at: int) -> list[tuple[State, int]]:
        return [(attrs.evolve(state, flusher_awake=True), at + 1)]

    def send(state: State, at: int) -> list[tuple[State, int]]:
        return [(after, 0) for after in flush(state)]

    first = [say, look(3)] if says_first else [look(3), say]
    return [*first, wait, wake, send]


def stuck(programs: list[Program]) -> Iterator[State]:
    """Walk all orders of all steps; yield the states in which no thread can do anything more."""
    begin = State(places=(0,) * len(programs))
    seen, to_do = {begin}, [begin]
    while to_do:
        state = to_do.pop()
        following = []
        for thread, program in enumerate(programs):
            at = state.places[thread]
            for after, place in program[at](state, at) if at < len(program) else ():
                places = (*state.places[:thread], place, *state.places[thread + 1 :])
                following.append(attrs.evolve(after, places=places))
        if not following:
            yield state
        fresh = set(following) - seen
        seen |= fresh
        to_do += fresh
    assert len(seen) > 5, "nothing was walked"


def lost(programs: list[Program]) -> list[State]:
    """Return the final states in which a job was left in the queue, or a lock was never had."""
    return [state for state in stuck(programs) if state.queue or state.held]


def with_locks(*, flushes: bool = True) -> list[Program]:
    tasks = [task_thread(me, flushes=flushes) for me in range(2)]
    return [*tasks, holder()]


def with_stream(*, says_first: bool = True) -> list[Program]:
    tasks = [task_thread(me, flushes=True) for me in range(2)]
    return [*tasks, streamer(jobs=3), flusher(says_first=says_first)]


def test_wakeups_in_every_order_leave_no_work_behind():
    """A thread that blocks on a lock, and a stream that ends, leave no job in the queue."""
    assert lost(with_locks()) == []
    assert lost(with_stream()) == []


@pytest.mark.parametrize(
    "programs",
    [with_locks(flushes=False), with_stream(says_first=False)],
    ids=["plain_lock", "flusher_looks_first"],
)
def test_wakeups_with_a_mistake_leave_work_behind(programs):
    """The walk finds a plain lock on a task thread, and a flusher that looks too early."""
    assert lost(programs)
