"""Shows what an nng does without each fix: `make hazards`. Keeps a table of the results.

    python tools/hazards.py [host | trixie | sid] [CODE ...]    all codes without an argument
Runs tests in the test build with this machine's libnng, or in a chroot of a Debian suite. Tests
that need luck run up to TRIES times. Takes about ten minutes a suite. nng/fixes/README.md says what
the words of the table mean. What a test printed is in build/matrix/hazards.log.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field

from debian import ROOT, say
from matrix import RESULTS, Run, beside, in_chroot

DOCUMENT = ROOT / "nng/fixes/README.md"
TABLE = re.compile(
    r"(?<=<!-- table: made by `make hazards` -->\n).*?(?=\n<!-- end of table -->)", re.DOTALL
)
TRIES = 3
SUITES = ("host", "trixie", "sid")

HAZARDS, PEERS = "hazards/test_hazards.py", "hazards/test_strangers.py"
NAMES, MEMORY = "transports/test_names.py", "hazards/test_memory.py"

# What happens without the fix, and a test that leaves the fix out itself and asks for just that.
SHOWS = {
    "C1": ("crash", f"{HAZARDS}::test_sub_receive_cancelled_in_a_flood_without_fix_crashes"),
    "C2": ("crash", f"{HAZARDS}::test_req_receive_beside_a_waiting_send_is_busy"),
    "C5": ("crash", f"{HAZARDS}::test_receive_on_a_queue_socket_that_closes_is_refused"),
    "C7": ("hang", f"{HAZARDS}::test_surveys_sent_while_others_run_without_fix_lock_up"),
    "C9": (
        "crash",
        "hazards/test_push_peers.py::test_push_to_peers_that_leave_without_fix_crashes",
    ),
    "C10": (
        "crash",
        "hazards/test_pair_peers.py::test_message_that_comes_after_its_peer_has_gone_is_received",
    ),
    "C11": (
        "leak",
        "hazards/test_descriptors.py::test_descriptors_of_waiting_connections_without_fix_are_lost",
    ),
    "C12": ("crash", f"{HAZARDS}::test_cancels_in_the_middle_of_closes_without_fix_crash"),
    "H1": (
        "hang",
        "hazards/test_stopped.py::test_close_while_messages_pass_hangs_without_the_workaround",
    ),
    "H2": (
        "hang or crash",
        "hazards/test_ws_closes.py::test_dialer_closed_connecting_without_fix_hangs_or_panics",
    ),
    "H3": (
        "hang",
        "hazards/test_ws_closes.py::test_listener_closed_while_clients_upgrade_without_fix_hangs",
    ),
    "L2": ("leak", f"{MEMORY}::test_messages_of_connections_that_close_without_fix_leak[L2]"),
    "L4": ("loss", f"{NAMES}::test_close_of_an_ipc_listener_without_fix_deletes_any_file"),
    "L6": ("leak", f"{MEMORY}::test_messages_of_connections_that_close_without_fix_leak[L6]"),
    "L7": ("leak", f"{MEMORY}::test_messages_of_connections_that_close_without_fix_leak[L7]"),
    "M7": ("fails", f"{NAMES}::test_only_the_first_address_is_dialled_without_the_fix"),
    "N2": ("loss", f"{HAZARDS}::test_result_rewritten_by_a_late_cancel_loses_no_message"),
    "S2": ("fails", f"{HAZARDS}::test_listener_hung_up_on_is_deaf_without_the_workaround"),
    "S4": ("leak", f"{PEERS}::test_strangers_that_say_nothing_stay_without_the_fix"),
    "S6": (
        "hang",
        "hazards/test_many_dialers.py::test_many_dialers_without_the_fix_take_ever_more",
    ),
    "T1": (
        "fails",
        "transports/test_tls.py::test_client_without_the_fix_can_send_no_name_unchecked[T1]",
    ),
}

# The same, and a test of the promise, which fails with the error when TNNG_WITHOUT says so.
FAILS = {
    "C3": (
        "crash",
        "hazards/test_survey_hazards.py"
        "::test_peer_that_resets_with_a_survey_unread_harms_no_memory",
    ),
    "C4": ("crash", f"{HAZARDS}::test_message_made_of_64_bytes_keeps_the_heap_whole"),
    "F1": (
        "fails",
        "contract/test_flush.py::test_flush_to_a_peer_not_reading_waits_until_the_timeout[trio-ws]",
    ),
    "F2": (
        "fails",
        "hazards/test_drops.py::test_sub_counts_only_messages_of_its_topics_and_contexts",
    ),
    "L1": ("leak", f"{HAZARDS}::test_pair_opened_and_closed_leaves_no_descriptor"),
    "L5": ("leak", f"{PEERS}::test_ws_connections_end_when_their_peer_has_gone[ws-push]"),
    "M6": ("fails", f"{NAMES}::test_hundreds_wait_for_a_listener_that_cannot_accept"),
    "N1": ("crash", f"{HAZARDS}::test_stop_within_nng_waits_for_the_operation"),
    "S1": ("crash", f"{HAZARDS}::test_message_of_absurd_length_drops_its_peer_only"),
    "S5": ("spins", f"{PEERS}::test_ws_listener_without_descriptors_waits_for_some"),
}

CODES = sorted([*SHOWS, *FAILS], key=lambda code: (code[0], int(code[1:])))
TEST_BUILD = {"TRIONNG_NATIVE": "testing"}
ASK = """
import trionng
from trionng import _ffi
print(trionng.build_info().nng_version)
for state in _ffi.read_fixes():
    print(state.code, state.needed, state.active)
"""


@dataclass
class Result:
    """What came of the codes on the libnng of a suite."""

    suite: str
    version: str = "?"
    cells: dict[str, str] = field(default_factory=dict)


def shows(run: Run, code: str) -> bool | None:
    """Whether the error shows without the fix; None when no test ran."""
    test, env = (SHOWS.get(code) or FAILS[code])[1], dict(TEST_BUILD)
    if code in FAILS:
        env["TNNG_WITHOUT"] = code
    pytest = [".venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    seen = None
    for _ in range(TRIES):
        done = run([*pytest, "-o", "faulthandler_timeout=900", f"tests/{test}"], env)
        with (RESULTS / "hazards.log").open("a", encoding="utf-8") as log:
            log.write(f"--- {code}\n{done.stdout}{done.stderr}\n")
        passed, failed = (re.search(rf"\d+ {word}", done.stdout) for word in ("passed", "failed"))
        if done.returncode in (0, 1) and (passed or failed):
            seen = bool(failed if code in FAILS else not failed)
        if seen:
            break
    return seen


def ask(suite: str, codes: list[str]) -> None:
    """Fill in the column of a suite."""
    run = beside("hazards") if suite == "host" else in_chroot(suite, suite, "/root/hazards")
    made = run(["make", "tools"], {})
    if made.returncode != 0:
        sys.exit(made.stdout + made.stderr)
    answer = run([".venv/bin/python", "-W", "ignore", "-c", ASK], TEST_BUILD).stdout.splitlines()
    # Debian's version, because 1.10.1 says of itself that it is 1.10.0.
    debian = run(["dpkg-query", "-W", "-f", "${source:Upstream-Version}", "libnng-dev"], {})
    version = debian.stdout.strip() or answer[0]
    states = {code: (needed, on) for code, needed, on in map(str.split, answer[1:])}
    for code in codes:
        needed, on = (word == "True" for word in states[code])
        if not needed and not on:
            cell = "off"
        else:
            kind = (SHOWS.get(code) or FAILS[code])[0]
            cell = {True: kind, False: "not seen", None: "no test ran"}[shows(run, code)]
        say(f"{suite}: {version}: {code}: {cell}")
        results = read_table()
        results[suite] = Result(suite, version, {**results[suite].cells, code: cell})
        write_table(results)


def table_of(text: str) -> re.Match[str]:
    found = TABLE.search(text)
    if found is None:
        sys.exit(f"{DOCUMENT.name} has no place for the table")
    return found


def read_table() -> dict[str, Result]:
    """Return what the document has, a result for each suite."""
    lines = table_of(DOCUMENT.read_text(encoding="utf-8"))[0].splitlines()
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    results = {suite: Result(suite) for suite in SUITES}
    for number, column in enumerate(head[1:], start=1):
        version, suite = column.split(", ")
        results[suite] = Result(suite, version, {row[0]: row[number] for row in rows})
    return results


def write_table(results: dict[str, Result]) -> None:
    shown = [results[suite] for suite in SUITES]
    head = ["fix", *(f"{each.version}, {each.suite}" for each in shown)]
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for code in CODES:
        cells = [code, *(each.cells.get(code, "not run") for each in shown)]
        lines.append(f"| {' | '.join(cells)} |")
    text = DOCUMENT.read_text(encoding="utf-8")
    found = table_of(text)
    text = text[: found.start()] + "\n".join(lines) + text[found.end() :]
    DOCUMENT.write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    RESULTS.mkdir(parents=True, exist_ok=True)
    suites = [word for word in arguments if word in SUITES]
    codes = [word for word in arguments if word not in SUITES]
    unknown = [code for code in codes if code not in CODES]
    if unknown:
        sys.exit(f"no suite, and no code with a switch: {' '.join(unknown)}")
    for suite in suites or SUITES:
        ask(suite, codes or CODES)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
