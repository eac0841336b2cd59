"""A pool of workers that may be killed: no job is lost, and each result counts once.

python worker_pool.py boss ipc:///tmp/jobs 100
python worker_pool.py worker ipc:///tmp/jobs      (any number; kill some of them)

A job is a request. When the connection to a worker is lost, nng sends its jobs to another worker;
when a worker hangs, nng does so after `resend_time`. So a job may run twice, and must be harmless
then. Push0 and Pull0 are faster, but the jobs of a killed worker are lost.
"""

from __future__ import annotations

import sys

import trio

import trionng

AT_ONCE = 16  # jobs in flight; more would only wait at busy workers


async def boss(url: str, count: int) -> None:
    """Send the jobs, and print the sum of their results."""
    results: list[int] = []
    limiter = trio.CapacityLimiter(AT_ONCE)

    async with trionng.Req0(listen=url, resend_time=5000) as workers:

        async def do(number: int) -> None:
            async with limiter:
                results.append(int(await workers.request(b"%d" % number)))

        print("ready", flush=True)
        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(do, number)
    print("sum of squares:", sum(results), flush=True)


async def square(job: bytes) -> bytes:
    """Take some time, as real work does."""
    await trio.sleep(0.02)
    return b"%d" % (int(job) ** 2)


async def worker(url: str) -> None:
    """Square numbers until the program is stopped; dial the boss until it runs."""
    async with trio.open_nursery() as nursery:
        await trionng.serve_rep(nursery, square, dial=url, workers=2)
        print("working", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "boss":
        trio.run(boss, sys.argv[2], int(sys.argv[3]))
    else:
        trio.run(worker, sys.argv[2])
