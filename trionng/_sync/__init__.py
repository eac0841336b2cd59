"""The sync API: how a thread waits, and the sockets built on that."""
