/* A plain server on epoll, in one thread: HTTP with keep-alive, or echo.
 *
 * epoll [--echo] [--defer] PORT
 *
 * --defer sets TCP_DEFER_ACCEPT and reads once before it registers a connection. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 1024
#define BUFFER_SIZE (32 * 1024)

static const char PAGE[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 27\r\n\r\n"
                           "Hello from the other side.\n";
static const char LAST_PAGE[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 27\r\n"
                                "Connection: close\r\n\r\nHello from the other side.\n";

static int echo, defer;
static char buffer[BUFFER_SIZE];

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Reads once and answers; 0 if the connection is over. Whole requests and whole answers only: enough for a benchmark. */
static int serve(int fd) {
    ssize_t length = read(fd, buffer, sizeof buffer);
    if (length < 0)
        return errno == EAGAIN;
    if (length == 0)
        return 0;
    if (echo) {
        /* What the socket does not take at once it takes a little later; nobody else is served until then. */
        for (ssize_t sent = 0; sent < length;) {
            ssize_t n = write(fd, buffer + sent, length - sent);
            if (n < 0 && errno != EAGAIN)
                return 0;
            sent += n < 0 ? 0 : n;
        }
        return 1;
    }
    for (char *at = buffer, *end = buffer + length; at < end;) {
        char *stop = memmem(at, end - at, "\r\n\r\n", 4);
        if (!stop)
            return 0;
        int last = memmem(at, stop - at, "Connection: close", 17) != NULL;
        if (write(fd, last ? LAST_PAGE : PAGE, last ? sizeof LAST_PAGE - 1 : sizeof PAGE - 1) < 0 || last)
            return 0;
        at = stop + 4;
    }
    return 1;
}

int main(int argc, char **argv) {
    int port = 8001, one = 1;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--echo"))
            echo = 1;
        else if (!strcmp(argv[i], "--defer"))
            defer = 1;
        else
            port = atoi(argv[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (defer)
        setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0)
        die("bind");
    if (listen(listener, 1024) < 0)
        die("listen");
    socklen_t size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);

    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                if (!serve(fd))
                    close(fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (defer && !serve(fd)) {
                    close(fd);
                    continue;
                }
                event.events = EPOLLIN;
                event.data.fd = fd;
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
