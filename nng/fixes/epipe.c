/* S2: a peer that hangs up stops a listener. Before nng 1.6 (issue 1518), nng reads a write that
 * fails with EPIPE as "closed by ourselves". When the write belongs to a handshake, the listener
 * that accepted the connection stops for good, while the system still accepts clients for it; a
 * dialer that dials in the background stops too. Any client that connects and hangs up at once
 * causes this.
 *
 * Fix: no call of nng restarts such a listener, and closing it would close its connections. So
 * sendmsg is wrapped, and EPIPE becomes ECONNRESET, the error nng expects of a peer that left.
 * Newer libraries are left alone.
 *
 * Listening on a path: nng tests whether a path is in use by connecting to it, which stops another
 * process's listener in the way above; nng also deletes a file that is no socket. The shim asks
 * with a datagram socket instead: the system refuses the type, and the server sees nothing.
 *
 * The wrapper may go when 1.6 is the oldest nng; the test of the path stays. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fixes/fixes.h"

/* [nng] */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t sent = sendmsg(fd, message, flags);
    if (sent < 0 && errno == EPIPE && TNNG_FIX_IS_ON(S2)) {
        errno = ECONNRESET;
    }
    return sent;
}

/* [job] Whether a path is in use: by a bound socket, or by a file that is no socket. The owner of
 * the socket does not notice the test. */
bool tnng_ipc_path_in_use(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat file;

    if (TNNG_WITHOUT("S2") || strlen(path) >= sizeof(address.sun_path) || stat(path, &file) != 0) {
        return false;
    }
    if (!S_ISSOCK(file.st_mode)) {
        return true;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    /* ECONNREFUSED is a socket's file that its owner has left; nng replaces it. */
    bool taken = connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0 ||
                 (errno != ECONNREFUSED && errno != ENOENT);
    close(fd);
    return taken;
}
