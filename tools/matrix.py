"""Runs `make test` on other versions of Debian, Python, libnng and Trio; keeps a table of results.

    python tools/matrix.py [ROW ...]     all rows without an argument; `list` names them
    python tools/matrix.py table         only write the table of docs/versions.md anew

Each row is a clean copy of what is committed: in a chroot of a Debian suite, or beside this
checkout. A row's output is in build/matrix/ROW.log, while it runs in row.log of its copy. Takes
some minutes a row; those that end in "-slow" are `make test-slow`, half an hour of processor time.
The environment's WORKERS and PYTEST_ARGS are passed to make.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from debian import APT, ROOT, Chroot, say, unpack_head

RESULTS = ROOT / "build/matrix"
DOCUMENT = ROOT / "docs/versions.md"
TABLE = re.compile(
    r"(?<=<!-- table: made by `make matrix` -->\n).*?(?=\n<!-- end of table -->)", re.DOTALL
)
HEAD = """\
| date, commit | row | Python | Trio, cffi, attrs | libnng, how linked | passed | failed | skipped |
| --- | --- | --- | --- | --- | --- | --- | --- |"""
SECONDS = 6 * 3600  # a slow row on a busy machine; a test that hangs ends by itself

# The oldest versions that pyproject.toml allows, all together.
OLDEST = ["trio==0.26.0", "attrs==23.2.0", "cffi==1.17.0", "pytest==9.0.0", "pytest-trio==0.8.0"]
DEBIAN = ["python3", "python3-venv", "python3-dev", "gcc", "libc6-dev", "make", "ca-certificates"]
ASK = """
import importlib.metadata as m, platform, sys, sysconfig, trionng
free = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
info = trionng.build_info()
print(platform.python_version() + free, "|", ", ".join(map(m.version, ("trio", "cffi", "attrs"))),
      "|", info.nng_version + ",", info.link)
"""


@dataclass
class Result:
    """The result of a row."""

    row: str
    date: str
    versions: str
    counts: dict[str, int] = field(default_factory=dict)

    def as_row(self) -> str:
        counts = [str(self.counts.get(key, 0)) for key in ("passed", "failed", "skipped")]
        cells = [self.date, self.row, *map(str.strip, self.versions.split("|")), *counts]
        return f"| {' | '.join(cells)} |"


Run = Callable[[list[str], dict[str, str]], "subprocess.CompletedProcess[str]"]


def in_chroot(name: str, suite: str, folder: str = "/root/trionng") -> Run:
    """Copy the tree into a chroot of the suite; return how to run a command there."""
    chroot = Chroot(name, suite)
    chroot.make(*DEBIAN)
    shutil.rmtree(chroot.root / folder.lstrip("/"), ignore_errors=True)
    chroot.copy_tree(folder)

    def run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        env = {"WITHOUT": "chromium", **env}  # half a gigabyte, which is the same everywhere
        return chroot.run(*command, cwd=folder, env=env, capture=True, timeout=SECONDS)

    return run


def beside(name: str) -> Run:
    """Copy the tree into build/; return how to run a command there."""
    folder = RESULTS / name
    shutil.rmtree(folder, ignore_errors=True)
    unpack_head(folder)

    def run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **env}
        environment.pop("MAKEFLAGS", None)
        return subprocess.run(
            ["env", "--default-signal=INT,QUIT", *command],
            cwd=folder,
            env=environment,
            text=True,
            capture_output=True,
            check=False,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )

    return run


def oldest(name: str) -> tuple[Run, dict[str, str]]:
    run = beside(name)
    constraints = RESULTS / f"{name}.txt"
    constraints.write_text("\n".join(OLDEST) + "\n", encoding="utf-8")
    return run, {"PIP_CONSTRAINT": str(constraints)}


def free_threaded(name: str) -> tuple[Run, dict[str, str]]:
    """Build Python without its GIL from Debian's source package unless it is there already."""
    run = in_chroot(name, "sid")
    chroot = Chroot(name, "sid")
    python = "/opt/python/bin/python3"
    if not (chroot.root / python.lstrip("/")).exists():
        say("building a free-threaded Python from Debian's source package")
        sources = chroot.root / "etc/apt/sources.list"
        line = sources.read_text(encoding="utf-8").splitlines()[0]
        sources.write_text(f"{line}\n{line.replace('deb ', 'deb-src ', 1)}\n", encoding="utf-8")
        chroot.run(*APT, "update", check=True, capture=True)
        needed = [
            "libssl-dev",
            "libffi-dev",
            "zlib1g-dev",
            "libsqlite3-dev",
            "libbz2-dev",
            "liblzma-dev",
            "xz-utils",
            "libreadline-dev",
            "uuid-dev",
            "dpkg-dev",
        ]
        chroot.install(*needed)
        # The mirror may lack the source package; then the variable names its tarball.
        given = os.environ.get("PYTHON_SOURCE")
        (chroot.root / "opt/source").mkdir(exist_ok=True)
        if given:
            shutil.copy(given, chroot.root / "opt/source/python.tar.xz")
        unpack = "tar -xf python.tar.xz" if given else "apt-get source -q python3.14"
        script = (
            f"cd /opt/source && {unpack} && cd [Pp]ython*3.14*/ && "
            "./configure -q --disable-gil --prefix=/opt/python && "
            f"make -s -j{os.cpu_count()} && make -s install"
        )
        chroot.run("sh", "-c", script, check=True, capture=True)
    return run, {"PYTHON": python}


def debian(suite: str, link: str = "static") -> Callable[[str], tuple[Run, dict[str, str]]]:
    return lambda name: (in_chroot(suite, suite, f"/root/{name}"), {"TRIONNG_LINK": link})


ROWS: dict[str, Callable[[str], tuple[Run, dict[str, str]]]] = {
    "newest": lambda name: (beside(name), {}),
    "oldest": oldest,
    "debian-13": debian("trixie"),
    "debian-13-shared": debian("trixie", "shared"),
    "sid": debian("sid"),
    "sid-shared": debian("sid", "shared"),
    "free-threaded": free_threaded,
    "debian-13-slow": debian("trixie"),
    "sid-slow": debian("sid"),
}


def run_row(name: str) -> Result:
    head = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(head, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    run, env = ROWS[name](name)
    target = "test-slow" if name.endswith("-slow") else "test"
    env |= {key: os.environ[key] for key in ("WORKERS", "PYTEST_ARGS") if key in os.environ}
    # Into a file too, so that a row that runs can be followed.
    watched = f"make {target} 2>&1 | tee row.log"
    done = run(["bash", "-o", "pipefail", "-c", watched], env)
    RESULTS.mkdir(parents=True, exist_ok=True)
    log = RESULTS / f"{name}.log"
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    asked = run([".venv/bin/python", "-W", "ignore", "-c", ASK], env)
    versions = asked.stdout.strip() or "? | ? | ?"
    summary = (
        re.findall(r"^=+ (.*(?:passed|failed|error).*) =+$", done.stdout, re.MULTILINE) or [""]
    )[-1]
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", summary)}
    counts["failed"] = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    if done.returncode != 0 and counts["failed"] == 0:
        counts["failed"] = 1
    today = datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
    result = Result(name, f"{today}, {commit.strip()}", versions, counts)
    (RESULTS / f"{name}.json").write_text(json.dumps(asdict(result)), encoding="utf-8")
    say(result.as_row())
    return result


def write_table() -> None:
    """Write each row that has a result into the document; the others stay."""
    text = DOCUMENT.read_text(encoding="utf-8")
    found = TABLE.search(text)
    if found is None:
        sys.exit(f"{DOCUMENT.name} has no place for the table")
    rows = {line.split("|")[2].strip(): line for line in found[0].splitlines()[2:]}
    for name in ROWS:
        stored = RESULTS / f"{name}.json"
        if stored.exists():
            rows[name] = Result(**json.loads(stored.read_text(encoding="utf-8"))).as_row()
    table = "\n".join([HEAD, *(rows[name] for name in ROWS if name in rows)])
    DOCUMENT.write_text(text[: found.start()] + table + text[found.end() :], encoding="utf-8")


def main(arguments: list[str]) -> int:
    if arguments == ["list"]:
        print("\n".join(ROWS))
        return 0
    wanted = [] if arguments == ["table"] else arguments or list(ROWS)
    unknown = [name for name in wanted if name not in ROWS]
    if unknown:
        sys.exit(f"no row {' '.join(unknown)}; there are: {' '.join(ROWS)}")
    results = [run_row(name) for name in wanted]
    write_table()
    return int(any(result.counts["failed"] for result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
