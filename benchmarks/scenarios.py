"""The scenarios: what is measured, which peers take part, the goals of trionng. Data only."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20

PEERS = (
    "trionng",
    "trionng_many",
    "trionng_blocking",
    "pynng_trio",
    "pynng_asyncio",
    "pynng_sync",
    "nng_asyncio",
    "nng_sync",
    "pyzmq_asyncio",
    "pyzmq_sync",
    "zenoh_sync",
    "nats_asyncio",
    "raw_trio",
    "c",
    "c_aio",
)

# How a peer's process is started: a module and its arguments; C programs are in build/.
MODULES = {
    "trionng": ("trionng_trio",),
    "trionng_many": ("trionng_trio",),
    "trionng_blocking": ("trionng_blocking",),
    "pynng_trio": ("pynng_async", "trio"),
    "pynng_asyncio": ("pynng_async", "asyncio"),
    "pynng_sync": ("pynng_sync",),
    "nng_asyncio": ("nng_asyncio",),
    "nng_sync": ("nng_sync",),
    "pyzmq_asyncio": ("pyzmq_asyncio",),
    "pyzmq_sync": ("pyzmq_sync",),
    "zenoh_sync": ("zenoh_sync",),
    "nats_asyncio": ("nats_asyncio",),
    "raw_trio": ("raw_trio",),
}
PROGRAMS = {"c": "bench_c", "c_aio": "bench_c_aio"}

# What else one could use: only over tcp, and not for each kind of work.
_OTHERS = ("zenoh_sync", "nats_asyncio")
_ONE_BY_ONE = tuple(peer for peer in PEERS if peer not in ("trionng_many", *_OTHERS))
_STREAMS = tuple(peer for peer in PEERS if peer not in _OTHERS)
_NNG = tuple(peer for peer in _ONE_BY_ONE if peer != "raw_trio")
_LOOPS = ("trionng", "pynng_trio", "pynng_asyncio", "nng_asyncio", "pyzmq_asyncio", "c_aio")
_LOOP = ("raw_trio",)
_TLS = ("trionng", "trionng_blocking", "pynng_trio", "pynng_sync", "raw_trio")
_TOPICS = tuple(peer for peer in _NNG if peer not in ("pynng_asyncio", *PROGRAMS))
_MANY_SOCKETS = ("trionng", "pynng_trio", "nng_asyncio", "pyzmq_asyncio")
_VIEWS = ("trionng", "trionng_blocking", "nng_asyncio", "nng_sync", "pyzmq_asyncio", "pyzmq_sync")


@dataclass(frozen=True)
class Scenario:
    """One row of the benchmark.

    Attributes:
        kind: what the peers do: rtt, pushpull, pair, pubsub, concurrent, idle, cycle; yield, wakeup
            and park are Trio's loop alone.
        transport: tcp, tls+tcp, ipc or inproc.
        alone: both ends are in one process.
        mode: `plain`; `separate`: trionng's send and recv instead of request() and serve_rep;
            `view`: large messages are not copied out, where a library can; `recv`: trionng sends
            with send_many and receives with recv; `connections`: a socket for each flow.
        first: messages of the first warming round.
    """

    name: str
    kind: str
    transport: str
    unit: str
    peers: tuple[str, ...]
    what: str
    size: int = 64
    buffers: int = 0
    flows: int = 0
    mode: str = "plain"
    alone: bool = False
    first: int = 20

    @property
    def lower_is_better(self) -> bool:
        return not self.unit.endswith("/s")


_RTT = "REQ/REP, 64 B, one in flight; trionng: request() and serve_rep, defaults"
_SEPARATE = "the same; trionng: send and recv on both sides"
_STREAM = "64 B one way, buffers 128"
_RECV = "the same; trionng sends with send_many, and receives each with recv"
_LARGE = "REQ/REP, 1 MiB; trionng: recv_max_size 0, as its limit counts the header"

SCENARIOS = (
    Scenario("rtt_ipc", "rtt", "ipc", "us", _ONE_BY_ONE, _RTT),
    Scenario("rtt_tcp", "rtt", "tcp", "us", (*_ONE_BY_ONE, *_OTHERS), _RTT),
    Scenario("rtt_inproc", "rtt", "inproc", "us", _NNG, _RTT + "; one process", alone=True),
    Scenario(
        "rtt_ipc_separate", "rtt", "ipc", "us", ("trionng", "c_aio"), _SEPARATE, mode="separate"
    ),
    Scenario(
        "rtt_tcp_separate", "rtt", "tcp", "us", ("trionng", "c_aio"), _SEPARATE, mode="separate"
    ),
    Scenario("pushpull_tcp", "pushpull", "tcp", "msg/s", _STREAMS, _STREAM, buffers=128, first=500),
    Scenario("pushpull_ipc", "pushpull", "ipc", "msg/s", _STREAMS, _STREAM, buffers=128, first=500),
    Scenario(
        "pushpull_tcp_recv",
        "pushpull",
        "tcp",
        "msg/s",
        ("trionng", "c"),
        _RECV,
        buffers=128,
        mode="recv",
        first=500,
    ),
    Scenario("pair_tcp", "pair", "tcp", "msg/s", _STREAMS, _STREAM, buffers=128, first=500),
    Scenario(
        "pubsub_tcp",
        "pubsub",
        "tcp",
        "msg/s",
        tuple(peer for peer in PEERS if peer != "raw_trio"),
        "64 B, one publisher, four subscribers, bursts of 64, two unacknowledged at most",
        buffers=4096,  # far more than is unacknowledged: libzmq counts late
        first=640,
    ),
    Scenario(
        "topics_tcp",
        "pubsub",
        "tcp",
        "msg/s",
        _TOPICS,
        "the same; each subscriber has 10 000 topics, of which a message matches one",
        buffers=4096,
        flows=10_000,
        first=640,
    ),
    Scenario("rtt_tls", "rtt", "tls+tcp", "us", _TLS, _RTT),
    Scenario("pair_tls", "pair", "tls+tcp", "msg/s", _TLS, _STREAM, buffers=128, first=500),
    Scenario(
        "concurrent_ipc",
        "concurrent",
        "ipc",
        "req/s",
        _LOOPS,
        "64 B, 64 requests in flight, 64 workers; pyzmq: DEALER and ROUTER",
        flows=64,
        first=256,
    ),
    Scenario(
        "connections_tcp",
        "concurrent",
        "tcp",
        "req/s",
        _MANY_SOCKETS,
        "64 workers, 1000 clients with a connection each, each with a request in flight",
        flows=1000,
        mode="connections",
        first=2000,
    ),
    Scenario(
        "large_ipc",
        "rtt",
        "ipc",
        "us",
        _ONE_BY_ONE,
        _LARGE + ", to bytes on both sides (C: no copy of what is received)",
        size=MIB,
        first=4,
    ),
    Scenario(
        "large_ipc_view",
        "rtt",
        "ipc",
        "us",
        (*_VIEWS, "c", "c_aio"),
        _LARGE + ", received as a view",
        size=MIB,
        mode="view",
        first=4,
    ),
    Scenario(
        "idle_memory",
        "idle",
        "inproc",
        "B",
        ("trionng", "pynng_trio", "pynng_asyncio", "nng_asyncio", "c_aio"),
        "resident bytes a waiting REP context, 10 000 of them, less the loop's own waiting task",
        flows=10_000,
        alone=True,
    ),
    Scenario(
        "trio_yield", "yield", "inproc", "us", _LOOP, "a checkpoint, nothing else", alone=True
    ),
    Scenario(
        "trio_wakeup",
        "wakeup",
        "inproc",
        "us",
        _LOOP,
        "write an eventfd, wait for it, read it: the least that wakes a task",
        alone=True,
    ),
    Scenario(
        "trio_park",
        "park",
        "inproc",
        "us",
        _LOOP,
        "a task of 64 waits and is woken by another",
        flows=64,
        alone=True,
        first=256,
    ),
    Scenario(
        "open_close",
        "cycle",
        "ipc",
        "us",
        tuple(peer for peer in _ONE_BY_ONE if peer != "c_aio"),
        "open two Pair sockets, listen and dial, pass one message, close both; one process",
        alone=True,
        first=2,
    ),
)


@dataclass(frozen=True)
class Goal:
    """`peer` is at most (or, for rates, at least) `factor` times `against`; see `Scenario.unit`."""

    scenario: str
    peer: str
    factor: float
    against: str = ""


GOALS = (
    *(
        Goal(scenario, "trionng", factor, against)
        for scenario in ("rtt_ipc", "rtt_tcp")
        for against, factor in (
            ("c_aio", 1.4),
            ("pynng_trio", 0.65),
            ("nng_asyncio", 1.0),
            ("pyzmq_asyncio", 1.15),
        )
    ),
    Goal("rtt_ipc_separate", "trionng", 1.5, "c_aio"),
    Goal("rtt_tcp_separate", "trionng", 1.5, "c_aio"),
    *(
        Goal(scenario, "trionng", factor, against)
        for scenario in ("pushpull_tcp", "pushpull_ipc")
        for against, factor in (("c", 2.2), ("pynng_trio", 8.0), ("pyzmq_asyncio", 1.1))
    ),
    Goal("pushpull_tcp_recv", "trionng", 2.2, "c"),
    Goal("pushpull_tcp", "trionng_many", 6.0, "c"),
    Goal("pushpull_ipc", "trionng_many", 6.0, "c"),
    Goal("pair_tcp", "trionng", 0.5, "c"),
    Goal("pair_tcp", "trionng_many", 0.75, "c"),
    Goal("pubsub_tcp", "trionng", 5.0, "pynng_trio"),
    Goal("concurrent_ipc", "trionng", 5.0, "pynng_trio"),
    Goal("concurrent_ipc", "trionng", 1.4, "nng_asyncio"),
    Goal("concurrent_ipc", "trionng", 1.4, "pyzmq_asyncio"),
    Goal("large_ipc", "trionng", 1.4, "c_aio"),
    Goal("large_ipc", "trionng", 1.0, "pynng_trio"),
    Goal("large_ipc", "trionng", 1.0, "nng_asyncio"),
    Goal("rtt_ipc", "trionng_blocking", 1.15, "c"),
    Goal("rtt_ipc", "trionng_blocking", 1.0, "pynng_sync"),
    Goal("rtt_tcp", "trionng_blocking", 1.15, "c"),
    Goal("rtt_tcp", "trionng_blocking", 1.0, "pynng_sync"),
    # Against nothing: so many bytes.
    Goal("idle_memory", "trionng", 2048),
)
