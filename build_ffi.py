"""Builds the native side: finds libnng, reads nng/api_*.h, compiles nng/*.c into trionng/_ffi/.

    python build_ffi.py             build trionng._ffi._native in place, when something has changed
    python build_ffi.py --testing   build also trionng._ffi._native_testing, with its pause points
    python build_ffi.py --werror    build nothing; fail if a file of nng/ compiles with a warning

setup.py names `native` for wheels; the test build is never part of one. libnng is looked for in
NNG_PREFIX, on the compiler's own paths, and next to nng-config.cmake, in this order. Its features
are found by macro or symbol, never by version: some releases of nng report the wrong one.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple

from cffi import FFI

ROOT = Path(__file__).resolve().parent
NATIVE = "trionng._ffi._native"
NATIVE_TESTING = "trionng._ffi._native_testing"

INSTALL = (
    "install libnng 1.5.2 or a later 1.x with its headers (Debian: `apt-get install libnng-dev`), "
    "or set NNG_PREFIX to where it is installed"
)
FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-pthread"]

# cffi's own code is not ours to keep free of warnings; the files of nng/ are compiled without this.
SOURCE = """
#include "internal.h"
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wcast-function-type"
#pragma GCC diagnostic ignored "-Wsign-compare"
#endif
"""

CMAKE_ROOTS = ["/usr/local", "/usr", "/opt/homebrew", "/opt/local", "/opt/nng"]


class Nng(NamedTuple):
    """Where a libnng is; empty lists mean the compiler finds it by itself."""

    include_dirs: list[str]
    library_dirs: list[str]
    rpath: list[str]

    def is_there(self) -> bool:
        """Say whether the directories hold a libnng, lest the compiler quietly take another one."""
        headers = all(Path(path, "nng/nng.h").exists() for path in self.include_dirs)
        return headers and all(any(Path(path).glob("libnng.*")) for path in self.library_dirs)

    def compile_flags(self) -> list[str]:
        return [f"-I{path}" for path in self.include_dirs]

    def link_flags(self) -> list[str]:
        flags = [f"-L{path}" for path in self.library_dirs]
        flags += [f"-Wl,-rpath,{path}" for path in self.rpath]
        return [*flags, "-lnng", "-pthread"]


def run_compiler(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run the C compiler Python was built with (or CC) with `text` on its standard input."""
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    command = [*shlex.split(compiler), *arguments]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, env=environment
        )
    except FileNotFoundError:
        sys.exit(
            f"trionng: no C compiler {command[0]!r}; install one (Debian: `apt-get install gcc`)."
        )


def header_version(nng: Nng) -> tuple[int, int, int] | None:
    """Say which version the headers are of, or None when there are no headers."""
    text = (
        "#include <nng/nng.h>\ntnng_version NNG_MAJOR_VERSION NNG_MINOR_VERSION NNG_PATCH_VERSION\n"
    )
    answer = run_compiler("-E", "-P", "-x", "c", *nng.compile_flags(), "-", text=text)
    found = re.search(r"^tnng_version (\d+) (\d+) (\d+)", answer.stdout, re.MULTILINE)
    if answer.returncode != 0 or found is None:
        return None
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch)


def has_symbol(nng: Nng, name: str) -> bool:
    """Say whether the headers declare `name` and the library has it."""
    text = f"#include <nng/nng.h>\nint main(void) {{ return (void *) &{name} == 0; }}\n"
    with tempfile.TemporaryDirectory() as scratch:
        output = str(Path(scratch, "probe"))
        arguments = ["-x", "c", *nng.compile_flags(), "-", "-o", output, *nng.link_flags()]
        return run_compiler(*arguments, text=text).returncode == 0


def candidates() -> list[Nng]:
    """List the places where libnng may be, best first."""
    prefix = os.environ.get("NNG_PREFIX")
    if prefix:
        return [at_prefix(Path(prefix).resolve())]
    roots = [*filter(None, os.environ.get("CMAKE_PREFIX_PATH", "").split(os.pathsep)), *CMAKE_ROOTS]
    configs = [
        config
        for root in roots
        for pattern in ("lib*/cmake/nng", "lib*/*/cmake/nng")
        for config in sorted(Path(root).glob(f"{pattern}/nng-config.cmake"))
    ]
    return [Nng([], [], []), *(beside_cmake_config(config) for config in configs)]


def at_prefix(prefix: Path) -> Nng:
    """Describe the libnng installed under `prefix`, which is not on the loader's path."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or "."
    libraries = [prefix / "lib", prefix / "lib64", prefix / "lib" / multiarch]
    library = next((path for path in libraries if any(path.glob("libnng.*"))), prefix / "lib")
    return Nng([str(prefix / "include")], [str(library)], [str(library)])


def beside_cmake_config(config: Path) -> Nng:
    """Describe the libnng that wrote this nng-config.cmake into <libraries>/cmake/nng."""
    library = config.parents[2]
    prefix = next((up for up in library.parents if (up / "include/nng/nng.h").exists()), library)
    return Nng([str(prefix / "include")], [str(library)], [str(library)])


def find_nng() -> Nng:
    """Find a libnng we can use, or leave with the sentence that helps."""
    for nng in candidates():
        version = header_version(nng) if nng.is_there() else None
        if version is None:
            continue
        where = f" in {nng.include_dirs[0]}" if nng.include_dirs else ""
        if version[0] != 1:
            number = ".".join(map(str, version))
            sys.exit(
                f"trionng: the libnng found{where} is {number}, and trionng needs 1.x: {INSTALL}."
            )
        if not has_symbol(nng, "nng_version"):
            sys.exit(f"trionng: nng's headers are there{where}, its library is not: {INSTALL}.")
        return nng
    prefix = os.environ.get("NNG_PREFIX")
    where = f" in NNG_PREFIX={prefix}" if prefix else ""
    sys.exit(f"trionng: there is no libnng{where}: {INSTALL}.")


def c_sources() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("nng/*.c"))


def topic_headers() -> list[Path]:
    """List nng/api_*.h in the order internal.h includes them; what C may not read comes last."""
    internal = (ROOT / "nng/internal.h").read_text(encoding="utf-8")
    order = re.findall(r'^#include "(api_\w+\.h)"', internal, re.MULTILINE)
    others = {path.name for path in ROOT.glob("nng/api_*.h")} - set(order)
    return [ROOT / "nng" / name for name in [*order, *sorted(others)]]


def declarations() -> str:
    """Return what Python may call, as cffi can read it."""
    lines = "".join(path.read_text(encoding="utf-8") for path in topic_headers()).splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def compile_as_program(nng: Nng, *flags: str) -> subprocess.CompletedProcess[str]:
    """Compile and link the files of nng/, which need no Python, as a program that does nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        main = Path(scratch, "main.c")
        main.write_text("int main(void) { return 0; }\n", encoding="utf-8")
        sources = [str(ROOT / path) for path in c_sources()]
        arguments = [*FLAGS, *flags, f"-I{ROOT / 'nng'}", *nng.compile_flags(), *sources, str(main)]
        return run_compiler(*arguments, "-o", str(Path(scratch, "main")), *nng.link_flags())


def header_text(nng: Nng) -> str:
    """Return all of nng's headers as one text."""
    answer = run_compiler("-M", "-x", "c", *nng.compile_flags(), "-", text="#include <nng/nng.h>\n")
    folder = re.search(r"(\S+)/nng\.h\b", answer.stdout)
    headers = sorted(Path(folder[1]).rglob("*.h")) if folder else []
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in headers)


def refuse_missing_symbols(nng: Nng) -> None:
    """Leave with one sentence when the library, or its headers, lack a name that nng/*.c use."""
    said = compile_as_program(nng).stderr
    not_linked = re.findall(r"undefined reference to [`'](nng_\w+)'", said)
    not_linked += re.findall(r'"_(nng_\w+)", referenced from', said)
    undeclared = re.findall(r"'((?:nng|NNG)_\w+)' undeclared", said)
    undeclared += re.findall(r"implicit declaration of function '(nng_\w+)'", said)
    known = set(re.findall(r"\w+", header_text(nng))) if undeclared else set()
    missing = sorted({*not_linked, *undeclared} - (known - {*not_linked}))
    if missing:
        sys.exit(f"trionng: the libnng found lacks {', '.join(missing)}: {INSTALL}.")


def builder(module: str, *, testing: bool) -> FFI:
    nng = find_nng()
    refuse_missing_symbols(nng)
    ffi = FFI()
    ffi.cdef(declarations())
    ffi.set_source(
        module,
        SOURCE,
        sources=c_sources(),
        depends=[path.relative_to(ROOT).as_posix() for path in ROOT.glob("nng/*.h")],
        include_dirs=["nng", *nng.include_dirs],
        library_dirs=nng.library_dirs,
        runtime_library_dirs=nng.rpath,
        libraries=["nng"],
        define_macros=[("TNNG_TESTING", "1")] if testing else [],
        extra_compile_args=FLAGS,
        extra_link_args=["-pthread"],
    )
    return ffi


def native() -> FFI:
    """Describe the module that is shipped (called by cffi's `cffi_modules`)."""
    return builder(NATIVE, testing=False)


def native_testing() -> FFI:
    """Describe the test build (called by cffi's `cffi_modules`)."""
    return builder(NATIVE_TESTING, testing=True)


def build_in_place(module: str, factory: str) -> None:
    """Build one module next to the sources unless nothing has changed since the last time."""
    inputs = [Path(__file__), *ROOT.glob("nng/*.[ch]")]
    settings = [os.environ.get(name, "") for name in ("NNG_PREFIX", "CC", "CFLAGS", "LDFLAGS")]
    scratch = ROOT / "build" / module
    stamp = scratch / "stamp"
    key = repr([sys.implementation.cache_tag, sorted(map(str, inputs)), settings])
    if stamp.exists():
        remembered, output = stamp.read_text(encoding="utf-8").splitlines()
        newest = max(path.stat().st_mtime for path in inputs)
        built = Path(output)
        if remembered == key and built.exists() and built.stat().st_mtime >= newest:
            return

    from setuptools import Distribution
    from setuptools.errors import CompileError, LinkError

    print(f"building {module}", flush=True)
    distribution = Distribution({"name": "trionng", "cffi_modules": [f"build_ffi.py:{factory}"]})
    command = distribution.get_command_obj("build_ext")
    command.inplace = True
    command.force = True
    command.build_temp = str(scratch)
    command.build_lib = str(scratch / "lib")  # not where a wheel collects its files
    command.ensure_finalized()
    try:
        command.run()
    except (CompileError, LinkError) as error:
        sys.exit(f"build_ffi.py: {module} was not built: {error}")
    output = command.get_ext_fullpath(module)
    stamp.write_text(f"{key}\n{ROOT / output}\n", encoding="utf-8")


def main(arguments: list[str]) -> None:
    unknown = set(arguments) - {"--testing", "--werror"}
    if unknown:
        sys.exit(f"build_ffi.py: what is {' '.join(sorted(unknown))}? See the top of the file.")
    os.chdir(ROOT)
    if "--werror" in arguments:
        nng = find_nng()
        for flags in (["-Werror"], ["-Werror", "-DTNNG_TESTING=1"]):
            answer = compile_as_program(nng, *flags)
            if answer.returncode != 0:
                sys.exit(answer.stderr)
        return
    build_in_place(NATIVE, "native")
    if "--testing" in arguments:
        build_in_place(NATIVE_TESTING, "native_testing")


if __name__ == "__main__":
    main(sys.argv[1:])
