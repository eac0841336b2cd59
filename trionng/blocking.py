"""The sync API: the same sockets for scripts, threads and the REPL, with calls that block.

Every class of `trionng` has a counterpart of the same name here, with the same arguments, options
and exceptions; calls that are awaited there take `timeout=` seconds here. Ctrl-C interrupts any
wait of the main thread; other signal handlers run, and the wait goes on. Closing a socket wakes
every thread that waits on it with `Closed`. Any number of threads may share a socket.

Example:
    from trionng import blocking

    with blocking.Req0(dial="tcp://127.0.0.1:5555") as req:
        print(req.request(b"What is your name?", timeout=2))
"""

from trionng._base.names import publish as _publish
from trionng._exports import *  # noqa: F403
from trionng._sync.pipes import Message as Message, Pipe as Pipe, PipeEvents as PipeEvents
from trionng._sync.protocols import (
    Bus0 as Bus0,
    Pair0 as Pair0,
    Pair1 as Pair1,
    Pub0 as Pub0,
    Pull0 as Pull0,
    Push0 as Push0,
    Rep0 as Rep0,
    Req0 as Req0,
    ReqContext as ReqContext,
    Sub0 as Sub0,
    SubContext as SubContext,
)
from trionng._sync.serve import Service as Service, serve_rep as serve_rep
from trionng._sync.socket import (
    Context as Context,
    Dialer as Dialer,
    Listener as Listener,
    Socket as Socket,
)
from trionng._sync.surveys import (
    Replies as Replies,
    Respondent0 as Respondent0,
    Surveyor0 as Surveyor0,
    SurveyorContext as SurveyorContext,
)

_publish(__name__, globals())
