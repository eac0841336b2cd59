"""A headless Chromium for tests: one process, pages that run JavaScript, and what they show.

Tests drive it over the pipes of `--remote-debugging-pipe`: JSON, each message ended by a zero byte.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

NAMES = ("chromium", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip
# The shell gives it its pipes: it reads from descriptor 3 and writes to descriptor 4.
WITH_PIPES = ("sh", "-c", 'exec "$@" 3<&0 4>&1 0</dev/null 1>&2', "sh")

Reply = Mapping[str, Any]


def find_chromium() -> str | None:
    """Return the command of a Chromium, if one is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class ScriptError(Exception):
    """Say what a script in a page has thrown."""


class Chromium:
    """A running browser. Pages are opened in it one after the other, by one test at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._calls = 0
        self._unread = b""

    async def _receive(self, stream: trio.lowlevel.FdStream) -> Reply:
        while b"\0" not in self._unread:
            chunk = await stream.receive_some()
            if not chunk:
                raise AssertionError(f"Chromium ended with {self._process.wait()}")
            self._unread += chunk
        message, _, self._unread = self._unread.partition(b"\0")
        received: Reply = json.loads(message)
        return received

    async def call(self, method: str, session: str | None = None, **arguments: object) -> Reply:
        """Call a method of the DevTools protocol."""
        self._calls += 1
        number = self._calls
        message: dict[str, object] = {"id": number, "method": method, "params": arguments}
        if session is not None:
            message["sessionId"] = session
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Duplicates, which this Trio run owns.
        async with (
            trio.lowlevel.FdStream(os.dup(self._process.stdin.fileno())) as there,
            trio.lowlevel.FdStream(os.dup(self._process.stdout.fileno())) as back,
        ):
            await there.send_all(json.dumps(message).encode() + b"\0")
            while True:
                reply = await self._receive(back)
                if reply.get("id") == number:
                    assert "error" not in reply, reply
                    result: Reply = reply["result"]
                    return result

    @contextlib.asynccontextmanager
    async def open_page(
        self, url: str, *, width: int = 800, height: int = 600
    ) -> AsyncIterator[Page]:
        """Open a page for the time of a block, with storage of its own."""
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        try:
            opened = await self.call(
                "Target.createTarget", url="about:blank", browserContextId=context
            )
            target = opened["targetId"]
            session = await self.call("Target.attachToTarget", targetId=target, flatten=True)
            page = Page(self, session["sessionId"])
            await page.call(
                "Emulation.setDeviceMetricsOverride",
                width=width, height=height, deviceScaleFactor=1, mobile=False,
            )  # fmt: skip
            await page.call("Page.navigate", url=url)
            await page.wait_for("document.readyState === 'complete'")
            yield page
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(10):
                await self.call("Target.disposeBrowserContext", browserContextId=context)


class Page:
    """An open page."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session

    async def call(self, method: str, **arguments: object) -> Reply:
        """Call a method of the DevTools protocol."""
        return await self._browser.call(method, self._session, **arguments)

    async def run(self, body: str) -> Any:
        """Run the body of an async function in the page; return what it returns."""
        code = f"(async () => {{ {body} }})()"
        done = await self.call(
            "Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in done:
            thrown = done["exceptionDetails"]
            raise ScriptError(thrown.get("exception", {}).get("description", thrown["text"]))
        return done["result"].get("value")

    async def wait_for(self, condition: str) -> Any:
        """Wait until an expression is true; return its value."""
        return await self.run(
            f"for (;;) {{ const value = {condition}; if (value) return value;"
            " await new Promise((done) => setTimeout(done, 10)); }"
        )

    async def screenshot(self) -> bytes:
        """Return what the page looks like, a PNG."""
        taken = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(taken["data"])


@contextlib.contextmanager
def running_chromium(*flags: str) -> Iterator[Chromium]:
    """Run a browser for the time of a block."""
    command = find_chromium()
    assert command is not None
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        )
        errors = stack.enter_context(Path(home, "errors").open("wb"))
        process = subprocess.Popen(
            [*WITH_PIPES, command, *FLAGS, f"--user-data-dir={home}/profile", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
        )
        try:
            yield Chromium(process)
        finally:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()  # it ends with that pipe
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
