"""C10: a Pair0 or Pair1 whose peers leave while their messages arrive goes on receiving.

Every nng of today can note, after it has forgotten a peer, that this peer's connection holds a
message, and follows a null pointer at the next receive.
"""

from __future__ import annotations
