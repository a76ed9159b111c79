/* The floor of a connection through a proxy: `relay PORT UPSTREAM THREADS` answers whatever it is asked with 200
 * and carries what comes to UPSTREAM and back. No rule, no name, no limit, no record; a connection that breaks is closed, and
 * one that does not read holds up the others of its thread. Built by `cargo xtask bench egress`. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* One end of a connection; a client that was not answered yet has no other. */
struct end {
    struct end *other;
    int fd, closed;
};

static const char ANSWER[] = "HTTP/1.1 200 OK\r\n\r\n";
static int listener, upstream;

static struct sockaddr_in here(int port) {
    struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    return at;
}

static struct end *watch(int epoll, int fd) {
    int one = 1;
    struct end *end = calloc(1, sizeof *end);
    if (!end) abort();
    end->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = end};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    return end;
}

static int answer(int epoll, struct end *client) {
    struct sockaddr_in at = here(upstream);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *)&at, sizeof at)) {
        close(fd);
        return -1;
    }
    struct end *server = watch(epoll, fd);
    server->other = client;
    client->other = server;
    return write(client->fd, ANSWER, sizeof ANSWER - 1) < 0 ? -1 : 0;
}

static int carry(struct end *from, const char *bytes, ssize_t count) {
    while (count > 0) {
        ssize_t done = write(from->other->fd, bytes, count);
        if (done < 0 && errno != EAGAIN) return -1;
        if (done > 0) bytes += done, count -= done;
    }
    return 0;
}

static void *work(void *unused) {
    static __thread char bytes[256 << 10];
    struct epoll_event events[64];
    struct end *closed[2 * 64];
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, 64, -1), ended = 0;
        for (int at = 0; at < count; at++) {
            struct end *end = events[at].data.ptr;
            if (!end) {
                int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (fd >= 0) watch(epoll, fd);
                continue;
            }
            if (end->closed) continue;
            ssize_t got = read(end->fd, bytes, sizeof bytes);
            if (got < 0 && errno == EAGAIN) continue;
            int gone = got <= 0 || (end->other ? carry(end, bytes, got) : answer(epoll, end));
            if (!gone) continue;
            for (struct end *one = end; one && !one->closed; one = one->other) {
                close(one->fd);
                one->closed = 1;
                closed[ended++] = one;
            }
        }
        while (ended > 0) free(closed[--ended]);
    }
    return unused;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    signal(SIGPIPE, SIG_IGN);
    int one = 1;
    struct sockaddr_in at = here(atoi(argv[1]));
    upstream = atoi(argv[2]);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 512)) return 1;
    for (int threads = atoi(argv[3]); threads > 1; threads--) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, NULL)) return 1;
    }
    work(NULL);
}
