"""For tests of programs that use trionng: connected sockets, a clock, and a network that fails.

It needs no pytest. With pytest the fixtures `nng_clock`, `open_pair`, `open_proxy`, `hold_clock`,
`wait_all_delivered` and `new_url` are there without an import.

Example:
    from trionng.testing import NngClock, open_pair

    async def main():
        async with open_pair("reqrep") as (req, rep):
            with trio.move_on_after(3600):
                await rep.recv()

    trio.run(main, clock=NngClock())
"""

from trionng._base.names import publish as _publish
from trionng._testing.clock import NngClock as NngClock, hold_clock as hold_clock
from trionng._testing.delivered import wait_all_delivered as wait_all_delivered
from trionng._testing.faults import Direction as Direction
from trionng._testing.pairs import (
    connected as connected,
    new_url as new_url,
    open_pair as open_pair,
)
from trionng._testing.proxy import FaultyProxy as FaultyProxy, open_proxy as open_proxy

_publish(__name__, globals())
