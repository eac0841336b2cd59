/* The errors of libnng that the shim knows, and whether something is done about each. A row is
 *
 *     TNNG_FIX(code, functions that must be wrapped, first minor version, version without, error)
 *
 * where 0 means "all 1.x"; README.md beside this file has the rest. A fix without a version that
 * ends it is always on; one that costs something, or needs a wrapper, asks tnng_fix_is_on(). */
#ifndef TNNG_TABLE_H
#define TNNG_TABLE_H

#include <stdbool.h>

#define TNNG_FIXES(TNNG_FIX)                                                                       \
    TNNG_FIX(C1, "", 0, 6, "a cancelled receive of Sub0 corrupts memory")                          \
    TNNG_FIX(C2, "", 0, 0, "a receive beside a waiting send of Req0 corrupts memory")              \
    TNNG_FIX(C3, "", 0, 0, "a survey that lies unread when its connection goes corrupts memory")   \
    TNNG_FIX(C4, "", 0, 0, "inserting into a message writes past its memory")                      \
    TNNG_FIX(C5, "", 0, 0, "an operation begun while a socket closes is used after it was freed")  \
    TNNG_FIX(C6, "", 0, 0, "closing an endpoint and its socket at once frees twice")               \
    TNNG_FIX(C7, "", 0, 0, "a survey sent while another one expires locks up")                     \
    TNNG_FIX(C8, "", 0, 0, "shrinking a queue that holds messages frees what is no message")       \
    TNNG_FIX(C9, "free", 0, 0, "a Push0 whose peers come and go can crash")                        \
    TNNG_FIX(C10, "", 0, 0, "a pair whose peer leaves while its messages arrive can crash")        \
    TNNG_FIX(C11,                                                                                  \
        "nni_aio_alloc nni_aio_init nni_aio_set_timeout nni_aio_set_output nni_aio_close "         \
        "nni_reap",                                                                                \
        0, 0, "an endpoint closed while connections shake hands keeps descriptors open for good")  \
    TNNG_FIX(C12, "", 0, 0, "a cancel that meets the close of its socket uses freed memory")       \
    TNNG_FIX(F1, "nni_pipe_send nni_pipe_bump_tx nni_aio_finish_sync nng_stream_send", 0, 0,       \
        "flush cannot know what ws connections have written, nor what waits on inproc")            \
    TNNG_FIX(F2, "nni_lmq_full nni_msg_set_pipe nni_pipe_recv", 0, 0,                              \
        "what a slow subscriber, respondent or surveyor loses is counted nowhere")                 \
    TNNG_FIX(H1, "nng_stream_recv nng_stream_send", 0, 0,                                          \
        "a connection closed in the middle of a message can hang every later close")               \
    TNNG_FIX(H2, "nng_stream_dialer_dial nng_stream_dialer_close nng_stream_dialer_free", 0, 0,    \
        "a ws dialer closed while it connects can hang or abort the process")                      \
    TNNG_FIX(H3, "nng_stream_listener_listen nng_stream_listener_close nng_stream_listener_free",  \
        0, 0, "a ws listener closed while clients connect can hang every later close")             \
    TNNG_FIX(H4, "", 0, 0, "a dialer closed between lookup and connect never ends")                \
    TNNG_FIX(L1, "", 0, 6, "a Pair0 never closes the descriptors it was asked for")                \
    TNNG_FIX(L2, "nni_pipe_send nni_aio_begin", 0, 6,                                              \
        "a message given to a connection that closes is never freed")                              \
    TNNG_FIX(L3, "", 0, 0, "an aio that slept reports a timeout as success")                       \
    TNNG_FIX(L4, "bind shutdown unlink close", 0, 0,                                               \
        "closing an ipc listener deletes what is at its path by then; abstract names stay taken")  \
    TNNG_FIX(L5, "nng_stream_recv", 0, 0,                                                          \
        "ws connections stay when their peer has gone while a message was unread")                 \
    TNNG_FIX(L6, "nng_stream_send nni_aio_finish_error", 0, 0,                                     \
        "a message that a ws connection could not write is never freed")                           \
    TNNG_FIX(L7, "nng_stream_recv nni_aio_abort", 11, 0,                                           \
        "a message that arrives while its ws connection closes is never freed")                    \
    TNNG_FIX(M1, "", 0, 0, "statistics of a socket are those of another one")                      \
    TNNG_FIX(M6, "listen", 0, 0, "a listener has room for 128 connections not yet accepted")       \
    TNNG_FIX(M7, "nni_resolv_ip getaddrinfo", 0, 0, "only the first address of a name is tried")   \
    TNNG_FIX(N1, "nni_task_abort", 9, 0,                                                           \
        "a stop of nng returns before the callback, and what the callback works on is freed")      \
    TNNG_FIX(N2, "", 0, 0, "a late cancel rewrites the result of a finished operation")            \
    TNNG_FIX(N3, "", 0, 0, "a receive of Surveyor0 that must not wait blocks")                     \
    TNNG_FIX(S1, "", 0, 0, "a peer that announces a huge message aborts the process")              \
    TNNG_FIX(S2, "sendmsg", 0, 6, "a client that hangs up at once can end a listener")             \
    TNNG_FIX(S4, "accept connect close", 0, 0,                                                     \
        "strangers that say nothing are never dropped on tls+tcp, ws and wss")                     \
    TNNG_FIX(S5, "nng_stream_listener_accept", 0, 0,                                               \
        "a ws listener spins when there are no descriptors")                                       \
    TNNG_FIX(S6, "epoll_ctl", 0, 0,                                                                \
        "some 700 ipc dialers whose listener has gone take all descriptors, and closes hang")      \
    TNNG_FIX(T1, "mbedtls_ssl_set_hostname", 0, 0,                                                 \
        "a TLS client that checks no name sends none, and with Mbed TLS 3.6.3 never connects")

enum tnng_fix {
#define TNNG_FIX(code, wraps, first, without, error) TNNG_FIX_##code,
    TNNG_FIXES(TNNG_FIX)
#undef TNNG_FIX
        TNNG_FIX_COUNT
};

/* [any] Decided once, when the module is loaded; TNNG_WITHOUT of the test build counts too. */
extern bool tnng_fixes_on[TNNG_FIX_COUNT];

#define TNNG_FIX_IS_ON(code) (tnng_fixes_on[TNNG_FIX_##code])

#endif
