"""See inside a program that uses trionng: requests, handlers, connections, messages dropped.

`statistics()` of sockets and services has the counters. An instrument hears of what happens when it
does: to trace a request through programs, to measure how long handlers take, to raise an alarm.
Nothing of this module is imported by `import trionng`, and without an instrument nothing is called.

Example:
    import time

    from trionng.instrument import Instrument, add_instrument

    class SlowHandlers(Instrument):
        def __init__(self):
            self.began = {}

        def handler_started(self, call):
            self.began[call] = time.monotonic()

        def handler_finished(self, call, error):
            seconds = time.monotonic() - self.began.pop(call)
            if seconds > 1:
                print(call.service, call.pipe, seconds)

    add_instrument(SlowHandlers())
"""

from trionng._base.names import publish as _publish
from trionng._instrument.protocol import (
    HandlerInfo as HandlerInfo,
    Instrument as Instrument,
    RequestInfo as RequestInfo,
)
from trionng._instrument.registry import (
    add_instrument as add_instrument,
    remove_instrument as remove_instrument,
)

_publish(__name__, globals())
