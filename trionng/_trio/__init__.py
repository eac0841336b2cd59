"""The async API: how a Trio task waits, and the sockets built on that."""
