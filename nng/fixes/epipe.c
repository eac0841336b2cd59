/* S2: peers that hang up. Before nng 1.6 (issue 1518) a write that fails with EPIPE reads inside
 * nng as "closed by ourselves". When that write is a handshake, the listener that accepted the
 * connection stops for ever, while the system goes on connecting new clients to it; a dialer that
 * tries in the background stops in the same way. Whoever connects and hangs up at once does this.
 *
 * No call of nng starts such a listener again, and closing it would close the connections it made.
 * So the error is corrected where it comes in: libnng's calls of sendmsg come here, and EPIPE is
 * reported as ECONNRESET, which is what nng expects of a peer that went. Newer libraries are left
 * alone.
 *
 * And listening on a path: nng finds out whether somebody is there by connecting, which ends
 * another process's listener in this very way; it also deletes a file that is no socket. Here a
 * datagram socket asks instead: the system refuses the type, and the server hears nothing. */
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

/* [job] Whether a path is taken: by a socket somebody has bound, or by a file that is none. Nobody
 * notices being asked. */
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
