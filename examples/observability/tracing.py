"""One trace through client and service, with OpenTelemetry.

python tracing.py serve tcp://127.0.0.1:5560
python tracing.py ask tcp://127.0.0.1:5560 tea

nng carries bodies and no headers, so the trace id travels in the envelope of the application: here
a line of JSON before the body. In the service an instrument makes a span of each call of the
handler, with the client's span as its parent.
"""

from __future__ import annotations

import json
import sys

import trio
from opentelemetry import context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

import trionng
from trionng.instrument import HandlerInfo, Instrument, add_instrument


def wrap(body: bytes) -> bytes:
    """Put the trace id of the current span before a body."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return json.dumps(headers).encode() + b"\n" + body


def unwrap(message: bytes) -> tuple[dict[str, str], bytes]:
    """Take an envelope apart."""
    headers, _, body = message.partition(b"\n")
    return json.loads(headers), body


class Tracing(Instrument):
    """Makes a span of each call of a handler, in which the handler runs."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._spans: dict[HandlerInfo, tuple[Span, object]] = {}

    def handler_started(self, call: HandlerInfo) -> None:
        headers, _ = unwrap(call.message) if isinstance(call.message, bytes) else ({}, b"")
        parent = propagate.extract(headers)
        span = self._tracer.start_span(call.service, parent, SpanKind.SERVER)
        span.set_attribute("network.peer.address", str(call.pipe and call.pipe.remote_address))
        self._spans[call] = span, context.attach(trace.set_span_in_context(span))

    def handler_finished(self, call: HandlerInfo, error: BaseException | None) -> None:
        span, token = self._spans.pop(call)
        context.detach(token)
        if error is not None:
            span.record_exception(error)
            span.set_status(StatusCode.ERROR)
        span.end()


async def handler(request: bytes) -> bytes:
    """Answer; spans that this makes are children of the handler's."""
    _, body = unwrap(request)
    return b"ordered: " + body


async def ask(tracer: Tracer, req: trionng.Req0, body: bytes) -> bytes:
    """Send a request as a span of its own."""
    with tracer.start_as_current_span("order", kind=SpanKind.CLIENT):
        return await req.request(wrap(body))


async def main(role: str, url: str, *words: str) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    tracer = provider.get_tracer("orders")
    if role == "serve":
        add_instrument(Tracing(tracer))
        await trionng.run_rep(handler, listen=url)
    async with trionng.Req0(dial=url) as req:
        for word in words:
            print(await ask(tracer, req, word.encode()))


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
