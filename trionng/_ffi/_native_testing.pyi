from trionng._ffi._native import ffi as ffi, lib as lib
