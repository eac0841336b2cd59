"""What the native module is made of: libnng inside it, nothing of it outside, and build_info()."""

from __future__ import annotations

import ctypes
import importlib
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import attrs
import pytest
import trio

import trionng
import trionng.blocking
from tests.support.fixes import LINK, fix_state
from tests.support.processes import environment
from tests.support.subprocesses import run_in_subprocess, run_test_build
from trionng._ffi import load
from trionng.testing import new_url

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(trionng.__file__).parent

is_static = pytest.mark.skipif(LINK != "static", reason="libnng is not linked in")


def native_files() -> list[Path]:
    return sorted((PACKAGE / "_ffi").glob("_native*.so"))


def tool(*command: object) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return done.stdout


def builder(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of the build; it changes nothing of the modules there are."""
    return subprocess.run(
        [sys.executable, "-c", f"from build_ffi import *\n{code}"],
        cwd=ROOT, env=environment(**environ), capture_output=True, text=True, check=False,
    )  # fmt: skip


# What is inside, and what is outside.


@is_static
@pytest.mark.parametrize("path", native_files(), ids=lambda path: path.name)
def test_module_exports_its_entry_and_nothing_else(path):
    """No other library can take a symbol of nng, mbedtls or the shim for its own."""
    lines = tool("nm", "--dynamic", "--defined-only", path).splitlines()

    exported = [line.split()[-1] for line in lines]

    assert [name for name in exported if not name.startswith("PyInit_")] == []


@is_static
@pytest.mark.parametrize("path", native_files(), ids=lambda path: path.name)
def test_module_asks_the_loader_for_libc_and_python_alone(path):
    """A symbol of nng that was asked of the loader could come from another user's libnng."""
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", tool("readelf", "--dynamic", path))
    undefined = tool("nm", "--dynamic", "--undefined-only", path)

    assert {name.split(".so")[0] for name in needed} <= {"libc", "ld-linux-x86-64", "libpthread"}
    assert re.findall(r"\b(?:nng|nni|tnng|mbedtls|__wrap)_\w+", undefined) == []
    # Of a libc newer than a wheel asks for; the shim has these for libnng.
    assert re.findall(r"\b(?:arc4random|strlcpy)\b", undefined) == []


@pytest.mark.parametrize("path", native_files(), ids=lambda path: path.name)
def test_module_knows_no_folder_of_the_python_that_built_it(path):
    """The module finds its libraries where the system, or NNG_PREFIX, has them."""
    paths = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.+)\]", tool("readelf", "--dynamic", path))

    assert [each for each in paths if each.startswith(sys.base_prefix)] == []


@is_static
def test_every_wrapper_of_the_shim_is_called_by_libnng():
    """A wrapper that the linker found no call for would be a fix that is silently off."""
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("nng/**/*.c"))
    defined = re.findall(r"^\w[^;=\n]*?\b__wrap_(\w+)\(", sources, re.MULTILINE)

    others = {"accept4"}  # where a libnng was built to call it
    assert defined
    assert [name for name in {*defined} - others if not load.lib.tnng_wraps(name.encode())] == []


# The process is left alone.


def linkage(library: str) -> dict[str, bytes]:
    """Read, from memory, the tables through which a loaded library calls functions of others."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        lines = [line.split() for line in maps if library in line]
    base, path = int(lines[0][0].split("-")[0], 16), lines[0][5]
    sections = tool("readelf", "--wide", "--section-headers", path)
    tables = re.findall(r"(\.got\S*|\.data\.rel\.ro)\s+\S+\s+(\w+) \w+ (\w+)", sections)
    assert tables
    return {
        name: ctypes.string_at(base + int(address, 16), int(size, 16))
        for name, address, size in tables
    }


def exchange() -> None:
    for scheme in ("inproc", "tcp", "ws"):
        with trionng.blocking.Rep0() as rep, trionng.blocking.Req0() as req:
            req.dial(rep.listen(new_url(scheme, "")).url)
            req.send(b"ping")
            rep.send(rep.recv(timeout=60))
            assert req.recv(timeout=60) == b"ping"


def use_beside_libnng() -> None:
    ctypes.CDLL("libnng.so.1", mode=os.RTLD_NOW)
    before = linkage("libnng.so")
    exchange()
    assert linkage("libnng.so") == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_use_of_sockets_changes_nothing_of_another_libnng():
    """The functions that a libnng.so.1 in the process calls are those it called before."""
    finished = run_in_subprocess(use_beside_libnng)

    assert finished.clean, finished


def wait_in_callbacks(library: str) -> None:
    other = ctypes.CDLL(library)
    other.other_round.restype = ctypes.c_double
    assert other.other_open() == 0
    rounds = [other.other_round() for _ in range(8)]
    exchange()
    rounds += [other.other_round() for _ in range(8)]
    with trionng.blocking.Pair0():
        rounds += [other.other_round() for _ in range(8)]
    assert max(rounds) < 1, rounds


def test_other_user_of_libnng_runs_as_without_us(tmp_path):
    """A callback of another user of libnng.so.1 may wait for another callback, as ever."""
    library = tmp_path / "libother.so"
    source = Path(__file__).with_name("other_user.c")
    tool("gcc", "-shared", "-fPIC", "-pthread", "-o", library, source, "-l:libnng.so.1")

    finished = run_in_subprocess(wait_in_callbacks, str(library))

    assert finished.code == 0, finished


def talk_to_pynng() -> None:
    pynng = importlib.import_module("pynng")
    for _ in range(20):
        with (
            pynng.Pair0(recv_timeout=60_000, send_timeout=60_000) as theirs,
            trionng.blocking.Pair0() as ours,
        ):
            theirs.dial(ours.listen(new_url("tcp", "")).url, block=True)
            theirs.send(b"there")
            assert ours.recv(timeout=60) == b"there"
            ours.send(b"and back", timeout=60)
            assert theirs.recv() == b"and back"


def test_pynng_in_the_same_process_works_beside_us():
    """Two copies of nng in one process do not know of each other."""
    pytest.importorskip("pynng", reason="pynng is not installed")

    finished = run_in_subprocess(talk_to_pynng)

    assert finished.code == 0, finished


def load_both_builds() -> None:
    from trionng._ffi._native_testing import ffi, lib

    socket = ffi.new("tnng_socket **")
    for _ in range(3):
        assert lib.tnng_socket_open(socket, lib.TNNG_PAIR0, False) == 0
        exchange()
        lib.tnng_socket_destroy(socket[0])


def test_test_build_beside_the_shipped_one_is_another_nng():
    """Both modules may be loaded in one process."""
    finished = run_in_subprocess(load_both_builds, TRIONNG_NATIVE="shipped")

    assert finished.code == 0, finished


# What build_info says.


def test_build_info_tells_libnng_its_parts_and_its_transports():
    """The facts for a report of an error, in one frozen object."""
    info = trionng.build_info()

    assert info.nng_version == trionng.nng_version
    assert re.match(r"1\.\d+\.\d+", info.headers)
    assert info.link == LINK
    assert Path(info.library).name.startswith("libnng.")
    assert {"inproc", "ipc", "tcp"} <= set(info.transports)
    assert (info.tls is not None) == ("tls+tcp" in info.transports)
    assert set(info.fixes) >= {"C9", "H1", "H2", "H3"}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        info.link = "other"
    for word in ("libnng", info.link, info.nng_version):
        assert word in repr(info)
    assert str(info).splitlines()[0].startswith(f"libnng {info.nng_version}, ")
    assert trionng.blocking.build_info() == info


def test_build_info_has_the_fixes_that_the_way_of_linking_allows():
    """Linked in, none is missing; else those are off that need libnng's own calls, and say so."""
    info = trionng.build_info()

    missing = {code for code, fix in info.fixes.items() if fix.needed and not fix.active}

    assert info.wakeups_coalesced == (LINK == "static")
    if LINK == "static":
        assert not missing
    else:
        assert {"C9", "H1", "H2", "H3"} <= missing
        assert {info.fixes[code].reason for code in missing} == {"libnng is not linked in"}


def show_state(*codes: str) -> None:
    info = trionng.build_info()
    print(*(f"{code}: {info.fixes[code].reason}" for code in codes), sep="\n")
    print(info.wakeups_coalesced)


def test_build_info_of_the_test_build_names_fixes_left_out():
    """`TNNG_WITHOUT` leaves out fixes, of libnng's calls too, and nothing else."""
    finished = run_test_build(show_state, "C9", "C5", "C2", without="C9,WAKEUPS,C5")

    off = "switched off by TNNG_WITHOUT"
    assert finished.output.splitlines() == [f"C9: {off}", f"C5: {off}", "C2: ", "False"], finished


def ask_in_a_child() -> None:
    trionng.build_info()
    child = os.fork()
    if child == 0:
        try:
            trionng.build_info()
        except trionng.UsedAfterFork:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="os.fork warns of threads")
def test_build_info_in_a_forked_child_is_refused():
    """nng cannot be asked there."""
    finished = run_in_subprocess(ask_in_a_child)

    assert finished.code == 0, finished


def count_warnings() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            trionng.blocking.Pair0().close()

        async def main() -> None:
            async with trionng.Pair0():
                pass

        trio.run(main)
    print(*[f"{Path(each.filename).name}: {each.message}" for each in caught], sep="\n")


def test_first_socket_warns_once_where_fixes_are_missing():
    """One RuntimeWarning names the errors, at the caller's line; silence where libnng is inside."""
    finished = run_in_subprocess(count_warnings)

    if LINK == "static":
        assert finished.output == "\n"
        return
    [line] = finished.output.splitlines()
    assert line.startswith(f"{Path(__file__).name}: trionng uses libnng {trionng.nng_version} as")
    for code in ("C9", "H1", "H2", "H3"):
        assert f"({code})" in line
    assert ("(S2)" in line) == fix_state("S2").needed


# What a build refuses, and what makes it build again.


def fake_prefix(folder: Path, version: tuple[int, int, int]) -> Path:
    """Make a prefix that holds the headers of this machine under another version."""
    found = builder("nng = find_nng(); print(nng.header.parent); print(nng.archive)")
    headers, archive = found.stdout.split()
    (folder / "include").mkdir()
    (folder / "lib").mkdir()
    (folder / "include/nng").mkdir()
    text = (Path(headers) / "nng.h").read_text(encoding="utf-8")
    for name, number in zip(("MAJOR", "MINOR", "PATCH"), version, strict=True):
        text = re.sub(
            rf"(#define\s+NNG_{name}_VERSION\s+)\d+", lambda each, n=number: f"{each[1]}{n}", text
        )
    (folder / "include/nng/nng.h").write_text(text, encoding="utf-8")
    (folder / "lib/libnng.a").write_bytes(Path(archive).read_bytes())
    return folder


@is_static
@pytest.mark.parametrize("version", [(1, 4, 0), (2, 0, 0)])
def test_libnng_of_another_series_is_refused_when_building(tmp_path, version):
    """The builder says in one sentence which libnng it needs."""
    prefix = fake_prefix(tmp_path, version)

    done = builder("find_nng()", NNG_PREFIX=str(prefix))

    number = ".".join(map(str, version))
    assert done.returncode != 0
    [line] = done.stderr.splitlines()
    assert f"is {number}, and trionng needs 1.x from 1.5.2 on: install libnng" in line


@is_static
def test_libnng_without_a_function_is_refused_with_its_name(tmp_path):
    """What the shim calls is looked for before anything is compiled."""
    prefix = fake_prefix(tmp_path, (1, 5, 2))
    members = tool("ar", "t", prefix / "lib/libnng.a").split()
    tool("ar", "d", prefix / "lib/libnng.a", next(name for name in members if "bus" in name))

    done = builder("exit_if_lacking(find_nng(), used_functions())", NNG_PREFIX=str(prefix))

    assert done.returncode != 0
    [line] = done.stderr.splitlines()
    assert "lacks nng_bus0_open, nng_bus0_open_raw: install libnng" in line


@pytest.mark.parametrize("version", ["1.4.0", "2.0.0-alpha.7", "0.9", "nonsense"])
def test_libnng_of_another_series_is_refused_when_loaded(version):
    """A library that came after the build is looked at too."""
    with pytest.raises(ImportError, match=r"trionng needs libnng 1\.x.*" + re.escape(version)):
        load.check_version(version)


def test_libnng_that_changed_makes_the_build_stale():
    """An upgrade of libnng's package is noticed, like a change of the shim."""
    done = builder(
        "import os; nng = find_nng(); files = fingerprint(nng)['files']\n"
        "print(*(str(path) in files for path in nng.files()))\n"
        "print(len(nng.files()) > 20)"
    )

    lines = done.stdout.splitlines()
    assert set(lines[0].split()) == {"True"}, done
    assert lines[1] == "True"


@pytest.mark.parametrize(("disabled", "limited"), [("0", "True"), ("1", "False")])
def test_module_of_a_free_threaded_python_uses_the_full_api(disabled, limited):
    """Free-threaded builds of Python have no limited API: neither the module nor the wheel asks."""
    done = builder(
        f"sysconfig.get_config_vars()['Py_GIL_DISABLED'] = {disabled}\n"
        "print(limited_api(), extension(NATIVE).py_limited_api)"
    )

    assert done.stdout.split() == [limited, limited], done
