"""Take the picture of the page in examples/browser: `python docs/pictures/screenshot.py`.

It needs what the tests need (`make tools`): Chromium, Hypercorn and Quart. The measurements are by
chance, so each picture is another one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.chromium import Chromium, running_chromium  # noqa: E402
from tests.support.processes import PYTHON, other_process  # noqa: E402

PICTURE = Path(__file__).with_name("browser.png")
WIDTH, HEIGHT = 860, 470
APP = ROOT / "examples" / "browser" / "app.py"
# How long the temperature is wanted.
WANTED = ((19, 12), (24, 8), (16, 7))
WANT = """
    const slider = document.getElementById("wanted");
    slider.value = {};
    slider.dispatchEvent(new Event("change"));
"""


async def take(chromium: Chromium) -> bytes:
    """Return the picture of a page that has been open for a while."""
    async with other_process(*PYTHON, APP, "0", "0") as app:
        url = (await app.line()).removeprefix("open ")
        async with chromium.open_page(url, width=WIDTH, height=HEIGHT) as page:
            await page.wait_for("document.getElementById('temperature').textContent.endsWith('C')")
            for wanted, seconds in WANTED:
                await page.run(WANT.format(wanted))
                await trio.sleep(seconds)
            return await page.screenshot()


if __name__ == "__main__":
    with running_chromium() as chromium:
        PICTURE.write_bytes(trio.run(take, chromium))
