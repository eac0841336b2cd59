"""Pages in Chromium: the example with live data and commands, and a page that may not connect."""

from __future__ import annotations

import signal
import struct
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio

import trionng
from tests.support.javascript import PAGE, serve_files
from tests.support.processes import PYTHON, ROOT, STRICT, other_process
from trionng.browser import SP_JS

if TYPE_CHECKING:
    from tests.support.chromium import Chromium

SECONDS = 120
# An old libnng warns of its WebSocket server.
WARNINGS = (*STRICT, "-W", "ignore:listen ws:RuntimeWarning")
EXAMPLE = (*PYTHON, *WARNINGS, ROOT / "examples" / "browser" / "app.py")
TEXT = "document.getElementById('{}').textContent"
# How many pixels have the color of the temperature.
DRAWN = """(() => {
    const canvas = document.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const drawn = (value, at) => at % 4 === 0 && value === 0xd1 && data[at + 1] === 0x48;
    return data.filter(drawn).length;
})()"""


async def test_example_page_draws_and_commands_and_survives_a_restart(chromium: Chromium):
    """Live data appears on the canvas, a command has its effect, a new server is found again."""
    with trio.fail_after(SECONDS):
        async with other_process(*EXAMPLE, "0", "0") as first:
            url = (await first.line()).removeprefix("open ")
            async with chromium.open_page(url) as page:
                drawn = await page.wait_for(DRAWN)
                await page.wait_for(f"{DRAWN} > {drawn}")
                await page.run(
                    "const slider = document.getElementById('wanted');"
                    "slider.value = 26; slider.dispatchEvent(new Event('change'));"
                )
                await page.wait_for(f"{TEXT.format('answer')} === 'the heater knows: 26.0 °C'")
                await page.wait_for(f"{TEXT.format('wanted-now')} === '26.0 °C'")  # live
                sockets = await page.run("return (await fetch('sockets.json')).json()")

                first.signal(signal.SIGTERM)
                assert await first.end() == (0, "", "")
                await page.wait_for(f"{TEXT.format('state')}.startsWith('no connection')")
                ports = [str(urlsplit(each).port) for each in (url, sockets["live"])]
                async with other_process(*EXAMPLE, *ports) as second:
                    assert await second.line() == f"open {url}"
                    await page.wait_for(f"{TEXT.format('state')} === 'live'")
                    await page.wait_for(f"{TEXT.format('wanted-now')} === '19.0 °C'")


async def test_page_of_another_origin_exchanges_no_message(chromium: Chromium):
    """Its connection ends before a message can pass, again and again; a page of ours is served."""
    script = """
        const { Req } = await import("/sp.js");
        const ends = [];
        await new Promise((done) => {
            const onstate = ({ connected, code }) => {
                if (!connected && ends.push(code) === 3) req.close().then(done);
            };
            const req = new Req(`URL/theirs`, { reconnectTimeMax: 10, onstate });
            req.request("let me in").then(() => ends.push("replied"), () => {});
        });
        const ours = new Req(`URL/ours`);
        return [ends.length, (await ours.request("hello")).text()];
    """
    requests = []

    async def upper(request: bytes) -> bytes:
        requests.append(request)
        return request.upper()

    with trio.fail_after(SECONDS):
        async with (
            serve_files({"/": PAGE, "/sp.js": SP_JS.read_bytes()}) as origin,
            trio.open_nursery() as nursery,
        ):
            theirs = await trionng.serve_rep(
                nursery,
                upper,
                listen="ws://127.0.0.1:0/theirs",
                accept=trionng.Admission(origins=["https://elsewhere.example"]),
            )
            url = theirs.url.removesuffix("/theirs")
            ours = await trionng.serve_rep(
                nursery, upper, listen=f"{url}/ours", accept=trionng.Admission(origins=[origin])
            )
            async with chromium.open_page(origin) as page:
                found = await page.run(script.replace("URL", url))
            rejected = theirs.socket.statistics().rejected
            await theirs.aclose()
            await ours.aclose()

    assert found == [3, "HELLO"]
    assert requests == [b"hello"]
    assert rejected >= 3


def test_picture_in_the_documentation_is_that_of_its_program():
    """It is a PNG of the size that docs/pictures/screenshot.py gives the page."""
    program = (ROOT / "docs/pictures/screenshot.py").read_text("utf-8")
    picture = (ROOT / "docs/pictures/browser.png").read_bytes()
    width, height = struct.unpack(">II", picture[16:24])

    assert picture.startswith(b"\x89PNG")
    assert f"WIDTH, HEIGHT = {width}, {height}\n" in program
