"""`trionng cert`: an authority and certificates for development, made by trustme."""

from __future__ import annotations

import argparse
import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trionng._cli.process import FAILED, OK, explain
from trionng._cli.values import count

if TYPE_CHECKING:
    from trionng._cli.parser import Parser

EXAMPLES = """
trionng cert                                     # ca.pem, server.pem and client.pem, here
trionng cert -d certs app.test 192.168.7.1       # a server with these names, in certs/
trionng cat --rep --listen tls+tcp://127.0.0.1:5555 --cert server.pem -D pong
trionng cat --req --dial tls+tcp://localhost:5555 --cacert ca.pem -D ping
"""

_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_FILES: Final = ("ca.pem", "server.pem", "client.pem")


class Arguments(argparse.Namespace):
    """The options of the command."""

    names: list[str]
    directory: str
    days: int
    force: bool


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="hosts and addresses of the server"
                        f" ({', '.join(_NAMES)})")  # fmt: skip
    parser.add_argument("-d", "--directory", default=".", metavar="DIR", help="where the files go")
    parser.add_argument("--days", type=count, default=365, metavar="N", help="valid so long (365)")
    parser.add_argument("-f", "--force", action="store_true", help="replace files that are there")


def run(arguments: Arguments, parser: Parser) -> int:
    """Make the files; return the exit code."""
    folder = Path(arguments.directory)
    names = arguments.names or list(_NAMES)
    here = [str(folder / name) for name in _FILES if (folder / name).exists()]
    if here and not arguments.force:
        parser.exit(FAILED, f"{parser.prog}: {here[0]} is there; --force replaces it\n")
    try:
        make(folder, names, arguments.days)
    except ImportError:
        parser.exit(FAILED, f"{parser.prog}: it needs trustme: pip install 'trionng[certs]'\n")
    except OSError as error:
        parser.exit(FAILED, f"{parser.prog}: {explain(error)}\n")
    except (ValueError, OverflowError) as error:
        parser.error(str(error))
    print(f"{folder / 'ca.pem'}: the authority, for --cacert of clients (and of servers that ask)")
    print(f"{folder / 'server.pem'}: certificate and key for {', '.join(names)}")
    print(f"{folder / 'client.pem'}: certificate and key for a client that must have one")
    print("For development only: the key of the authority is not kept.")
    return OK


def make(folder: Path, names: list[str], days: int) -> None:
    """Make an authority, and a server's and a client's certificate that it has issued.

    Raises:
        ImportError: trustme is not installed.
        ValueError: a name can be in no certificate.
        OSError: the files cannot be written.
    """
    import trustme

    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    authority = trustme.CA()
    server = authority.issue_cert(*names, not_after=ends)
    client = authority.issue_cert(
        common_name="client", not_after=ends, organization_name="trionng development"
    )
    folder.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    _write(folder / "server.pem", server.private_key_and_cert_chain_pem.bytes())
    _write(folder / "client.pem", client.private_key_and_cert_chain_pem.bytes())


def _write(path: Path, both: bytes) -> None:
    """Write a certificate with its key, for its owner only."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(both)
