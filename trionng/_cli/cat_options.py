"""The options of `trionng cat`: those of nngcat under their names, and more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from trionng._cli.formats import FORMATS
from trionng._cli.sockets import Endpoint, TLSOptions, add_endpoints, add_protocols, add_tls
from trionng._cli.values import OneOf, count, duration, size

if TYPE_CHECKING:
    from trionng._cli.parser import Parser

_SENDING: Final = ("req0", "surveyor0", "pub0", "push0")
_LINGER_SECONDS: Final = 10.0
_IGNORED: Final = "ignored; there is no ZeroTier here"


class Arguments(TLSOptions):
    """The options of the command."""

    protocol: str | None
    endpoints: list[Endpoint] | None
    format: str | None
    formats: list[str] | None
    newline: bool
    timestamp: bool
    subscribe: list[str] | None
    data: list[str] | None
    file: list[str] | None
    lines: bool
    count: int
    require: int | None
    interval: float | None
    delay: float
    recv_timeout: float
    send_timeout: float
    recv_maxsz: int | None
    wait_peer: int
    linger: float
    stats: float | None
    compat: bool
    in_background: bool
    verbose: bool
    silent: bool
    version: bool
    socket_name: str | None


def add_arguments(parser: Parser) -> None:
    """Declare the options of nngcat, and more."""
    parser.usage = "%(prog)s --PROTOCOL --dial URL|--listen URL ... [OPTION ...]"
    parser.when_extra("; what is sent is given with --data")
    add_protocols(parser)
    add_endpoints(parser)
    _add_input(parser)
    _add_output(parser)
    add_tls(parser)
    group = parser.add_argument_group("other options")
    group.add_argument("-v", "--verbose", action="store_true", help="say on stderr what connects")
    group.add_argument("-q", "--silent", "--quiet", action="store_true", help="say only errors")
    group.add_argument("--compat", action="store_true", help="as nanocat: --async, --pair is pair0")
    group.add_argument("--socket-name", metavar="NAME", help="for statistics and logs")
    group.add_argument("--zt-home", metavar="PATH", help=_IGNORED)
    group.add_argument("-V", "--version", action="store_true", help="show the versions and exit")
    group.add_argument("-h", "--help", action="help", help="show this help and exit")


def _add_input(parser: Parser) -> None:
    group = parser.add_argument_group("what is sent, and when")
    group.add_argument("-D", "--data", action="append", help="this message")
    group.add_argument(
        "-F", "--file", action="append", metavar="FILE", help="its content; - is stdin"
    )
    group.add_argument("--lines", action="store_true", help="a message for each line of stdin")
    group.add_argument(
        "-i", "--interval", type=duration, metavar="TIME", help="send again and again, so often"
    )
    group.add_argument(
        "-d", "--delay", type=duration, default=0, metavar="TIME", help="wait before the first"
    )
    group.add_argument(
        "--wait-peer",
        type=count,
        default=0,
        metavar="N",
        help="wait until N peers are connected before the first",
    )
    group.add_argument(
        "--async",
        dest="in_background",
        action="store_true",
        help="do not wait for connections, and retry those that fail",
    )
    group.add_argument("--send-timeout", type=duration, default=math.inf, metavar="TIME",
                       help="give up when a message cannot be sent for so long")  # fmt: skip
    group.add_argument(
        "--linger",
        type=duration,
        default=_LINGER_SECONDS,
        metavar="TIME",
        help="at the end wait at most so long until peers have taken all (10s)",
    )


def _add_output(parser: Parser) -> None:
    group = parser.add_argument_group("what is received")
    group.add_argument(
        "--subscribe", action="append", metavar="TOPIC", help="of sub0; default: all"
    )
    group.add_argument(
        "--format",
        type=OneOf(*FORMATS),
        metavar="FORMAT",
        action="append",
        dest="formats",
        help=f"one of {', '.join(FORMATS)}; default: text",
    )
    for flags, name, text in (
        (("-A", "--ascii"), "ascii", "a dot for each byte that is not printable ASCII"),
        (("-Q", "--quoted"), "quoted", "a C string a line"),
        (("--hex",), "hex", "a C string of \\xNN a line"),
        (("--msgpack",), "msgpack", "MessagePack bin objects"),
        (("--raw",), "raw", "the bytes, and nothing else"),
        (("--json",), "json", "a JSON object a line"),
    ):
        group.add_argument(*flags, action="append_const", const=name, dest="formats", help=text)
    group.add_argument(
        "-n", "--newline", action="store_true", help="with raw and ascii: a line a message"
    )
    group.add_argument("--timestamp", action="store_true", help="show when each message came")
    group.add_argument(
        "-C", "--count", type=count, default=0, metavar="N", help="end after so many; 0: no end"
    )
    group.add_argument(
        "--recv-timeout",
        "--receive-timeout",
        type=duration,
        default=math.inf,
        metavar="TIME",
        help="end when nothing comes for so long",
    )
    group.add_argument("--require", type=count, metavar="N",
                       help="exit with 3 when fewer came; default: --count, else 1")  # fmt: skip
    group.add_argument(
        "-Z", "--recv-maxsz", type=size, metavar="SIZE", help="largest message; 0: no limit (1MiB)"
    )
    group.add_argument("--stats", type=duration, metavar="TIME", help="show counters, so often")


def check(arguments: Arguments, parser: Parser) -> str:
    """Refuse what does not fit together, as nngcat does; return the protocol."""
    name, wants = arguments.protocol, parser.error
    if name is None:
        wants("no protocol: give one, such as --sub or --req")
    if not arguments.endpoints:
        wants("no address: give --dial URL or --listen URL")
    if name == "pair":
        name = "pair0" if arguments.compat else "pair1"
    formats = arguments.formats or []
    if len(formats) > 1:
        wants(f"only one format can be given: {' or '.join(formats)}")
    arguments.format = formats[0] if formats else "text"
    inputs = len(arguments.data or ()) + len(arguments.file or ()) + arguments.lines
    if inputs > 1:
        wants("--data, --file and --lines: only one can be given, once")
    for wrong, why in (
        (arguments.compat and arguments.in_background, "--async and --compat do not go together"),
        (arguments.compat and arguments.count, "--count and --compat do not go together"),
        (arguments.compat and name == "pair1", "pair1 does not go with --compat"),
        (arguments.subscribe and name != "sub0", f"{name} has no topics: --subscribe is for sub0"),
        (inputs and name in ("pull0", "sub0"), f"{name} does not send: no --data, --file, --lines"),
        (not inputs and name in _SENDING, f"{name} needs --data, --file or --lines"),
        (formats and name in ("pub0", "push0"), f"{name} does not receive: no format"),
        (arguments.interval is not None and name in ("pull0", "sub0", "rep0", "respondent0"),
         f"{name} sends nothing by itself: no --interval"),
        (arguments.interval is not None and not inputs, "--interval needs something to send"),
        (arguments.timestamp and arguments.format == "msgpack", "--timestamp: not with msgpack"),
    ):  # fmt: skip
        if wrong:
            wants(why)
    return name
