"""A pool of workers: jobs are pushed to whoever is free, results are pulled together.

python worker_pool.py boss ipc:///tmp/jobs ipc:///tmp/results 10
python worker_pool.py worker ipc:///tmp/jobs ipc:///tmp/results      (as many as you like)
"""

from __future__ import annotations

import sys

import trio

import trionng


async def boss(jobs_url: str, results_url: str, count: int) -> None:
    """Hand out the jobs, and print the sum of their results."""
    async with (
        trionng.Push0(listen=jobs_url) as jobs,
        trionng.Pull0(listen=results_url) as results,
        trio.open_nursery() as nursery,
    ):

        async def hand_out() -> None:
            for number in range(count):
                await jobs.send(b"%d" % number)  # waits until a worker can take it

        print("ready", flush=True)
        nursery.start_soon(hand_out)
        total = 0
        for _ in range(count):
            total += int(await results.recv())
        print("sum of squares:", total, flush=True)


async def worker(jobs_url: str, results_url: str) -> None:
    """Square numbers until it is stopped."""
    async with trionng.Push0(dial=results_url) as results, trio.open_nursery() as nursery:

        async def square(job: bytes) -> None:
            number = int(job)
            await results.send(b"%d" % (number * number))

        await trionng.serve_pull(nursery, square, dial=jobs_url, workers=1)
        print("working", flush=True)


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    if role == "boss":
        trio.run(boss, arguments[0], arguments[1], int(arguments[2]))
    else:
        trio.run(worker, *arguments)
