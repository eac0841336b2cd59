/* Another user of libnng.so.1 in the process, as an extension module or a plug-in would be. It
 * knows nothing of trionng, and has a callback that waits until another callback has run, which nng
 * allows: there are several task threads. */
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool sent, waited;
static double seconds;
static nng_socket sender, receiver;
static nng_aio *timer, *send;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

static void note_sent(void *unused)
{
    (void) unused;
    pthread_mutex_lock(&lock);
    sent = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void send_and_wait(void *unused)
{
    struct timespec until;
    nng_msg *msg;
    double start = now();

    (void) unused;
    nng_msg_alloc(&msg, 1);
    nng_aio_set_msg(send, msg);
    nng_send_aio(sender, send);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2;
    pthread_mutex_lock(&lock);
    while (!sent && pthread_cond_timedwait(&changed, &lock, &until) == 0) {
    }
    seconds = now() - start;
    waited = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

int other_open(void)
{
    int code;

    (void) ((code = nng_pair0_open(&sender)) == 0 && (code = nng_pair0_open(&receiver)) == 0 &&
            (code = nng_socket_set_int(sender, NNG_OPT_SENDBUF, 64)) == 0 &&
            (code = nng_listen(sender, "inproc://other-user", NULL, 0)) == 0 &&
            (code = nng_dial(receiver, "inproc://other-user", NULL, 0)) == 0 &&
            (code = nng_aio_alloc(&timer, send_and_wait, NULL)) == 0 &&
            (code = nng_aio_alloc(&send, note_sent, NULL)) == 0);
    return code;
}

/* How many seconds one callback waited for the other; 2 is given up. */
double other_round(void)
{
    sent = waited = false;
    nng_sleep_aio(1, timer);
    pthread_mutex_lock(&lock);
    while (!waited) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    nng_aio_wait(timer);
    nng_aio_wait(send);
    return seconds;
}
