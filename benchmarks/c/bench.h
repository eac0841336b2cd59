/* What the two C programs share: the line protocol with the runner, the messages, checked calls.
 *
 * The runner writes `open KIND ROLE MODE SIZE BUFFERS FLOWS URL BACK`, then any number of `go N`,
 * then `end`; the program answers `ready`, one `result START END COUNT CPU` a round (nanoseconds of
 * the machine's monotonic clock and of this process), and `closed`. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nng/nng.h>

enum { SUBSCRIBERS = 4, BURST = 64, VARIANTS = 256, LARGE = 4096, LARGE_VARIANTS = 4 };

typedef struct {
    char kind[32], role[32], mode[32], url[256], back[256];
    int size, buffers, flows;
    int variants;
    char *messages; /* `variants` different ones of `size` bytes, used in turn */
} job;

typedef struct {
    const char *kind, *role;
    void (*run)(job *);
} role;

/* Ends the program with a sentence when a call failed. */
void must(int code, const char *what);
#define MUST(call) must((call), #call)
void expect(bool condition, const char *what);

uint64_t now(void);

/* A new message with a copy of message number `index`. */
nng_msg *make(const job *, int64_t index);
/* Whether it is that message: all of it, or for large ones length and both ends; see check_whole.
 */
void check(const job *, nng_msg *, int64_t index);
void check_whole(const job *, nng_msg *, int64_t index);

void ready(void);
/* The next round: how many messages; -1 when there is none. */
int64_t next_round(void);
void result(uint64_t start, uint64_t end, int64_t count);

void listen_on(nng_socket, const char *url);
void dial_to(nng_socket, const char *url);
void set_buffer(nng_socket, const char *option, int value);
/* A publisher has its subscribers when it has their pipes, which is later than their dial. */
void watch_pipes(nng_socket);
void await_pipes(int count);
int64_t resident_bytes(void);

int run_program(const char *name, const role *roles);

#endif
