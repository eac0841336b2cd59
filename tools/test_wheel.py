"""Installs the wheel on a bare Debian (Python, no compiler, no libnng) and uses it there.

    python tools/test_wheel.py [SUITE]

Runs the demo, the examples of the README, and round trips over every transport, tls and ws too.
"""

from __future__ import annotations

import shutil
import sys

from debian import ROOT, Chroot, say

BARE = """
import ctypes.util, shutil
for command in ("gcc", "cc", "clang"):
    assert shutil.which(command) is None, f"there is a {command}"
for library in ("nng", "mbedtls"):
    assert ctypes.util.find_library(library) is None, f"there is a lib{library}"
"""

README = """
import re, subprocess, sys
with open("README.md", encoding="utf-8") as file:
    text = file.read()
blocks = re.findall(r"^```python\\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
assert blocks
for block in blocks:
    subprocess.run([sys.executable, "-W", "error", "-c", block], check=True, timeout=60)
print(len(blocks), "examples of the README ran")
"""

ROUND_TRIPS = """
import sys, trio, trionng, trustme, warnings
# What a ws listener of an old libnng says (S3); nothing else may warn.
warnings.filterwarnings("ignore", ".*WebSocket server of libnng before 1.6", RuntimeWarning)
ca = trustme.CA()
cert = ca.issue_cert("localhost")
chain = b"".join(pem.bytes() for pem in cert.cert_chain_pems)
key = cert.private_key_pem.bytes()
server = trionng.TLSConfig.server(own_cert_string=chain, own_key_string=key)
client = trionng.TLSConfig.client(ca_string=ca.cert_pem.bytes(), server_name="localhost")

async def round_trip(listen, **tls):
    async with trionng.Rep0() as rep, trionng.Req0() as req, trio.open_nursery() as nursery:
        listener = rep.listen(listen, tls_config=server if tls else None)
        await req.dial(listener.url, block=True, tls_config=client if tls else None)
        async def answer():
            async for request in rep:
                await rep.send(request.upper())
        nursery.start_soon(answer)
        with trio.fail_after(20):
            assert await req.request(b"hello") == b"HELLO"
        print("round trip over", listener.url.split(":")[0])
        nursery.cancel_scope.cancel()

async def main():
    for url in ("inproc://a", "ipc:///tmp/a.sock", "abstract://a", "tcp://127.0.0.1:0"):
        await round_trip(url)
    await round_trip("ws://127.0.0.1:0/a")
    await round_trip("tls+tcp://127.0.0.1:0", tls=True)
    await round_trip("wss://127.0.0.1:0/a", tls=True)

trio.run(main)
from trionng.browser import SP_D_TS, SP_JS
print(SP_JS.name, len(SP_JS.read_text("utf-8").splitlines()), "lines;", SP_D_TS.stat().st_size > 0)
print(trionng.build_info())
"""


def main(arguments: list[str]) -> None:
    suite = arguments[0] if arguments else "bookworm"
    wheels = list((ROOT / "dist").glob("*.whl"))
    if len(wheels) != 1:
        sys.exit("make the wheel first: make wheel")
    chroot = Chroot(f"bare-{suite}", suite)
    chroot.make("python3", "python3-venv", "ca-certificates")
    home = chroot.root / "root/wheel-test"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    shutil.copy(wheels[0], home)
    shutil.copy(ROOT / "README.md", home)
    inside = "/root/wheel-test"
    python = f"{inside}/venv/bin/python"
    chroot.run("python3", "-c", BARE, check=True)
    chroot.run("python3", "-m", "venv", "venv", cwd=inside, check=True)
    install = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    chroot.run(*install, wheels[0].name, "trustme", cwd=inside, check=True)
    chroot.run(python, "-m", "trionng", "demo", cwd=inside, check=True, timeout=120)
    for text in (README, ROUND_TRIPS):
        chroot.run(python, "-W", "error", "-c", text, cwd=inside, check=True, timeout=300)
    say(f"{wheels[0].name} works on a bare {suite}")


if __name__ == "__main__":
    main(sys.argv[1:])
