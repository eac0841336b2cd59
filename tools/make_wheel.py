"""Makes the wheel: libnng linked in, the manylinux tag of this machine's glibc, stripped, abi3.

    python tools/make_wheel.py [SUITE]
    python tools/make_wheel.py --suite     only say which one is shipped

SUITE is the Debian suite whose libnng the wheel carries; `host` takes the one installed here.
docs/versions.md says which one a release carries, and why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from debian import ROOT, fetch_nng, say

SHIPPED = "sid"


def check_contents(wheel: Path) -> None:
    """Fail if the wheel contains parts of the tests, or lacks the native module or JavaScript."""
    names = zipfile.ZipFile(wheel).namelist()
    unwanted = [name for name in names if "testing" in name and "/_ffi/" in name]
    libraries = [name for name in names if ".libs/" in name]
    needed = ["trionng/_ffi/_native", "trionng/browser/sp.js", "trionng/browser/sp.d.ts"]
    missing = [start for start in needed if not any(name.startswith(start) for name in names)]
    if unwanted or libraries or missing:
        sys.exit(f"{wheel.name} is wrong: {unwanted or libraries or f'lacks {missing}'}")
    exported = exports(wheel, next(name for name in names if name.startswith(needed[0])))
    if not exported or any(not name.startswith("PyInit_") for name in exported):
        sys.exit(f"{wheel.name} is wrong: its module exports {', '.join(exported) or 'nothing'}")


def exports(wheel: Path, module: str) -> list[str]:
    """List what the module in the wheel offers to the loader; fail if it is not stripped."""
    with tempfile.TemporaryDirectory() as scratch:
        path = zipfile.ZipFile(wheel).extract(module, scratch)
        nm = ["nm", "--defined-only", path]
        if subprocess.run(nm, check=True, capture_output=True, text=True).stdout:
            sys.exit(f"{wheel.name} is wrong: its module is not stripped")
        dynamic = subprocess.run([*nm, "--dynamic"], check=True, capture_output=True, text=True)
    return [line.split()[-1] for line in dynamic.stdout.splitlines()]


def main(arguments: list[str]) -> None:
    if arguments == ["--suite"]:
        print(SHIPPED)
        return
    suite = arguments[0] if arguments else SHIPPED
    environment = {**os.environ, "TRIONNG_LINK": "static"}
    if suite != "host":
        environment["NNG_PREFIX"] = str(fetch_nng(suite))
        # For build_info(): the path of the archive means nothing on other machines.
        environment["TRIONNG_NNG_ORIGIN"] = f"libnng.a of Debian {suite}"
    dist = ROOT / "dist"
    dist.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        # From the sdist, so that the wheel shows that the sdist is complete.
        build = [sys.executable, "-m", "build", "--outdir", scratch, str(ROOT)]
        subprocess.run(build, check=True, env=environment, stdout=subprocess.DEVNULL)
        (built,) = Path(scratch).glob("*.whl")
        (sdist,) = Path(scratch).glob("*.tar.gz")
        for old in dist.glob("trionng-*"):
            old.unlink()
        repair = [sys.executable, "-m", "auditwheel", "repair", "--strip", "-w", str(dist)]
        tools = str(Path(sys.executable).parent)
        path = {**environment, "PATH": f"{tools}{os.pathsep}{environment['PATH']}"}
        subprocess.run([*repair, str(built)], check=True, env=path)
        shutil.copy(sdist, dist)
    (wheel,) = dist.glob("*.whl")
    check_contents(wheel)
    say(f"{wheel.relative_to(ROOT)}: {wheel.stat().st_size / 1e6:.2f} MB, nng of {suite}")


if __name__ == "__main__":
    main(sys.argv[1:])
