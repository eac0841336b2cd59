"""Builds the native side: reads nng/api/*.h, compiles nng/**/*.c into trionng/_ffi/.

    python build_ffi.py             build trionng._ffi._native in place, when something has changed
    python build_ffi.py --testing   build also trionng._ffi._native_testing, with its pause points
    python build_ffi.py --werror    build nothing; fail if a file of nng/ compiles with a warning

setup.py builds the same module for wheels; the test build is never part of one. How libnng comes
in, and what TRIONNG_LINK and NNG_PREFIX say, is in build_libnng.py. What a libnng can do is found
by macro or symbol, never by version: some releases of nng report the wrong one.
"""

from __future__ import annotations

import json
import os
import re
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cffi import FFI
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_libnng import (
    INSTALL,
    Linked,
    Nng,
    exit_if_lacking,
    find_nng,
    link_archive,
    run_compiler,
    symbols,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent
NATIVE = "trionng._ffi._native"
NATIVE_TESTING = "trionng._ffi._native_testing"

FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror=implicit-function-declaration"]
FLAGS += ["-pthread", "-fvisibility=hidden"]
# A libnng whose threads run is never unloaded, and no symbol of it is looked up later.
# No relaxation: binutils 2.40 takes `push foo@GOTPCREL(%rip)` of an archive made by gcc 16 for a
# call, and signing with an elliptic curve key crashes.
LINK_FLAGS = ["-pthread", "-Wl,--no-relax", "-Wl,-z,now", "-Wl,-z,nodelete"]
# Functions of nng that the shim uses only where they exist; nng/fixes/compat.h says how.
OPTIONAL: set[str] = set()

# cffi's own code is not ours to keep free of warnings; the files of nng/ are compiled without this.
SOURCE = """
#include "sock/sock.h"
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wcast-function-type"
#pragma GCC diagnostic ignored "-Wsign-compare"
#endif
"""


def free_threaded() -> bool:
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def limited_api() -> bool:
    """Say whether the module serves all of Python 3.10+; free-threaded and debug builds cannot."""
    return not free_threaded() and not hasattr(sys, "gettotalrefcount")


def c_sources() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("nng/**/*.c"))


def topic_headers() -> list[Path]:
    """List nng/api/*.h in the order the shim includes them; what C may not read comes last."""

    def follow(header: str) -> Iterator[str]:
        yield header
        text = (ROOT / "nng" / header).read_text(encoding="utf-8")
        for included in re.findall(r'^#include "(\w+/\w+\.h)"', text, re.MULTILINE):
            yield from follow(included)

    order = dict.fromkeys(name for name in follow("sock/sock.h") if name.startswith("api/"))
    others = {path.relative_to(ROOT / "nng").as_posix() for path in ROOT.glob("nng/api/*.h")}
    return [ROOT / "nng" / name for name in [*order, *sorted(others - set(order))]]


def declarations() -> str:
    """Return what Python may call, as cffi can read it."""
    lines = "".join(path.read_text(encoding="utf-8") for path in topic_headers()).splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def used_functions() -> set[str]:
    """List the functions of nng that the shim and cffi's code cannot do without."""
    text = declarations()
    for path in c_sources():
        text += (ROOT / path).read_text(encoding="utf-8")
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    called = re.findall(r"(?<!__wrap_)\b(nng_\w+)\s*\(", code)
    return {*called, *re.findall(r"\bnng_\w+_open\w*\b", code)} - OPTIONAL


def wrapped_functions(nng: Nng) -> list[str]:
    """List NAME of every `__wrap_NAME(` that a file of nng/ defines for this libnng."""
    names = set()
    for path in c_sources():
        if "__wrap_" in (ROOT / path).read_text(encoding="utf-8"):
            flags = [f"-I{ROOT / 'nng'}", "-DTNNG_LINKED_IN=1", *nng.compile_flags()]
            text = run_compiler("-E", "-P", *FLAGS, *flags, str(ROOT / path)).stdout
            names.update(re.findall(r"^\w[^;=\n]*?\b__wrap_(\w+)\(", text, re.MULTILINE))
    return sorted(names)


def about_the_build(nng: Nng, linked: Linked | None) -> str:
    """Return the C text that tells the shim how it was linked (nng/fixes/wrap.h)."""
    wrapped, uncalled = ([], []) if linked is None else (linked.wrapped, linked.uncalled)
    where = nng.shared if linked is None else os.environ.get("TRIONNG_NNG_ORIGIN", nng.archive)
    compat = (ROOT / "nng/fixes/compat.c").read_text(encoding="utf-8")
    there = (
        set() if nng.archive is None else symbols(nng.archive, "--defined-only", "--extern-only")
    )
    additions = sorted(there & set(re.findall(r'"(nng_\w+)"', compat)))
    return (
        f'const char tnng_build_link[] = "{nng.link()}";\n'
        f'const char tnng_build_wraps[] = "{" ".join(["", *wrapped, ""])}";\n'
        f'const char tnng_build_uncalled[] = "{" ".join(["", *uncalled, ""])}";\n'
        f"const char tnng_build_library[] = {json.dumps(str(where))};\n"
        f'const char tnng_build_version[] = "{".".join(map(str, nng.version))}";\n'
        f'const char tnng_build_functions[] = "{" ".join([*additions, ""])}";\n'
    )


def extension(module: str) -> Extension:
    """Describe a module; the rest is filled in when it is built."""
    return Extension(module, sources=[], py_limited_api=limited_api())


def fill_in(ext: Extension, nng: Nng, scratch: Path) -> None:
    """Generate cffi's code, link libnng's archive, and say how the module is made of them."""
    scratch.mkdir(parents=True, exist_ok=True)
    exit_if_lacking(nng, used_functions())
    linked = None
    macros = [("TNNG_TESTING", "1")] if ext.name == NATIVE_TESTING else []
    if not limited_api():
        # Without a value, as cffi defines it again where it cannot use the limited API itself.
        macros.append(("_CFFI_NO_LIMITED_API", ""))
    if nng.link() == "static":
        macros.append(("TNNG_LINKED_IN", "1"))
        linked = link_archive(nng, wrapped_functions(nng), scratch)
        script = scratch / "exports"
        script.write_text("{ global: PyInit_*; local: *; };\n", encoding="utf-8")
        ext.extra_objects = linked.objects
        ext.extra_link_args = [*LINK_FLAGS, f"-Wl,--version-script={script}"]
    else:
        ext.libraries = ["nng"]
        ext.library_dirs = nng.library_dirs
        ext.runtime_library_dirs = nng.library_dirs
        ext.extra_link_args = LINK_FLAGS if sys.platform == "linux" else ["-pthread"]
    ffi = FFI()
    ffi.cdef(declarations())
    ffi.set_source(ext.name, SOURCE + about_the_build(nng, linked))
    generated = scratch / f"{ext.name}.c"
    ffi.emit_c_code(str(generated))
    ext.sources = [os.path.relpath(generated, ROOT), *c_sources()]
    ext.include_dirs = ["nng", *nng.include_dirs]
    ext.define_macros = macros
    ext.extra_compile_args = FLAGS


class BuildNative(build_ext):
    """Builds native modules; in place only if something has changed."""

    def run(self) -> None:
        self.nng = find_nng()
        everything = self.extensions
        if self.inplace and not self.force:
            self.extensions = [ext for ext in everything if not self.is_fresh(ext)]
        for ext in self.extensions if self.inplace else []:
            stamp_of(ext).unlink(missing_ok=True)
        super().run()
        for ext in self.extensions if self.inplace else []:
            stamp_of(ext).parent.mkdir(parents=True, exist_ok=True)
            stamp_of(ext).write_text(json.dumps(fingerprint(self.nng)), encoding="utf-8")
        self.extensions = everything

    def is_fresh(self, ext: Extension) -> bool:
        """Say whether the module next to the sources was built from all that is here now."""
        try:
            remembered = json.loads(stamp_of(ext).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        # JSON has no tuples.
        now = json.loads(json.dumps(fingerprint(self.nng)))
        return remembered == now and Path(self.get_ext_fullpath(ext.name)).exists()

    def build_extension(self, ext: Extension) -> None:
        print(f"building {ext.name}", flush=True)
        self.force = True  # setuptools does not know all that a module depends on
        scratch = Path(self.build_temp).resolve() / ext.name
        before, self.build_temp = self.build_temp, str(scratch)
        # Where the Python that builds has its libraries is nothing to remember in the module.
        prefixes = [sysconfig.get_config_var("LIBDIR"), sys.base_prefix, sys.base_exec_prefix]
        own = tuple(f"-Wl,-rpath,{prefix}" for prefix in prefixes if prefix)
        self.compiler.linker_so = [each for each in self.compiler.linker_so if each not in own]
        fill_in(ext, self.nng, scratch)
        try:
            super().build_extension(ext)
        except (CompileError, LinkError) as error:
            number = ".".join(map(str, self.nng.version))
            sys.exit(f"trionng: {ext.name} was not built with libnng {number}: {error}")
        finally:
            self.build_temp = before
        exit_if_unresolved(Path(self.get_ext_fullpath(ext.name)), self.nng)


def stamp_of(ext: Extension) -> Path:
    return ROOT / "build" / ext.name / "stamp"


def exit_if_unresolved(output: Path, nng: Nng) -> None:
    """Leave with one sentence when a module that holds libnng still asks the loader for parts."""
    if nng.link() != "static":
        return
    ours = re.compile(r"(nng|nni|tnng|mbedtls|__wrap)_")
    missing = sorted(filter(ours.match, symbols(output, "--undefined-only", "--dynamic")))
    if missing:
        output.unlink()
        sys.exit(f"trionng: the module lacks {', '.join(missing)}: {INSTALL}.")


def fingerprint(nng: Nng) -> dict[str, object]:
    """Return all that a build in place depends on."""
    own = [Path(__file__), ROOT / "build_libnng.py", *ROOT.glob("nng/**/*.[ch]")]
    files = {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in own}
    files.update(
        {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in nng.files()}
    )
    names = ("NNG_PREFIX", "CC", "CFLAGS", "CPPFLAGS", "LDFLAGS")
    settings = {name: os.environ.get(name, "") for name in names}
    python = [sys.implementation.cache_tag, free_threaded()]
    return {"python": python, "link": nng.link(), "settings": settings, "files": files}


def build_in_place(module: str) -> None:
    """Build one module next to the sources unless nothing has changed since the last time."""
    distribution = Distribution({"name": "trionng", "ext_modules": [extension(module)]})
    distribution.cmdclass["build_ext"] = BuildNative
    command = distribution.get_command_obj("build_ext")
    command.inplace = True
    command.build_temp = str(ROOT / "build")
    command.build_lib = str(ROOT / "build" / module / "lib")  # not where a wheel collects its files
    command.ensure_finalized()
    command.run()


def complaints(nng: Nng, *flags: str) -> str:
    """Compile the files of nng/, which need no Python, and return what the compiler says."""
    with tempfile.TemporaryDirectory() as scratch:
        sources = [str(ROOT / path) for path in c_sources()]
        arguments = [*FLAGS, *flags, f"-I{ROOT / 'nng'}", *nng.compile_flags(), "-c", *sources]
        os.chdir(scratch)
        try:
            return run_compiler(*arguments).stderr
        finally:
            os.chdir(ROOT)


def main(arguments: list[str]) -> None:
    unknown = set(arguments) - {"--testing", "--werror"}
    if unknown:
        sys.exit(f"build_ffi.py: what is {' '.join(sorted(unknown))}? See the top of the file.")
    os.chdir(ROOT)
    if "--werror" in arguments:
        nng = find_nng()
        for flags in (["-DTNNG_LINKED_IN=1"], ["-DTNNG_LINKED_IN=1", "-DTNNG_TESTING=1"], []):
            if said := complaints(nng, "-Werror", *flags):
                sys.exit(said)
        return
    build_in_place(NATIVE)
    if "--testing" in arguments:
        build_in_place(NATIVE_TESTING)


if __name__ == "__main__":
    main(sys.argv[1:])
