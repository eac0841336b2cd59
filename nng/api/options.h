/* Options of nng. */

enum { TNNG_ON_SOCKET, TNNG_ON_CONTEXT, TNNG_ON_DIALER, TNNG_ON_LISTENER, TNNG_ON_PIPE };

int tnng_set_int(int on, uint32_t id, const char *name, int value);
int tnng_set_bool(int on, uint32_t id, const char *name, bool value);
int tnng_set_ms(int on, uint32_t id, const char *name, int32_t value);
int tnng_set_size(int on, uint32_t id, const char *name, size_t value);
int tnng_set_string(int on, uint32_t id, const char *name, const char *value);
int tnng_set_bytes(int on, uint32_t id, const char *name, const void *value, size_t size);
int tnng_get_int(int on, uint32_t id, const char *name, int *value);
int tnng_get_bool(int on, uint32_t id, const char *name, bool *value);
int tnng_get_ms(int on, uint32_t id, const char *name, int32_t *value);
int tnng_get_size(int on, uint32_t id, const char *name, size_t *value);
int tnng_get_uint64(int on, uint32_t id, const char *name, uint64_t *value);
int tnng_get_addr(int on, uint32_t id, const char *name, tnng_addr *value);
/* Copies at most `size` bytes, NUL included; *needed is the whole length. */
int tnng_copy_string(
    int on, uint32_t id, const char *name, char *value, size_t size, size_t *needed);
/* The largest message a peer may send, `room` for the header not counted; 0 is no limit. */
int tnng_set_max_message(int on, uint32_t id, size_t bytes, size_t room);
int tnng_get_max_message(int on, uint32_t id, size_t *bytes, size_t room);
