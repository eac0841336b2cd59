#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/supplemental/util/platform.h>

#include "bench.h"

static uint64_t cpu_at_start;
static atomic_int connected;

void must(int code, const char *what)
{
    if (code != 0) {
        printf("failed %s: %s\n", what, nng_strerror(code));
        fflush(stdout);
        exit(1);
    }
}

void expect(bool condition, const char *what)
{
    if (!condition) {
        printf("failed %s\n", what);
        fflush(stdout);
        exit(1);
    }
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

uint64_t now(void) { return read_clock(CLOCK_MONOTONIC); }

static const char *message(const job *job, int64_t index)
{
    return job->messages + (size_t) (index % job->variants) * (size_t) job->size;
}

nng_msg *make(const job *job, int64_t index)
{
    nng_msg *msg;
    MUST(nng_msg_alloc(&msg, (size_t) job->size));
    memcpy(nng_msg_body(msg), message(job, index), (size_t) job->size);
    return msg;
}

void check_whole(const job *job, nng_msg *msg, int64_t index)
{
    expect(nng_msg_len(msg) == (size_t) job->size &&
               memcmp(nng_msg_body(msg), message(job, index), (size_t) job->size) == 0,
        "a message is not the one that was due");
}

void check(const job *job, nng_msg *msg, int64_t index)
{
    const char *want = message(job, index), *got = nng_msg_body(msg);
    size_t size = (size_t) job->size;

    if (job->size <= LARGE) {
        check_whole(job, msg, index);
    } else {
        expect(nng_msg_len(msg) == size && memcmp(got, want, 16) == 0 &&
                   memcmp(got + size - 16, want + size - 16, 16) == 0,
            "a message is not the one that was due");
    }
}

void ready(void)
{
    puts("ready");
    fflush(stdout);
}

int64_t next_round(void)
{
    char line[64];
    long long count;

    if (fgets(line, sizeof(line), stdin) == NULL) {
        exit(0);
    }
    if (sscanf(line, "go %lld", &count) != 1) {
        return -1;
    }
    cpu_at_start = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    return count;
}

void result(uint64_t start, uint64_t end, int64_t count)
{
    printf("result %llu %llu %lld %llu\n", (unsigned long long) start, (unsigned long long) end,
        (long long) count,
        (unsigned long long) (read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu_at_start));
    fflush(stdout);
}

void listen_on(nng_socket socket, const char *url) { MUST(nng_listen(socket, url, NULL, 0)); }

void dial_to(nng_socket socket, const char *url) { MUST(nng_dial(socket, url, NULL, 0)); }

void set_buffer(nng_socket socket, const char *option, int value)
{
    MUST(nng_socket_set_int(socket, option, value));
}

/* [nng] */
static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void) pipe;
    (void) event;
    (void) arg;
    connected++;
}

void watch_pipes(nng_socket socket)
{
    connected = 0;
    MUST(nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_pipe, NULL));
}

void await_pipes(int count)
{
    while (connected < count) {
        nng_msleep(1);
    }
}

int64_t resident_bytes(void)
{
    long long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    expect(file != NULL && fscanf(file, "%lld %lld", &total, &resident) == 2, "statm");
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

/* Message number i is i in 8 bytes, over and over. */
static void fill(job *job)
{
    job->variants = job->size > LARGE ? LARGE_VARIANTS : VARIANTS;
    job->messages = malloc((size_t) job->variants * (size_t) job->size);
    for (int i = 0; i < job->variants; i++) {
        for (int at = 0; at < job->size; at += 8) {
            uint64_t number = (uint64_t) i;
            memcpy(job->messages + (size_t) i * (size_t) job->size + at, &number, 8);
        }
    }
}

int run_program(const char *name, const role *roles)
{
    char line[1024];

    printf("hello %s: libnng %s\n", name, nng_version());
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        job job = {0};
        const role *each = roles;
        expect(sscanf(line, "open %31s %31s %31s %d %d %d %255s %255s", job.kind, job.role,
                   job.mode, &job.size, &job.buffers, &job.flows, job.url, job.back) == 8,
            "the line is not understood");
        while (each->kind != NULL &&
               (strcmp(each->kind, job.kind) != 0 || strcmp(each->role, job.role) != 0)) {
            each++;
        }
        expect(each->kind != NULL, "no such role");
        fill(&job);
        each->run(&job);
        free(job.messages);
        puts("closed");
        fflush(stdout);
    }
    return 0;
}
