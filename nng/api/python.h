/* The functions of Python that threads of the shim call: the wake-up by token, once per batch, and
 * the thread that delivers reports. Threads of nng call no Python. */

extern "Python" void tnng_notify_python(uint64_t token);
extern "Python" void tnng_reports_python(void);
