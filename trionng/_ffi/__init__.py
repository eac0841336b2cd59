"""The only package that sees C. What it exports is typed; messages and operations are opaque."""

from __future__ import annotations

from trionng._ffi.build import FixState, nng_is, read_build, read_fixes, tls_engine
from trionng._ffi.completion_queue import (
    CANCEL_DONE,
    CANCEL_LATE,
    CANCEL_PENDING,
    FORKED,
    GONE,
    NULL,
    PARKED,
    SENT,
    SUPERSEDED,
    CompletionQueue,
    cancel,
    count_cancel_before_submit,
    count_cancel_taken,
    detach,
)
from trionng._ffi.context import Context
from trionng._ffi.load import is_forked, nng_version
from trionng._ffi.message import MessageHandle, copy_of, drop, head_of, pipe_of, size_of, take_bytes
from trionng._ffi.options import (
    ON_CONTEXT,
    ON_DIALER,
    ON_LISTENER,
    ON_PIPE,
    ON_SOCKET,
    get_address,
    get_max_message,
    get_number,
    get_text,
    set_bytes,
    set_max_message,
    set_number,
    set_text,
)
from trionng._ffi.pipe import CONNECTED, DISCONNECTED, REJECTED, Address, NativeEvents, NativePipe
from trionng._ffi.reports import (
    ALREADY_PAIRED,
    FLAPPING,
    REASON_ADMISSION,
    REASON_ALREADY_PAIRED,
    REASON_DROPS,
    REASON_HANDSHAKE,
    REASON_OVERSIZE,
    REASON_PROTOCOL,
    REASON_REFUSED,
    REASON_SLOW,
    REFUSED,
    UNKNOWN_CAUSE,
    Report,
    causes_are_known,
    dialer_state,
    drops_are_known,
    report_events,
    reports_lost,
    set_report_handler,
)
from trionng._ffi.service import DRAINED, SLOW, NativeService, Worker, open_service
from trionng._ffi.socket import NativeSocket, open_socket, protocol, why_not_opened
from trionng._ffi.tls import NativeTLS, can_send_unchecked_name, tells_tls_names, ws_is_hardened
from trionng._ffi.types import Completion, Msg, Op, Reclaim, SubmitResult
from trionng._ffi.waiter import Waiter
