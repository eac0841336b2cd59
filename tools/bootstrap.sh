#!/bin/sh
# Installs what the Makefile needs and this machine lacks: a Python with venv and headers, a C compiler,
# libnng's headers. With the argument "tests" also what the tests use: nngcat, nanocat, valgrind, tmux, zsh,
# Chromium (WITHOUT=chromium leaves it out, 113 MB; its tests are skipped then). Other arguments are further
# commands to install, each of the package of its name. Does nothing when all of them are installed.
set -eu
PYTHON=${PYTHON:-python3}

if ! command -v "$PYTHON" >/dev/null 2>&1; then
    echo "trionng: there is no $PYTHON; install Python 3.10 or later, or say make PYTHON=/path/to/python3." >&2
    exit 1
fi
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "trionng: $PYTHON is too old, trionng needs Python 3.10 or later (make PYTHON=/path/to/python3)." >&2
    exit 1
fi

has_header() {
    echo "#include <nng/nng.h>" | ${CC:-cc} ${NNG_PREFIX:+-I"$NNG_PREFIX/include"} -E - >/dev/null 2>&1
}

missing=""
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
"$PYTHON" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
    missing="$missing python3-dev"
command -v "${CC:-cc}" >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
has_header || missing="$missing libnng-dev"
for each in "$@"; do
    if [ "$each" != tests ]; then
        command -v "$each" >/dev/null 2>&1 || missing="$missing $each"
        continue
    fi
    command -v nngcat >/dev/null 2>&1 || missing="$missing nng-utils"
    command -v nanocat >/dev/null 2>&1 || missing="$missing nanomsg-utils"
    command -v valgrind >/dev/null 2>&1 || missing="$missing valgrind"
    command -v tmux >/dev/null 2>&1 || missing="$missing tmux"
    command -v zsh >/dev/null 2>&1 || missing="$missing zsh"
    # The names that tests/support/chromium.py tries.
    [ "${WITHOUT:-}" = chromium ] || command -v chromium >/dev/null 2>&1 ||
        command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
done
[ -n "$missing" ] || exit 0

as_root=""
[ "$(id -u)" = 0 ] || as_root=sudo
if ! command -v apt-get >/dev/null 2>&1 || { [ -n "$as_root" ] && ! command -v sudo >/dev/null 2>&1; }; then
    echo "trionng: please install (names of the Debian packages):$missing" >&2
    exit 1
fi
echo "trionng: installing$missing"
install="$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"
# Without a recent apt-get update, apt does not find the packages.
# shellcheck disable=SC2086
$install $missing >/dev/null 2>&1 || { $as_root apt-get update -q && $install $missing; }
