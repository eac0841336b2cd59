#!/bin/sh
# Runs a part of the tests with the C files compiled under AddressSanitizer and UBSan, or with
# SANITIZER=thread under ThreadSanitizer, in a copy of the sources. Of libnng's archive, only its calls
# of malloc and free, or of pthread_*, are seen.
#   sh tools/sanitize.sh [TESTS ...]
set -eu
SANITIZER=${SANITIZER:-address}
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
copy=build/sanitize
rm -rf "$copy/tree" && mkdir -p "$copy/tree"
git archive HEAD | tar -x -C "$copy/tree"
test -x "$copy/venv/bin/python" || "$PYTHON" -m venv "$copy/venv"
python=$PWD/$copy/venv/bin/python
"$python" -m pip --disable-pip-version-check --quiet install "setuptools>=77" "cffi>=1.17"
cd "$copy/tree"
kinds=address,undefined
[ "$SANITIZER" = address ] || kinds=$SANITIZER
export CFLAGS="-fsanitize=$kinds -fno-omit-frame-pointer -g -O1"
[ "$SANITIZER" != address ] || CFLAGS="$CFLAGS -fno-sanitize-recover=undefined"
export LDFLAGS="-fsanitize=$kinds"
"$python" -m pip --disable-pip-version-check --quiet install --no-build-isolation \
    --config-settings editable_mode=compat --editable ".[test]"
"$python" build_ffi.py --testing
unset CFLAGS LDFLAGS
# Python leaks on purpose, so leaks are not checked here but in test_lifetimes.py.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:handle_segv=0 UBSAN_OPTIONS=print_stacktrace=1
export TRIONNG_NATIVE=testing PYTHONMALLOC=malloc
LD_PRELOAD="$(${CC:-gcc} -print-file-name=libasan.so) $(${CC:-gcc} -print-file-name=libubsan.so)"
if [ "$SANITIZER" = thread ]; then
    # What Python and libnng read and write is not seen, so neither are their races.
    TSAN_OPTIONS="exitcode=66 report_signal_unsafe=0 suppressions=$PWD/tools/tsan.supp"
    export TSAN_OPTIONS
    LD_PRELOAD="$(${CC:-gcc} -print-file-name=libtsan.so)"
fi
export LD_PRELOAD
[ $# -gt 0 ] || set -- tests/unit/test_messages.py tests/services/test_services.py \
    tests/contract/test_contract.py tests/contract/test_cancel_rules.py \
    tests/contract/test_handshake.py tests/contract/test_lifetimes.py \
    tests/contract/test_blocking_steps.py
# ASan keeps freed memory for a while; a test that measures memory takes that for a leak.
exec "$python" -m pytest -q -p no:cacheprovider -k "not that_nobody_holds_are_freed" "$@"
