"""The only package that sees C. What it exports is typed; messages and operations are opaque."""

from __future__ import annotations

from trionng._ffi.build import (
    FixState as FixState,
    nng_is as nng_is,
    read_build as read_build,
    read_fixes as read_fixes,
    tls_engine as tls_engine,
)
from trionng._ffi.cancel_counts import (
    count_cancel_before_submit as count_cancel_before_submit,
    count_cancel_taken as count_cancel_taken,
)
from trionng._ffi.completion_queue import (
    CANCEL_DONE as CANCEL_DONE,
    CANCEL_LATE as CANCEL_LATE,
    CANCEL_PENDING as CANCEL_PENDING,
    FORKED as FORKED,
    GONE as GONE,
    NULL as NULL,
    PARKED as PARKED,
    SENT as SENT,
    SUPERSEDED as SUPERSEDED,
    CompletionQueue as CompletionQueue,
    cancel as cancel,
    detach as detach,
)
from trionng._ffi.context import Context as Context
from trionng._ffi.load import is_forked as is_forked, nng_version as nng_version
from trionng._ffi.message import (
    MessageHandle as MessageHandle,
    copy_of as copy_of,
    drop as drop,
    head_of as head_of,
    pipe_of as pipe_of,
    size_of as size_of,
    take_bytes as take_bytes,
)
from trionng._ffi.options import (
    ON_CONTEXT as ON_CONTEXT,
    ON_DIALER as ON_DIALER,
    ON_LISTENER as ON_LISTENER,
    ON_PIPE as ON_PIPE,
    ON_SOCKET as ON_SOCKET,
    get_address as get_address,
    get_max_message as get_max_message,
    get_number as get_number,
    get_text as get_text,
    set_bytes as set_bytes,
    set_max_message as set_max_message,
    set_number as set_number,
    set_text as set_text,
)
from trionng._ffi.pipe import (
    CONNECTED as CONNECTED,
    DISCONNECTED as DISCONNECTED,
    REJECTED as REJECTED,
    Address as Address,
    NativeEvents as NativeEvents,
    NativePipe as NativePipe,
    PeerIds as PeerIds,
)
from trionng._ffi.reports import (
    ALREADY_PAIRED as ALREADY_PAIRED,
    FLAPPING as FLAPPING,
    REASON_ADMISSION as REASON_ADMISSION,
    REASON_ALREADY_PAIRED as REASON_ALREADY_PAIRED,
    REASON_HANDSHAKE as REASON_HANDSHAKE,
    REASON_OVERSIZE as REASON_OVERSIZE,
    REASON_PROTOCOL as REASON_PROTOCOL,
    REASON_REFUSED as REASON_REFUSED,
    REASON_SLOW as REASON_SLOW,
    REFUSED as REFUSED,
    UNKNOWN_CAUSE as UNKNOWN_CAUSE,
    DialerState as DialerState,
    Report as Report,
    causes_are_known as causes_are_known,
    dialer_state as dialer_state,
    set_report_handler as set_report_handler,
)
from trionng._ffi.service import (
    DRAINED as DRAINED,
    SLOW as SLOW,
    NativeService as NativeService,
    ServiceStats as ServiceStats,
    Worker as Worker,
    open_service as open_service,
)
from trionng._ffi.socket import (
    NativeSocket as NativeSocket,
    open_socket as open_socket,
    protocol as protocol,
    why_not_opened as why_not_opened,
)
from trionng._ffi.tls import (
    NativeTLS as NativeTLS,
    can_send_unchecked_name as can_send_unchecked_name,
    ws_is_hardened as ws_is_hardened,
)
from trionng._ffi.types import (
    Completion as Completion,
    Msg as Msg,
    Op as Op,
    Reclaim as Reclaim,
    SubmitResult as SubmitResult,
)
from trionng._ffi.waiter import Waiter as Waiter
