"""nng (the Scalability Protocols) for Trio.

Sockets whose sends and receives obey cancel scopes, `async for` over messages, requests that are
one call. Start with `Req0` and `Rep0`, `Pub0` and `Sub0`, `Push0` and `Pull0`, or `Pair0`.
"""

from trionng._base.names import publish as _publish
from trionng._core.statistics import ServiceStatistics as ServiceStatistics
from trionng._exports import *  # noqa: F403
from trionng._nursery import (
    reply_error as reply_error,
    run_pull as run_pull,
    run_rep as run_rep,
    run_respondent as run_respondent,
    run_sub as run_sub,
    serve_pull as serve_pull,
    serve_rep as serve_rep,
    serve_respondent as serve_respondent,
    serve_sub as serve_sub,
)
from trionng._services.forward import (
    Forwarder as Forwarder,
    ForwardStatistics as ForwardStatistics,
    forward as forward,
)
from trionng._services.peers import PipeChannel as PipeChannel, serve_pipes as serve_pipes
from trionng._services.service import Service as Service
from trionng._sockets import (
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
from trionng._trio.pipes import Message as Message, Pipe as Pipe, PipeEvents as PipeEvents
from trionng._trio.socket import (
    Context as Context,
    Dialer as Dialer,
    Listener as Listener,
    Socket as Socket,
)
from trionng._trio.surveys import (
    Replies as Replies,
    Respondent0 as Respondent0,
    Surveyor0 as Surveyor0,
    SurveyorContext as SurveyorContext,
)

__version__ = "0.1.0"

_publish(__name__, globals())
