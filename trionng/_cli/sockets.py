"""Sockets from options: protocols, endpoints and TLS, as nngcat names them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

import attrs

import trionng
from trionng._cli.formats import read_file
from trionng._cli.process import Failure
from trionng._cli.values import port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trionng._cli.console import Console
    from trionng._cli.parser import Parser

AnySocket = (
    trionng.Req0
    | trionng.Rep0
    | trionng.Pub0
    | trionng.Sub0
    | trionng.Push0
    | trionng.Pull0
    | trionng.Surveyor0
    | trionng.Respondent0
    | trionng.Pair0
    | trionng.Pair1
    | trionng.Bus0
)

# What nngcat calls each protocol, its other name, and what its socket does.
PROTOCOLS: Final[dict[str, tuple[str, type[AnySocket], str]]] = {
    "req0": ("req", trionng.Req0, "send requests, print the replies"),
    "rep0": ("rep", trionng.Rep0, "print requests, reply to them with the data"),
    "pub0": ("pub", trionng.Pub0, "publish"),
    "sub0": ("sub", trionng.Sub0, "print what is published"),
    "push0": ("push", trionng.Push0, "send each message to one of the pullers"),
    "pull0": ("pull", trionng.Pull0, "print what is pushed"),
    "surveyor0": ("surveyor", trionng.Surveyor0, "ask all respondents, print the replies"),
    "respondent0": ("respondent", trionng.Respondent0, "print surveys, reply to them"),
    "pair0": ("", trionng.Pair0, "exchange messages with one peer"),
    "pair1": ("", trionng.Pair1, "exchange messages with one peer, version 1"),
    "bus0": ("bus", trionng.Bus0, "send to all peers, print what they send"),
}


@attrs.frozen
class Endpoint:
    """A URL of the command line, to listen on or to dial."""

    listens: bool
    url: str


class _Protocol(argparse.Action):
    """Takes one protocol and refuses a second one."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        chosen: str | None = getattr(namespace, self.dest)
        if chosen is not None:
            parser.error(f"only one protocol can be given: --{chosen} or {option_string}")
        setattr(namespace, self.dest, self.const)


def add_protocols(
    parser: Parser, *, pair: bool = True, texts: bool = True, title: str = "protocol (one of these)"
) -> None:
    """Declare an option for each protocol."""
    group = parser.add_argument_group(title)
    for name, (alias, _, text) in PROTOCOLS.items():
        flags = [f"--{name}", *([f"--{alias}"] if alias else [])]
        shown = text if texts else None
        group.add_argument(
            *flags, action=_Protocol, nargs=0, const=name, dest="protocol", help=shown or name
        )
        if name == "pair1" and pair:
            group.add_argument(
                "--pair",
                action=_Protocol,
                nargs=0,
                const="pair",
                dest="protocol",
                help="pair1; with --compat, pair0",
            )


def add_endpoints(parser: Parser) -> None:
    """Declare what says where to listen and to dial, any number of times."""

    def dial(url: str) -> Endpoint:
        return Endpoint(False, url)

    def listen(url: str) -> Endpoint:
        return Endpoint(True, url)

    def at_path(path: str) -> str:
        return f"ipc://{path}"

    def at_port(text: str) -> str:
        return f"tcp://127.0.0.1:{port(text)}"

    group = parser.add_argument_group("addresses (one or more)")
    for flags, metavar, read, text in (
        (("--dial", "--connect"), "URL", dial, "connect to a peer"),
        (("--listen", "--bind"), "URL", listen, "accept peers; port 0 takes a free one"),
        (
            ("-x", "--connect-ipc"),
            "PATH",
            lambda path: dial(at_path(path)),
            "connect to ipc://PATH",
        ),
        (("-X", "--bind-ipc"), "PATH", lambda path: listen(at_path(path)), "accept at ipc://PATH"),
        (("-l", "--connect-local"), "PORT", lambda n: dial(at_port(n)), "connect to this machine"),
        (("-L", "--bind-local"), "PORT", lambda n: listen(at_port(n)), "accept from this machine"),
    ):
        group.add_argument(
            *flags, action="append", dest="endpoints", type=read, metavar=metavar, help=text
        )


def add_tls(parser: Parser) -> None:
    """Declare the options of tls+tcp and wss."""
    group = parser.add_argument_group("TLS (tls+tcp and wss)")
    group.add_argument(
        "--cacert",
        metavar="FILE",
        help="authorities to trust; a server that has it wants certificates of its clients",
    )
    group.add_argument("-E", "--cert", metavar="FILE", help="own certificate, needed to listen")
    group.add_argument("--key", metavar="FILE", help="its key; default: in the file of --cert")
    group.add_argument("-k", "--insecure", action="store_true", help="do not verify the server")
    group.add_argument(
        "--server-name",
        metavar="NAME",
        help="what the server's certificate is for, if not its URL's host",
    )


class TLSOptions(argparse.Namespace):
    """What `add_tls` declares."""

    cacert: str | None
    cert: str | None
    key: str | None
    insecure: bool
    server_name: str | None


async def tls_config(options: TLSOptions, url: str, *, listens: bool) -> trionng.TLSConfig | None:
    """Make the TLS configuration of an endpoint; None where it needs none."""
    if not url.lower().startswith(("tls+tcp", "wss")):
        return None
    cert = None if options.cert is None else await read_file(options.cert)
    key = cert if options.key is None else await read_file(options.key)
    trusted = None if options.cacert is None else await read_file(options.cacert)
    if cert is None and (listens or key is not None):
        raise Failure(f"{url}: give the own certificate with --cert FILE")
    if listens:
        return trionng.TLSConfig.server(own_cert_string=cert, own_key_string=key, ca_string=trusted)
    if options.insecure:
        return trionng.TLSConfig(
            trionng.TLSConfig.MODE_CLIENT,
            server_name=options.server_name,
            own_cert_string=cert,
            own_key_string=key,
            auth_mode=trionng.TLSConfig.AUTH_MODE_NONE,
        )
    if trusted is None:
        raise Failure(f"{url}: say whom to trust with --cacert FILE, or do not verify: --insecure")
    return trionng.TLSConfig.client(
        ca_string=trusted,
        server_name=options.server_name,
        own_cert_string=cert,
        own_key_string=key,
    )


async def connect(
    socket: AnySocket,
    endpoints: Sequence[Endpoint],
    options: TLSOptions,
    console: Console,
    *,
    in_background: bool = False,
    verbose: bool = False,
) -> None:
    """Listen and dial, in the order of the command line; wait for each first connection."""
    for endpoint in endpoints:
        tls = await tls_config(options, endpoint.url, listens=endpoint.listens)
        try:
            if endpoint.listens:
                listener = socket.listen(endpoint.url, tls_config=tls)
                text = f"Listening at: {listener.url}"
            else:
                block = not in_background
                dialer = await socket.dial(endpoint.url, block=block, tls_config=tls)
                text = f"{'Dialling' if in_background else 'Connected to'}: {dialer.url}"
        except trionng.InvalidOperation as error:
            hint = "; give --server-name NAME" if "server_name" in str(error) else ""
            raise Failure(f"{error}{hint}") from None
        if verbose:
            console.put(text)
