"""What an instrument is given, and what is no instrument."""

from typing_extensions import assert_type

import trionng
from trionng import blocking
from trionng.instrument import HandlerInfo, Instrument, RequestInfo, add_instrument


class Mine(Instrument):
    def request_finished(self, request: RequestInfo, error: BaseException | None) -> None:
        assert_type(request.socket, trionng.Req0 | blocking.Req0)

    def handler_started(self, call: HandlerInfo) -> None:
        assert_type(call.message, bytes | trionng.Message | None)
        assert_type(call.pipe, trionng.Pipe | blocking.Pipe | None)


class Wrong(Instrument):
    def handler_started(self, call: RequestInfo) -> None: ...  # E


add_instrument(Mine())
add_instrument(print)  # E
