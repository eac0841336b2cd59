"""Where instruments hook in: `trionng.instrument` sets what is called, None while there is none.

So a call of a program without instruments costs one look at a name of this module, and nothing of
`trionng.instrument` is imported.
"""

from __future__ import annotations

from collections.abc import Callable

from trionng import _ffi
from trionng._base.types import Buffer
from trionng._core.abc import AnyEndpoint, AnySocket

# Called at the end, with the exception if there is one.
Finish = Callable[[BaseException | None], None]

# A request begins.
request: Callable[[AnySocket, Buffer], Finish] | None = None
# A handler begins: the service, its socket, the number of the connection or 0, what it is given.
handler: Callable[[str, AnySocket, int, object], Finish] | None = None
# [the thread of reports] Messages were dropped.
drop: Callable[[AnySocket], None] | None = None
# [the thread of reports] A dialer does not get a connection.
failure: Callable[[AnyEndpoint, Exception], None] | None = None
# [the thread of reports] What has happened to a connection, and why.
connection: Callable[[AnySocket | None, int, int, _ffi.NativePipe], None] | None = None
