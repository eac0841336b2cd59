/* An address in host byte order; `data` is an IP address, a path or a name of `size` bytes. */
typedef struct {
    int family;
    uint16_t port;
    uint32_t scope;
    uint32_t size;
    uint8_t data[128];
} tnng_addr;
