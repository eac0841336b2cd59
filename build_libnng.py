"""Finds a libnng, and makes its static library one object file that calls ours where we say so.

Where `libnng.a` is found it becomes part of the module (the default). The linker redirects the
calls of libnng's own objects to the functions `__wrap_NAME` of nng/fixes/ and nng/perf/, once and
only in that object (`ld -r --wrap=NAME`); no other user of libnng in the process is touched. Where
there is no archive, or with TRIONNG_LINK=shared, the module uses libnng.so as it is, and the fixes
that need such a redirection are off.

libnng is looked for in NNG_PREFIX, on the compiler's own paths, and next to nng-config.cmake, in
this order.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

INSTALL = (
    "install libnng 1.5.2 or a later 1.x with its headers (Debian: `apt-get install libnng-dev`), "
    "or set NNG_PREFIX to where it is installed"
)
CMAKE_ROOTS = ["/usr/local", "/usr", "/opt/homebrew", "/opt/local", "/opt/nng"]
OLDEST = (1, 5)

# What keeps Debian's archive from being position independent: the loader may copy these two
# variables of libc into an executable, never into a module. The shim has variables of its own.
RENAMED = {"stdout": "tnng_stdout", "stderr": "tnng_stderr"}

# Functions that an older libc lacks and a libnng built on a newer one calls. The object of libnng
# calls those of nng/fixes/compat_libc.c instead, whatever libc the build has: a wheel then runs on
# older systems than the one that it was built on.
COMPAT = {
    "__isoc23_strtol": "tnng_strtol",
    "__isoc23_strtoull": "tnng_strtoull",
    "strlcpy": "tnng_strlcpy",
    "arc4random": "tnng_arc4random",
}

TLS_ARCHIVES = ["libmbedtls.a", "libmbedx509.a", "libmbedcrypto.a"]


class Nng(NamedTuple):
    """Where a libnng is; empty lists of directories mean that the compiler finds it by itself."""

    include_dirs: list[str]
    library_dirs: list[str]
    header: Path
    version: tuple[int, int, int]
    archive: Path | None
    shared: Path | None

    def link(self) -> str:
        """Say how the module is linked with this libnng: "static" or "shared"."""
        wanted = os.environ.get("TRIONNG_LINK", "")
        if wanted not in ("", "static", "shared"):
            sys.exit(f"trionng: TRIONNG_LINK={wanted!r} is neither 'static' nor 'shared'.")
        if wanted == "static" and self.archive is None:
            sys.exit(f"trionng: TRIONNG_LINK=static, and there is no libnng.a: {INSTALL}.")
        if self.archive is None or wanted == "shared":
            return "shared"
        return "static"

    def files(self) -> list[Path]:
        """List the files of this libnng that a build depends on."""
        headers = sorted(self.header.parent.rglob("*.h"))
        archives = [self.archive, *tls_archives(self)] if self.link() == "static" else [self.shared]
        return [*headers, *(path for path in archives if path is not None)]

    def compile_flags(self) -> list[str]:
        return [f"-I{path}" for path in self.include_dirs]


def compiler() -> list[str]:
    """Return the command of the C compiler: CC, or the one that Python was built with."""
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def run_tool(*command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command with `text` on its standard input."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, env=environment
        )
    except FileNotFoundError:
        sys.exit(
            f"trionng: there is no {command[0]!r}; install it (Debian: `apt-get install gcc`)."
        )


def run_compiler(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return run_tool(*compiler(), *arguments, text=text)


def tool(name: str) -> str:
    """Return the binutils program that belongs to the compiler, which may be a cross compiler."""
    return run_compiler(f"-print-prog-name={name}").stdout.strip() or name


def find_nng() -> Nng:
    """Find a libnng that trionng can use, or leave with the sentence that helps."""
    for include_dirs, library_dirs in candidates():
        nng = look_at(include_dirs, library_dirs)
        if nng is None:
            continue
        number = ".".join(map(str, nng.version))
        where = f" in {include_dirs[0]}" if include_dirs else ""
        if nng.version[0] != 1 or nng.version < OLDEST:
            sys.exit(
                f"trionng: the libnng found{where} is {number}, and trionng needs 1.x from 1.5.2 "
                f"on: {INSTALL}."
            )
        if nng.archive is None and nng.shared is None:
            sys.exit(f"trionng: nng's headers are there{where}, its library is not: {INSTALL}.")
        return nng
    prefix = os.environ.get("NNG_PREFIX")
    where = f" in NNG_PREFIX={prefix}" if prefix else ""
    sys.exit(f"trionng: there is no libnng{where}: {INSTALL}.")


def candidates() -> list[tuple[list[str], list[str]]]:
    """List the folders where headers and libraries may be, best first."""
    prefix = os.environ.get("NNG_PREFIX")
    if prefix:
        return [below_prefix(Path(prefix).resolve())]
    roots = [*filter(None, os.environ.get("CMAKE_PREFIX_PATH", "").split(os.pathsep)), *CMAKE_ROOTS]
    configs = [
        config
        for root in roots
        for pattern in ("lib*/cmake/nng", "lib*/*/cmake/nng")
        for config in sorted(Path(root).glob(f"{pattern}/nng-config.cmake"))
    ]
    return [([], []), *(beside_cmake_config(config) for config in configs)]


def below_prefix(prefix: Path) -> tuple[list[str], list[str]]:
    multiarch = sysconfig.get_config_var("MULTIARCH") or "."
    folders = [prefix / "lib", prefix / "lib64", prefix / "lib" / multiarch]
    library = next((path for path in folders if any(path.glob("libnng.*"))), prefix / "lib")
    return [str(prefix / "include")], [str(library)]


def beside_cmake_config(config: Path) -> tuple[list[str], list[str]]:
    """Describe the libnng that wrote this nng-config.cmake into <libraries>/cmake/nng."""
    library = config.parents[2]
    prefix = next((up for up in library.parents if (up / "include/nng/nng.h").exists()), library)
    return [str(prefix / "include")], [str(library)]


def look_at(include_dirs: list[str], library_dirs: list[str]) -> Nng | None:
    """Describe the libnng whose headers and libraries are here; None if there are no headers."""
    text = (
        "#include <nng/nng.h>\ntnng_version NNG_MAJOR_VERSION NNG_MINOR_VERSION NNG_PATCH_VERSION\n"
    )
    answer = run_compiler("-E", "-x", "c", *(f"-I{path}" for path in include_dirs), "-", text=text)
    header = re.search(r'^# \d+ "(.*/nng/nng\.h)"', answer.stdout, re.MULTILINE)
    without_marks = re.sub(r"^#.*$", "", answer.stdout, flags=re.MULTILINE)
    version = re.search(r"^tnng_version\s+(\d+)\s+(\d+)\s+(\d+)", without_marks, re.MULTILINE)
    if answer.returncode != 0 or version is None or header is None:
        return None
    # The compiler looks on its own paths too, where another libnng may be.
    if include_dirs and not Path(include_dirs[0], "nng/nng.h").exists():
        return None
    major, minor, patch = version.groups()
    return Nng(
        include_dirs,
        library_dirs,
        Path(header[1]).resolve(),
        (int(major), int(minor), int(patch)),
        find_library("libnng.a", library_dirs),
        find_library("libnng.so", library_dirs) or find_library("libnng.dylib", library_dirs),
    )


def find_library(name: str, folders: list[str]) -> Path | None:
    """Find a library in the folders, or, when there are none, where the compiler looks."""
    if folders:
        found = [Path(folder, name) for folder in folders]
    else:
        found = [Path(run_compiler(f"-print-file-name={name}").stdout.strip())]
    return next((path.resolve() for path in found if path.is_absolute() and path.exists()), None)


def tls_archives(nng: Nng) -> list[Path]:
    """List the static libraries of mbedtls, beside libnng's or where the compiler looks."""
    found = [
        find_library(name, nng.library_dirs) or find_library(name, []) for name in TLS_ARCHIVES
    ]
    return [path for path in found if path is not None]


def symbols(path: Path, *options: str) -> set[str]:
    """List symbols of a file of the linker's, as nm has them with these options."""
    lines = run_tool(tool("nm"), *options, str(path)).stdout.splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if len(line.split()) >= 2}


def exit_if_lacking(nng: Nng, used: set[str]) -> None:
    """Leave with one sentence when the library lacks a function of nng that the shim calls."""
    if nng.link() == "static" and nng.archive is not None:
        there = symbols(nng.archive, "--defined-only", "--extern-only")
    elif nng.shared is not None and ".so" in nng.shared.name:
        there = symbols(nng.shared, "--dynamic", "--defined-only")
    else:
        return
    missing = sorted(used - there)
    if missing:
        number = ".".join(map(str, nng.version))
        sys.exit(f"trionng: the libnng found ({number}) lacks {', '.join(missing)}: {INSTALL}.")


class Linked(NamedTuple):
    """An object file with all of libnng, what else must be linked, and what it calls of ours."""

    objects: list[str]
    wrapped: list[str]
    uncalled: list[str]


def link_archive(nng: Nng, wraps: list[str], scratch: Path) -> Linked:
    """Make one object of libnng's archive, whose calls of `wraps` lead to ours."""
    scratch.mkdir(parents=True, exist_ok=True)
    output = scratch / "nng.o"
    flags = [f"--wrap={name}" for name in wraps]
    must_work(tool("ld"), "-r", *flags, "--whole-archive", str(nng.archive), "-o", str(output))
    undefined = symbols(output, "--undefined-only")
    renames = {name: ours for name, ours in {**RENAMED, **COMPAT}.items() if name in undefined}
    if renames:
        arguments = [f"--redefine-sym={name}={ours}" for name, ours in renames.items()]
        must_work(tool("objcopy"), *arguments, str(output))
    objects = [str(output)]
    if any(name.startswith("mbedtls_") for name in undefined):
        archives = tls_archives(nng)
        if len(archives) < len(TLS_ARCHIVES):
            sys.exit(
                "trionng: libnng.a uses mbedtls, and its static libraries are not there (Debian: "
                "`apt-get install libmbedtls-dev`); or set TRIONNG_LINK=shared."
            )
        objects += map(str, archives)
    defined = symbols(output, "--defined-only")
    wrapped = [name for name in wraps if f"__wrap_{name}" in undefined]
    return Linked(objects, wrapped, [name for name in wraps if name not in {*wrapped, *defined}])


def must_work(*command: str) -> None:
    answer = run_tool(*command)
    if answer.returncode != 0:
        sys.exit(f"trionng: {shlex.join(command)} failed:\n{answer.stderr}")
