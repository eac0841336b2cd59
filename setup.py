"""What pyproject.toml cannot say: the native module, and which Pythons one wheel serves."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_ffi import NATIVE, BuildNative, extension, limited_api

# What only the tests use: in a checkout and in the sdist, not in a wheel.
TESTS_ONLY = {"testing", "_testing", "_native_testing"}


class BuildWithoutTests(build_py):
    """Leaves out the Python side of the test build."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        modules = super().find_package_modules(package, package_dir)
        ours = package == "trionng._ffi"
        return [each for each in modules if not (ours and each[1] in TESTS_ONLY)]

    def find_data_files(self, package: str, src_dir: str) -> list[str]:
        files = super().find_data_files(package, src_dir)
        return [each for each in files if "_native_testing" not in each]


setup(
    ext_modules=[extension(NATIVE)],
    cmdclass={"build_ext": BuildNative, "build_py": BuildWithoutTests},
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if limited_api() else {},
)
