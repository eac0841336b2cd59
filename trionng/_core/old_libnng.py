"""Where an old libnng, or one that is not linked in, behaves differently; warnings of it."""

from __future__ import annotations

from trionng import _ffi


def missing_fixes() -> str | None:
    """Return a warning of errors that stay, because their fixes need libnng to be linked in."""
    if _ffi.read_build().link == "static":
        return None
    missing = [
        state
        for state in _ffi.read_fixes()
        if state.needed and not state.active and "TNNG_WITHOUT" not in state.reason
    ]
    if not missing:
        return None
    errors = "; ".join(f"{state.error} ({state.code})" for state in missing)
    return (
        f"trionng uses libnng {_ffi.nng_version} as it is, because {missing[0].reason}: {errors}. "
        "trionng.build_info() says more. Build trionng where libnng's static library is, without "
        "TRIONNG_LINK=shared, and these errors are mended."
    )


def old_ws_server(url: str) -> str:
    """Return a warning: a request can crash the WebSocket server of this libnng (S3)."""
    return (
        f"listen {url}: the WebSocket server of libnng before 1.6 has memory errors that a request "
        "can trigger; let only peers reach it that you trust, or use a later libnng"
    )


def misread_path(path: str) -> str | None:
    """Return what the HTTP server of libnng before 1.6 makes of the escapes in a path (M5).

    It writes each character that was escaped twice, and leaves out the one that follows. None: it
    would read on behind the end.
    """
    made, at = "", 0
    while at < len(path):
        if path[at] != "%":
            made += path[at]
            at += 1
            continue
        made += 2 * chr(int(path[at + 1 : at + 3], 16))
        at += 4
    return made if at == len(path) else None
