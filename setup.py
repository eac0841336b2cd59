"""What pyproject.toml cannot say: the native module, and that one wheel serves Python 3.10+."""

from setuptools import setup

setup(
    cffi_modules=["build_ffi.py:native"],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
