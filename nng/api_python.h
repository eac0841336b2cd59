/* The only Python that nng's threads may ever reach: the token bell, once per batch. */

extern "Python" void tnng_ring_python(uint64_t token);
