"""The pages of the documentation: the blocks they show, and what a block has to print."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from markdown_it import MarkdownIt

from tests.support.processes import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

# The first word of a command that no test runs, and why not.
NOT_RUN_COMMANDS = {
    "pip": "installs", "apt": "installs", "apt-get": "installs", "npm": "installs",
    "sudo": "changes the machine", "systemctl": "changes the machine",
    "journalctl": "reads the log of the machine", "docker": "needs a daemon",
    "podman": "needs images", "git": "needs the network", "make": "is tested by .ci/run",
}  # fmt: skip

# A comment before a block, on lines of its own: `% not run: why`, or in README.md the HTML one.
NOTE = re.compile(r"(?:% |<!-- )(.*?)(?: -->)?")
FILE_NAME = re.compile(r"(?:#|//|<!--) ([\w.-]+\.\w+|Dockerfile)(?: -->)?")


@dataclass
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    text: str
    notes: list[str] = field(default_factory=list)
    output: str | None = None  # of a program: the text block right after it

    @property
    def file_name(self) -> str | None:
        """The name that its first line gives: later blocks of the page find the file."""
        named = FILE_NAME.fullmatch(self.text.partition("\n")[0])
        return named[1] if named else None

    @property
    def not_run(self) -> str | None:
        """The reason why no test runs it."""
        reasons = [note for note in self.notes if note.startswith("not run: ")]
        return reasons[0].removeprefix("not run: ") if reasons else None

    @property
    def is_program(self) -> bool:
        """Whether a test runs it as it is; a file without an output waits for a command."""
        a_file_only = self.file_name is not None and self.output is None
        return self.language == "python" and not self.not_run and not a_file_only

    @property
    def commands(self) -> list[Command]:
        """The commands of a console block that a test runs."""
        if self.language != "console" or self.not_run:
            return []
        parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]
        return [command for command in map(Command.read, parts) if command.is_run]


@dataclass
class Command:
    """A command, with what it prints; after a line `^C`, what it prints then."""

    text: str
    output: str
    after_interrupt: str | None

    @classmethod
    def read(cls, part: str) -> Command:
        """Return the command with which a part of a block begins; a backslash continues it."""
        text = re.match(r"(?:.*\\\n)*.*\n?", part)
        assert text is not None
        output, interrupted, rest = part[text.end() :].partition("^C\n")
        return cls(text[0].rstrip("\n"), output, rest if interrupted else None)

    @property
    def is_run(self) -> bool:
        words = re.sub(r"^(?:\w+=\S* )*", "", self.text).replace("python -m pip", "pip").split()
        return words[0] not in NOT_RUN_COMMANDS


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page, but for directives of Sphinx."""
    found: list[Block] = []
    notes: list[str] = []
    program: Block | None = None  # the block just before, if it is a program
    for token in MarkdownIt("commonmark").parse(page):
        if token.type == "fence":
            assert token.map is not None
            block = Block(token.map[0] + 1, token.info.strip(), token.content, notes)
            notes = []
            if block.language == "text" and program is not None:
                program.output, program = token.content, None
            elif not block.language.startswith("{"):
                found.append(block)
                program = block if block.language == "python" else None
        elif token.type in {"html_block", "inline"}:
            lines = [NOTE.fullmatch(line) for line in token.content.strip().splitlines()]
            notes = [line[1] for line in lines if line]
            program = None
    return found


def pattern(expected: str) -> re.Pattern[str]:
    """Return what matches an output: `...` is a part of a line, and alone it is some lines."""
    lines = [
        "(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n"
        for line in expected.splitlines()
    ]
    return re.compile("".join(lines))


def difference(expected: str, printed: str) -> str | None:
    """Return what is wrong about an output, if anything is."""
    if pattern(expected).fullmatch(printed):
        return None
    return f"must print\n{expected}but printed\n{printed}"
