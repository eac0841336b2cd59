"""The runner: `python -m benchmarks.run [--quick] [--only SCENARIO,...] [--peers PEER,...]`.

For each scenario all peers are opened, warmed up, and then measured in rounds: in each round every
peer once, in an order drawn anew. A round has so many messages that it lasts about as long for
every peer. Medians are over rounds.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field

from benchmarks import certificates, report
from benchmarks.job import BURST
from benchmarks.process import BUILD, PeerError, Process, Result
from benchmarks.scenarios import PEERS, SCENARIOS, Scenario

_WITHIN = 10.0
# Which end's clock starts and stops: the whole work, from the first send to the last receive.
_CLOCK = {
    "rtt": ("client", "client"),
    "concurrent": ("client", "client"),
    "pushpull": ("client", "server"),
    "pair": ("client", "server"),
    "pubsub": ("server", "client"),
}


@dataclass(frozen=True)
class Effort:
    rounds: int
    seconds: float


FULL = Effort(rounds=7, seconds=0.25)
QUICK = Effort(rounds=3, seconds=0.04)


@dataclass
class Peer:
    """A library in a scenario: its processes by role, and what was measured."""

    name: str
    ends: dict[str, Process]
    count: int = 0
    values: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


class Runner:
    """Keeps the processes from scenario to scenario."""

    def __init__(self, effort: Effort, peers: tuple[str, ...], folder: str) -> None:
        self._effort = effort
        self._peers = peers
        self._folder = folder
        self._processes: dict[tuple[str, str], Process] = {}
        self._used = 0
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        self.failures: list[str] = []

    def start(self) -> None:
        """Start a server process of each peer, which tells whether the peer is there at all."""
        for name in self._peers:
            self._processes[name, "server"] = Process(name)
        for name in self._peers:
            try:
                self.versions[name] = self._processes[name, "server"].expect("hello", _WITHIN)
            except PeerError as error:
                self.absent[name] = str(error)
                self._processes.pop((name, "server")).stop()
        for name in self.versions:
            self._processes[name, "client"] = Process(name)
        for name in self.versions:
            self._processes[name, "client"].expect("hello", _WITHIN)

    def stop(self) -> None:
        for process in self._processes.values():
            process.stop()

    def _process(self, name: str, role: str) -> Process:
        key = name, "server" if role == "alone" else role
        if key not in self._processes:
            self._processes[key] = process = Process(name)
            process.expect("hello", _WITHIN)
        return self._processes[key]

    def _failed(self, scenario: Scenario, name: str, error: PeerError) -> None:
        self._note(f"{scenario.name}: {error}")
        for role in ("server", "client"):
            process = self._processes.pop((name, role), None)
            if process is not None:
                process.stop()

    def _note(self, failure: str) -> None:
        self.failures.append(failure)
        print(f"FAILED {failure}", flush=True)

    def _url(self, transport: str) -> str:
        self._used += 1
        if transport in ("tcp", "tls+tcp"):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                return f"{transport}://127.0.0.1:{probe.getsockname()[1]}"
        if transport == "ipc":
            return f"ipc://{self._folder}/{self._used}"
        return f"inproc://bench-{self._used}"

    def measure(self, scenario: Scenario) -> dict[str, Peer]:
        """Run one scenario for every peer that is there."""
        names = [name for name in scenario.peers if name in self.versions]
        if scenario.kind == "idle":
            return self._weigh(scenario, names)
        peers = {}
        for name in names:
            try:
                peers[name] = self._open(scenario, name)
                self._warm_up(scenario, peers[name])
            except PeerError as error:
                peers.pop(name, None)
                self._failed(scenario, name, error)
        for _ in range(self._effort.rounds):
            for name in random.sample(list(peers), len(peers)):
                try:
                    self._measure_once(scenario, peers[name])
                except PeerError as error:
                    del peers[name]
                    self._failed(scenario, name, error)
        for name, peer in peers.items():
            try:
                for end in reversed(list(peer.ends.values())):
                    end.tell("end")
                for end in peer.ends.values():
                    end.expect("closed", _WITHIN)
            except PeerError as error:
                # The rounds measured so far count.
                self._failed(scenario, name, error)
        return peers

    def _open(self, scenario: Scenario, name: str) -> Peer:
        peer = Peer(name, {})
        url, back = self._url(scenario.transport), self._url(scenario.transport)
        mode = "many" if name == "trionng_many" else scenario.mode
        for role in ("alone",) if scenario.alone else ("server", "client"):
            end = peer.ends[role] = self._process(name, role)
            end.tell(
                f"open {scenario.kind} {role} {mode} {scenario.size} {scenario.buffers} "
                f"{scenario.flows} {url} {back}"
            )
            end.expect("ready", _WITHIN)
        return peer

    def _warm_up(self, scenario: Scenario, peer: Peer) -> None:
        """Find how many messages last as long as a round should."""
        peer.count = scenario.first
        for share in (0.2, 1.0):
            seconds = self._round(scenario, peer)[0]
            factor = self._effort.seconds * share / max(seconds, 1e-5)
            # Never fewer than the first number, even if the machine was slow at that moment.
            peer.count = max(scenario.first, round(peer.count * min(factor, 100)))
            if scenario.kind == "pubsub":
                peer.count = max(4, round(peer.count / BURST)) * BURST

    def _round(self, scenario: Scenario, peer: Peer) -> tuple[float, float]:
        """Return the seconds of one round, and the processor seconds of all its processes."""
        for end in peer.ends.values():
            end.tell(f"go {peer.count}")
        results: dict[str, Result] = {role: end.result(_WITHIN) for role, end in peer.ends.items()}
        for result in results.values():
            if result.count != peer.count:
                raise PeerError(f"{peer.name}: {result.count} messages instead of {peer.count}")
        starts, stops = _CLOCK.get(scenario.kind, ("alone", "alone"))
        if scenario.alone:
            starts = stops = "alone"
        seconds = (results[stops].end - results[starts].start) / 1e9
        return seconds, sum(each.cpu for each in results.values()) / 1e9

    def _measure_once(self, scenario: Scenario, peer: Peer) -> None:
        seconds, cpu = self._round(scenario, peer)
        each = seconds / peer.count
        peer.values.append(each * 1e6 if scenario.unit == "us" else 1 / each)
        peer.cpu.append(cpu / peer.count * 1e6)

    def _weigh(self, scenario: Scenario, names: list[str]) -> dict[str, Peer]:
        """Compare fresh processes: one with waiting contexts, one with bare waiting tasks."""
        peers = {name: Peer(name, {}) for name in names}
        for _ in range(self._effort.rounds):
            for name, peer in list(peers.items()):
                try:
                    grown = [self._grow(scenario, name, mode) for mode in ("plain", "tasks")]
                except PeerError as error:
                    del peers[name]
                    self._note(f"{scenario.name}: {error}")
                    continue
                peer.values.append((grown[0] - grown[1]) / scenario.flows)
        return peers

    def _grow(self, scenario: Scenario, name: str, mode: str) -> int:
        process = Process(name)
        try:
            process.expect("hello", _WITHIN)
            process.tell(
                f"open idle alone {mode} {scenario.size} 0 {scenario.flows} "
                f"{self._url(scenario.transport)} -"
            )
            process.expect("ready", _WITHIN)
            process.tell(f"go {scenario.flows}")
            result = process.result(_WITHIN)
            return result.end - result.start
        finally:
            process.stop()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run")
    parser.add_argument("--quick", action="store_true", help="less than a minute, less exact")
    parser.add_argument("--only", help="these scenarios, with commas")
    parser.add_argument("--peers", help="these peers, with commas")
    parser.add_argument("--rounds", type=int, help="instead of 7 (quick: 3)")
    args = parser.parse_args()
    effort = QUICK if args.quick else FULL
    if args.rounds:
        effort = Effort(args.rounds, effort.seconds)
    names = tuple(args.peers.split(",")) if args.peers else PEERS
    wanted = args.only.split(",") if args.only else [each.name for each in SCENARIOS]
    # A signal ends the peers too.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit("told to end"))
    began = time.monotonic()
    folder = tempfile.mkdtemp(prefix="bench-")
    certificates.write(folder)
    runner = Runner(effort, names, folder)
    done = {}
    try:
        runner.start()
        print(report.header(runner.versions, runner.absent, effort.rounds, effort.seconds))
        for scenario in SCENARIOS:
            if scenario.name in wanted:
                done[scenario.name] = runner.measure(scenario)
                print(report.table(scenario, done[scenario.name]), flush=True)
    finally:
        runner.stop()
        shutil.rmtree(folder, ignore_errors=True)
    BUILD.mkdir(exist_ok=True)
    print(report.goals(done))
    report.write_json(done, BUILD / "bench.json")
    report.write_chart(done, BUILD / "bench.png")
    for failure in runner.failures:
        print(f"FAILED {failure}")
    print(f"{time.monotonic() - began:.0f} s; build/bench.json, build/bench.png")
    return 1 if runner.failures else 0


if __name__ == "__main__":
    sys.exit(main())
