/* L4: the close of a listener deletes another file, and frees an abstract name late. nng's close of
 * an ipc listener deletes whatever is at its path: the socket of another process, or a newer file.
 * And the reaper closes the listening descriptor some time after the close has returned; an
 * abstract name stays in use until then.
 *
 * Fix: the shim records each unix socket that libnng binds: its descriptor, and the file it made.
 * When libnng shuts down a recorded descriptor and then deletes its path, the file is deleted only
 * if it is the recorded file. (Another file cannot have the same number: a bound socket keeps its
 * own.) The record has the absolute path, because the program may change its folder. The job that
 * closes an endpoint or a socket waits up to FREE_WITHIN until descriptors of abstract names are
 * closed.
 *
 * This may go when nng compares what it deletes, and closes before it returns. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fixes/fixes.h"

/* How long a close waits for the reaper: nanoseconds. */
#define FREE_WITHIN INT64_C(2000000000)

typedef struct name {
    struct name *next;
    int fd; /* -1: being closed */
    const tnng_socket *socket;
    uint32_t listener;
    char *given, *path; /* NULL: an abstract name */
    dev_t device;
    ino_t file;
} name;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t freed;
static name *names; /* under lock */
static atomic_int count;

/* The socket whose listener this thread starts, and the descriptor it has just shut down. */
static _Thread_local const tnng_socket *starting;
static _Thread_local uint32_t starting_listener;
static _Thread_local int shut = -1;

__attribute__((constructor)) static void listener_names_begin(void) { tnng_cond_init(&freed); }

/* [job] [caller] Around the start of a listener. */
void tnng_listener_names_starting(const tnng_socket *socket, uint32_t listener)
{
    starting = socket;
    starting_listener = listener;
}

static char *listener_names_absolute(const char *path)
{
    char folder[4096], *full;

    if (path[0] == '/' || getcwd(folder, sizeof(folder)) == NULL ||
        asprintf(&full, "%s/%s", folder, path) < 0) {
        return strdup(path);
    }
    return full;
}

static void listener_names_free(name *it)
{
    free(it->given);
    free(it->path);
    free(it);
}

/* Without memory it is as nng has it. */
static void listener_names_add(int fd, const struct sockaddr_un *address, socklen_t length)
{
    name *it = calloc(1, sizeof(*it));
    struct stat file;

    if (it == NULL) {
        return;
    }
    it->fd = fd;
    it->socket = starting;
    it->listener = starting_listener;
    if (length > offsetof(struct sockaddr_un, sun_path) && address->sun_path[0] != '\0') {
        size_t size = length - offsetof(struct sockaddr_un, sun_path);
        it->given = strndup(address->sun_path, size);
        it->path = it->given == NULL ? NULL : listener_names_absolute(it->given);
        if (it->path == NULL || lstat(it->path, &file) != 0) {
            listener_names_free(it);
            return;
        }
        it->device = file.st_dev;
        it->file = file.st_ino;
    }
    pthread_mutex_lock(&lock);
    it->next = names;
    names = it;
    atomic_fetch_add(&count, 1);
    pthread_mutex_unlock(&lock);
}

/* [job] [caller] */
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int result = bind(fd, address, length);

    if (result == 0 && address->sa_family == AF_UNIX && TNNG_FIX_IS_ON(L4)) {
        listener_names_add(fd, (const struct sockaddr_un *) address, length);
    }
    return result;
}

/* With the lock held. */
static name **listener_names_find(int fd)
{
    name **at = &names;

    while (*at != NULL && (*at)->fd != fd) {
        at = &(*at)->next;
    }
    return at;
}

/* [job] [nng] */
int __wrap_shutdown(int fd, int how)
{
    shut = fd;
    return shutdown(fd, how);
}

/* [job] [nng] After it has shut down a listener libnng deletes its path, in the same thread. */
int __wrap_unlink(const char *path)
{
    struct stat file;
    char *own = NULL;
    bool known = false;

    if (atomic_load(&count) > 0 && shut >= 0) {
        pthread_mutex_lock(&lock);
        const name *it = *listener_names_find(shut);
        known = it != NULL && it->given != NULL && strcmp(it->given, path) == 0;
        if (known && lstat(it->path, &file) == 0 && file.st_dev == it->device &&
            file.st_ino == it->file) {
            own = strdup(it->path);
        }
        pthread_mutex_unlock(&lock);
    }
    shut = -1;
    int result = known && own == NULL ? 0 : unlink(own != NULL ? own : path);
    free(own);
    return result;
}

/* [nng] [job] What libnng closes. */
int tnng_listener_names_close(int fd)
{
    name *it = NULL;

    if (atomic_load(&count) > 0 && fd >= 0) {
        pthread_mutex_lock(&lock);
        it = *listener_names_find(fd);
        if (it != NULL) {
            it->fd = -1; /* the number may be another descriptor's at once */
        }
        pthread_mutex_unlock(&lock);
    }
    int result = close(fd), error = errno;
    if (it != NULL) {
        pthread_mutex_lock(&lock);
        TNNG_SLIST_REMOVE(&names, it, next);
        atomic_fetch_sub(&count, 1);
        pthread_cond_broadcast(&freed);
        pthread_mutex_unlock(&lock);
        listener_names_free(it);
    }
    errno = error;
    return result;
}

/* With the lock held. */
static bool listener_names_in_use(const tnng_socket *socket, uint32_t listener)
{
    const name *it = names;

    while (it != NULL && (it->given != NULL || it->socket != socket ||
                             (listener != 0 && it->listener != listener))) {
        it = it->next;
    }
    return it != NULL;
}

/* [job] A listener, or with 0 the socket, has been closed. */
void tnng_listener_names_wait(const tnng_socket *socket, uint32_t listener)
{
    int64_t until = tnng_now() + FREE_WITHIN;

    if (atomic_load(&count) == 0) {
        return;
    }
    pthread_mutex_lock(&lock);
    while (listener_names_in_use(socket, listener) && tnng_cond_wait(&freed, &lock, until)) {
    }
    pthread_mutex_unlock(&lock);
}
