"""URLs: what the caller wrote, what nng is given, and what `.url` shows.

nng reads a URL as a C string and says of most mistakes "invalid argument" or nothing at all: a NUL
ends the URL early, a missing port is a random one, an escape in the path of a ws listener is not
met by its own dialers. So a URL is read here first, by the same rules for dialling and listening.

Rules of this file: one spelling a transport, whatever its letters' case; `text` can be dialled
wherever `native` was listened on; bytes of a path that are no text travel as `surrogateescape`
has them; whatever is refused is refused with the URL, the reason and a way out.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Final, NoReturn
from urllib.parse import quote, unquote_to_bytes

from attrs import evolve, frozen

from trionng import _ffi
from trionng._base.errors import AddressInvalid, shown
from trionng._base.util import meant
from trionng._core import old_libnng

_Refuse = Callable[[str], NoReturn]

TCP: Final = frozenset({"tcp", "tcp4", "tcp6", "tls+tcp", "tls+tcp4", "tls+tcp6"})
WEB: Final = frozenset({"ws", "ws4", "ws6", "wss", "wss4", "wss6"})
FILES: Final = frozenset({"ipc", "unix"})
SCHEMES: Final = (*sorted(TCP | WEB | FILES), "abstract", "inproc")
_MEANT: Final = {
    "http": "ws", "https": "wss", "websocket": "ws", "ssl": "tls+tcp", "tls": "tls+tcp",
    "tcp+tls": "tls+tcp", "file": "ipc", "local": "ipc", "pgm": "tcp", "udp": "tcp",
}  # fmt: skip

# What sockaddr_un holds, without the zero byte after a path, or the one before an abstract name.
UNIX_MAX: Final = 107 if sys.platform.startswith("linux") else 103
_ANY_HOST: Final = ("", "*")
# Characters that RFC 3986 allows in a path without an escape; a query has one more.
_IN_PATH: Final = "/:@!$&'()*+,;=-._~"
_IN_QUERY: Final = _IN_PATH + "?"
# Characters that end a path or begin an escape: nng cannot serve a path that has them.
_NEVER_IN_PATH: Final = "%?#"


@frozen
class Url:
    """A URL that was read; for inproc, ipc and abstract all that follows the scheme is `rest`."""

    text: str
    scheme: str
    native: bytes
    host: str = ""
    port: str = ""
    rest: str = ""

    @property
    def wants_name(self) -> bool:
        """Whether the system chooses where a listener is, or which of all addresses it has."""
        return self.text == "abstract://" or (
            self.has_port and (self.port.strip("0") == "" or self.host in _ANY_HOST)
        )

    @property
    def has_port(self) -> bool:
        """Whether it names a host and a port."""
        return self.scheme in TCP or self.scheme in WEB

    def at(self, port: int, host: str | None) -> Url:
        """Return the same URL with what the system chose."""
        chosen = self.host if host is None or self.host not in _ANY_HOST else host
        number = str(port) if self.port or self.host in _ANY_HOST else ""
        where = f"{chosen}:{number}" if number else chosen
        return evolve(self, text=f"{self.scheme}://{where}{self.rest}", host=chosen, port=number)


def as_urls(option: str, urls: object) -> list[str]:
    """Return one URL or several, as a constructor or a service takes them, as a list."""
    if urls is None:
        return []
    if isinstance(urls, (str, bytes)) or not isinstance(urls, Iterable):
        return [as_text(option, urls)]
    return [as_text(option, each) for each in urls]


def as_text(operation: str, url: object) -> str:
    """Return a URL as text; bytes that are no UTF-8 stay what they are."""
    if isinstance(url, bytes):
        return url.decode("utf-8", "surrogateescape")
    if not isinstance(url, str):
        raise TypeError(f"{operation}: {_needed(url)}")
    return url


def _needed(url: object) -> str:
    if isinstance(url, os.PathLike):
        return f"a URL is str or bytes, not a path: write f'ipc://{{path}}' for {url!s}"
    return f"a URL is needed, such as 'tcp://127.0.0.1:5555', as str or bytes, not {_kind(url)}"


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def scheme_of(url: str) -> str:
    """Return the transport a URL names, in small letters."""
    return url.partition("://")[0].lower()


def meant_scheme(scheme: str) -> str:
    """Return what to add to the refusal of a transport: the one that was probably meant."""
    known = _MEANT.get(scheme)
    return f"; did you mean {known!r}?" if known else meant(scheme, SCHEMES)


def read_url(operation: str, url: str | bytes, *, listens: bool) -> Url:
    """Read a URL, or raise an exception that says how to write it.

    Raises:
        AddressInvalid: it has not the form its transport needs.
        TypeError: it is neither str nor bytes.
    """
    return _read(operation, as_text(operation, url), listens)


@functools.lru_cache(maxsize=256)
def _read(operation: str, text: str, listens: bool) -> Url:
    # Cached: it takes as long as to open a socket, and programs use few URLs, again and again.
    def refuse(why: str) -> NoReturn:
        raise AddressInvalid(f"{operation} {shown(text) or repr('')}: {why}", url=text)

    if "\0" in text:
        refuse("there is a zero byte in it, and libnng would read no further")
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        refuse(_without_scheme(text))
    text = f"{scheme}://{rest}"
    if scheme in FILES:
        return _path(text, scheme, rest, refuse)
    if scheme == "abstract":
        return _abstract(text, rest, refuse, listens=listens)
    if scheme in TCP or scheme in WEB:
        return _host_and_port(scheme, rest, refuse, listens=listens)
    try:
        return Url(text, scheme, text.encode("utf-8", "surrogateescape"), rest=rest)
    except UnicodeEncodeError:
        refuse("it has characters that no encoding has")


def _without_scheme(text: str) -> str:
    """Return how to write a URL that begins with no transport."""
    example = "such as tcp://127.0.0.1:5555, ipc:///run/app.sock or inproc://name"
    if not text.strip():
        return f"it is empty; a URL is needed, {example}"
    word, colon, rest = text.partition(":")
    if colon and word.lower() in SCHEMES:
        path = f"//{rest.lstrip('/')}" if word.lower() not in FILES else "///" + rest.lstrip("/")
        return f"two slashes follow the transport: {shown(f'{word.lower()}:{path}')}"
    if text.startswith(("/", ".", "~", "\\")):
        return f"it names no transport; for a path write {shown(f'ipc://{text}')}"
    if re.fullmatch(r"[\w.*-]*:\d+|\[[0-9a-fA-F:.]+\]:\d+", text):
        return f"it names no transport: write tcp://{text}"
    return f"it names no transport; a URL begins with one, {example}"


def _path(text: str, scheme: str, path: str, refuse: _Refuse) -> Url:
    if not path:
        refuse(f"it has no path; write {scheme}:///run/app.sock")
    try:
        size = len(os.fsencode(path))
        native = scheme.encode() + b"://" + os.fsencode(path)
    except UnicodeEncodeError:
        refuse("no file name can have such characters")
    if size > UNIX_MAX:
        refuse(
            f"its path has {size} bytes, and a socket of this system at most {UNIX_MAX}; use a "
            "shorter path, or one relative to the current folder"
        )
    return Url(text, scheme, native, rest=path)


def _abstract(text: str, name: str, refuse: _Refuse, *, listens: bool) -> Url:
    if re.search(r"%(?![0-9a-fA-F]{2})", name):
        refuse("% is followed by two hexadecimal digits there; a percent sign itself is %25")
    if not name and not listens:
        refuse("it has no name; only listen can leave that to the system, see listener.url")
    try:
        native = text.encode("utf-8", "surrogateescape")
        size = len(unquote_to_bytes(name.encode("utf-8", "surrogateescape")))
    except UnicodeEncodeError:
        refuse("it has characters that no encoding has")
    if size > UNIX_MAX:
        refuse(f"its name has {size} bytes, and it may have {UNIX_MAX}")
    if not name.isascii():
        # As AbstractAddr writes it: other programs may not know the encoding.
        text = f"abstract://{quote(name.encode('utf-8', 'surrogateescape'), safe=_IN_PATH + '%')}"
    return Url(text, "abstract", native, rest=name)


def _host_and_port(scheme: str, rest: str, refuse: _Refuse, *, listens: bool) -> Url:
    end = next((at for at, each in enumerate(rest) if each in "/?#"), len(rest))
    where, tail = rest[:end], rest[end:]
    if re.search(r"[\s\x00-\x1f\x7f]", where) or (scheme in TCP and tail.strip() != tail):
        refuse("there is white space in it")
    if not where.isascii():
        refuse(
            "a host name of other than ASCII letters is written in punycode, such as "
            "xn--bcher-kva.example"
        )
    if "@" in where:
        refuse("it has a user name, and no transport of nng sends one")
    host, port = _split(scheme, where, refuse)
    host = host.lower()
    if not listens and host in _ANY_HOST:
        refuse("it names no host; an empty one, or *, is for listening on every address")
    if port:
        _check_port(port, refuse, listens=listens)
    elif scheme in TCP:
        refuse(
            f"it has no port; write {scheme}://{host or '*'}:5555"
            + (", or :0 to let the system choose one, which listener.url then shows"
               if listens else "")
        )  # fmt: skip
    tail, served = (tail, tail) if scheme in TCP else _resource(tail, refuse, listens=listens)
    if scheme in TCP and tail not in ("", "/"):
        refuse(f"after the port of a {scheme} URL nothing follows, and here it is {tail!r}")
    where = f"{host}:{port}" if port else host
    native = f"{scheme}://{where}{served if listens else tail}"
    return Url(f"{scheme}://{where}{tail}", scheme, native.encode(), host, port, tail)


def _split(scheme: str, where: str, refuse: _Refuse) -> tuple[str, str]:
    """Return host and port; an IPv6 address keeps its brackets."""
    if where.startswith("["):
        match = re.fullmatch(r"(\[[^\]]+\])(?::(.*))?", where)
        if match is None:
            refuse(f"an IPv6 address is written as in {scheme}://[::1]:5555")
        if match[2] == "":
            refuse("it has a colon, and no port after it")
        return match[1], match[2] or ""
    if where.count(":") > 1:
        address, _, port = where.rpartition(":")
        refuse(f"an IPv6 address stands in brackets: {scheme}://[{address}]:{port}")
    host, colon, port = where.partition(":")
    if colon and not port:
        refuse("it has a colon, and no port after it")
    return host, port


def _check_port(port: str, refuse: _Refuse, *, listens: bool) -> None:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", port):
        return  # the name of a service, which the system knows or not
    if not port.isdecimal() or int(port) > 65535:
        refuse(f"{port!r} is no port; it is a number from 1 to 65535")
    if int(port) == 0 and not listens:
        refuse("port 0 is for listening; dial the port that listener.url shows")


def _resource(tail: str, refuse: _Refuse, *, listens: bool) -> tuple[str, str]:
    """Return the path and query of a ws URL as they are dialled, and as they are listened on.

    nng's HTTP server compares the path of a request, its escapes resolved, with that of the
    listener as it was given. So a listener is given its path without escapes.
    """
    tail, sharp, _ = tail.partition("#")
    if sharp:
        refuse("# begins a fragment, which a ws URL cannot have; in a path it is %23")
    path, mark, query = tail.partition("?")
    if re.search(r"%(?![0-9a-fA-F]{2})", tail):
        refuse("% is followed by two hexadecimal digits; a percent sign itself is %25")
    plain = unquote_to_bytes(path).decode("ascii", "replace")
    if not plain.isascii() or not plain.isprintable():
        refuse("nng knows only printable ASCII characters in the path of a ws URL")
    query = mark + quote(query, safe=_IN_QUERY + "%")
    if not listens:  # another server may tell %2F from a slash
        return quote(path, safe=_IN_PATH + "%") + query, ""
    if any(letter in plain for letter in _NEVER_IN_PATH):
        refuse("nng cannot serve a path with %, ? or #, escaped or not")
    escaped = quote(plain, safe=_IN_PATH)
    served = plain if _ffi.ws_is_hardened else old_libnng.misread_path(escaped)
    if served is None:
        refuse("libnng before 1.6 reads past the end of a path that ends with an escape")
    return escaped + query, served + query
