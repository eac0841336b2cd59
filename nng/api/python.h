/* The only Python that threads of the shim may ever reach; threads of nng reach none. The token
 * bell, once per batch, and the thread that brings reports. */

extern "Python" void tnng_notify_python(uint64_t token);
extern "Python" void tnng_reports_python(void);
