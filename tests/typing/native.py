"""Calls of C are typed: functions, arguments and constants of nng/api/*.h."""

from typing_extensions import assert_type

from trionng._ffi.load import ffi, lib

assert_type(lib.tnng_forked(), bool)
assert_type(lib.tnng_cq_fd(ffi.NULL), int)
assert_type(lib.TNNG_PARKED, int)
lib.tnng_set_int(1, 2, b"name", 3)

lib.tnng_cq_fd()  # E
lib.tnng_cq_fd(ffi.NULL, 1)  # E
lib.tnng_cq_fd("queue")  # E
lib.tnng_set_int(1, 2, "name", 3)  # E
lib.tnng_gone_function(1)  # E
print(lib.TNNG_GONE_CONSTANT)  # E
