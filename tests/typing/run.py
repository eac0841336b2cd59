"""Check types as a user's checker does: mypy and pyright over the files beside this one.

A line that ends in `# E` must be an error for both checkers, every other line for neither; what a
line evaluates to is said with `assert_type`. Run by `make check`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FILES = sorted(path for path in HERE.glob("*.py") if path.name != Path(__file__).name)
BIN = Path(sys.executable).parent

Findings = dict[tuple[str, int], str]


def expected() -> Findings:
    """Return the lines that are marked."""
    return {
        (path.name, number): line.strip()
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if line.endswith("# E")
    }


def by_mypy() -> Findings:
    """Return what mypy finds, without the configuration of this project."""
    command = [
        *(sys.executable, "-m", "mypy", "--config-file=", "--strict", "--warn-unreachable"),
        *("--python-version", "3.10", "--no-error-summary", *map(str, FILES)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    found = re.findall(r"^(.+?):(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    if done.returncode not in (0, 1) or (done.returncode == 1 and not found):
        sys.exit(done.stdout + done.stderr)
    return {(Path(name).name, int(line)): text for name, line, text in found}


def by_pyright() -> Findings:
    """Return what pyright finds, in its strictest mode."""
    settings = HERE / "pyrightconfig.json"
    command = [
        *(str(BIN / "pyright"), "--outputjson", "--project", str(settings)),
        *("--pythonpath", sys.executable),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        sys.exit(done.stdout + done.stderr)
    return {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1): each["message"]
        for each in report["generalDiagnostics"]
        if each["severity"] == "error"
    }


def main() -> int:
    """Compare, and print what differs."""
    wanted = expected()
    wrong = 0
    for checker, find in (("mypy", by_mypy), ("pyright", by_pyright)):
        found = find()
        for (name, line), text in sorted((wanted | found).items()):
            if ((name, line) in wanted) != ((name, line) in found):
                wrong += 1
                said = "finds nothing wrong with" if (name, line) in wanted else "says"
                print(f"{name}:{line}: {checker} {said}: {text}")
    print(f"{len(FILES)} files, {len(wanted)} errors expected, {wrong} differences")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
