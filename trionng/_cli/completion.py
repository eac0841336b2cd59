"""`trionng completion`: a script for bash or zsh, made from the options that the commands declare.

The script needs no trionng at run time: all names are in it.
"""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Final

from trionng._cli import COMMANDS, SHOWN, load
from trionng._cli.process import OK
from trionng._cli.values import OneOf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trionng._cli.parser import Parser

EXAMPLES = """
source <(trionng completion bash)                  # in this shell; or in ~/.bashrc
trionng completion bash > ~/.local/share/bash-completion/completions/trionng
trionng completion zsh > ~/.zfunc/_trionng         # a directory of $fpath
"""

_BASH: Final = """\
# bash completion of trionng {version}
_trionng() {{
    local command=cat options= words= cur prev at=$COMP_CWORD
    cur=${{COMP_WORDS[at]}} prev=${{COMP_WORDS[at - 1]}}
    COMPREPLY=()
    if [[ $cur == = ]]; then cur=
    elif [[ $prev == = ]]; then prev=${{COMP_WORDS[at - 2]}}
    fi
    if ((at == 1)) && [[ $cur != -* ]]; then
        COMPREPLY=($(compgen -W {commands} -- "$cur"))
        return
    fi
    [[ ${{COMP_WORDS[1]}} == -* ]] || command=${{COMP_WORDS[1]}}
    case $command in
{cases}
    esac
    [[ $cur == -* ]] && words=$options
    COMPREPLY+=($(compgen -W "$words" -- "$cur"))
}}
complete -F _trionng trionng
"""

_ZSH: Final = """\
#compdef trionng
# zsh completion of trionng {version}
_trionng() {{
    local command=cat
    local -a commands=(
{commands}
    )
    if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then
        _describe command commands
        return
    fi
    if [[ $words[2] != -* ]]; then
        command=$words[2]
        shift words
        ((CURRENT--))
    fi
    case $command in
{cases}
    esac
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]
then _trionng "$@"
else compdef _trionng trionng
fi
"""

_FILES: Final = ("FILE", "PATH", "DIR")


class Arguments(argparse.Namespace):
    """The options of the command."""

    shell: str


def add_arguments(parser: Parser) -> None:
    """Declare the shell."""
    parser.add_argument("shell", type=OneOf("bash", "zsh"), metavar="SHELL", help="bash or zsh")


def run(arguments: Arguments, _parser: Parser) -> int:
    """Print the script; return the exit code."""
    from trionng import __version__

    make = _bash if arguments.shell == "bash" else _zsh
    print(make(__version__), end="")
    return OK


def _parsers() -> Iterator[Parser]:
    for name in SHOWN:
        yield load(name)[1]


def _words(action: argparse.Action) -> tuple[str, ...]:
    """Return the words that an option or argument may be."""
    return action.type.words if isinstance(action.type, OneOf) else ()


def _bash(version: str) -> str:
    cases = []
    for parser in _parsers():
        with_value = [each for each in parser.options() if each.nargs != 0]
        inner = []
        for action in with_value:
            flags = "|".join(action.option_strings)
            then = ""
            if _words(action):
                then = f"words={shlex.quote(' '.join(_words(action)))} "
            elif action.metavar in _FILES:
                then = 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return '
            else:
                then = "return "
            inner.append(f"                {flags}) {then};;")
        words = [word for each in parser.positionals() for word in _words(each)]
        options = [flag for each in parser.options() for flag in each.option_strings]
        cases.append(f"        {parser.command})")
        cases.append(f"            options={shlex.quote(' '.join(options))}")
        cases.append(f"            words={shlex.quote(' '.join(words))}")
        if inner:
            cases += ["            case $prev in", *inner, "            esac"]
        cases.append("            ;;")
    commands = shlex.quote(" ".join(SHOWN))
    return _BASH.format(version=version, commands=commands, cases="\n".join(cases))


def _zsh(version: str) -> str:
    commands = [f"        {shlex.quote(f'{name}:{COMMANDS[name]}')}" for name in SHOWN]
    cases = []
    for parser in _parsers():
        specs = [spec for action in parser.options() for spec in _zsh_option(action)]
        for action in parser.positionals():
            many = "*" if action.nargs == "*" else ""
            specs.append(f"{many}:{action.metavar}:{_zsh_value(action)}")
        cases.append(f"        {parser.command})")
        quoted = " \\\n                ".join(shlex.quote(each) for each in specs)
        cases.append(f"            _arguments -S \\\n                {quoted}")
        cases.append("            ;;")
    return _ZSH.format(version=version, commands="\n".join(commands), cases="\n".join(cases))


def _zsh_option(action: argparse.Action) -> Iterator[str]:
    """Yield a specification of `_arguments` for each name of an option."""
    for flag in action.option_strings:
        text = (action.help or "").replace("\\", "\\\\")
        for special in "[]:":
            text = text.replace(special, f"\\{special}")
        if action.nargs == 0:
            yield f"*{flag}[{text}]"
        else:
            end = "=" if flag.startswith("--") else "+"
            yield f"*{flag}{end}[{text}]:{action.metavar or 'VALUE'}:{_zsh_value(action)}"


def _zsh_value(action: argparse.Action) -> str:
    if _words(action):
        return f"({' '.join(_words(action))})"
    return "_files" if action.metavar in _FILES else ""
