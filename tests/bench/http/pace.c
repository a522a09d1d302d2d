/* Offers HTTP requests at a fixed rate and measures what a client feels.
 *
 *   pace PORT RATE SECONDS CONNECTIONS REQUEST-FILE
 *
 * Every request has an instant at which it is due, on one schedule for all connections; its latency runs from that
 * instant, also while all connections are busy: what waits for a slow server is measured, not left out. One line of
 * JSON in the end: offered, answered, failed (status other than 2xx, connection lost), seconds, percentiles in ms.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1024, ROOM = 65536 };

struct conn {
    int fd, busy;
    size_t have;
    long due_us;
    char said[ROOM];
};

static struct conn conns[MOST];
static long *latencies;

static long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

static int dial(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at)) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* Bytes of the whole response at the start of `said`; 0 if it is not complete, -1 if it is none. */
static long response(struct conn *c) {
    char *end, *length;
    c->said[c->have] = 0;
    if (!(end = strstr(c->said, "\r\n\r\n"))) return 0;
    if (!(length = strcasestr(c->said, "content-length:")) || length > end) return -1;
    long whole = (end + 4 - c->said) + atol(length + 15);
    return whole <= (long)c->have ? whole : 0;
}

static int by_size(const void *a, const void *b) {
    long x = *(const long *)a, y = *(const long *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    int port = atoi(argv[1]), n = atoi(argv[4]), epoll = epoll_create1(0);
    double rate = atof(argv[2]), seconds = atof(argv[3]);
    long total = (long)(rate * seconds), sent = 0, answered = 0, failed = 0;
    static char request[ROOM];
    prctl(PR_SET_TIMERSLACK, 1UL);
    FILE *file = fopen(argv[5], "rb");
    size_t size = file ? fread(request, 1, sizeof request, file) : 0;
    latencies = malloc(sizeof(long) * (total + 1));
    if (!size || !latencies || n > MOST) return 2;
    for (int i = 0; i < n; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        if ((conns[i].fd = dial(port)) < 0) return perror("connect"), 1;
        epoll_ctl(epoll, EPOLL_CTL_ADD, conns[i].fd, &e);
    }
    long began = now_us(), give_up = began + (long)((seconds + 10) * 1e6);
    int at = 0, busy = 0;
    while (answered + failed < total && now_us() < give_up) {
        long now = now_us();
        while (sent < total && busy < n && began + (long)(sent * 1e6 / rate) <= now) {
            while (conns[at].busy) at = (at + 1) % n;
            struct conn *c = &conns[at];
            c->due_us = began + (long)(sent * 1e6 / rate);
            c->busy = 1, busy++, sent++;
            if (write(c->fd, request, size) != (ssize_t)size) failed++, c->busy = 0, busy--;
        }
        struct epoll_event ready[64];
        long next = sent < total && busy < n ? began + (long)(sent * 1e6 / rate) - now_us() : 100000;
        struct timespec wait = {.tv_nsec = next > 0 ? next * 1000 : 0}; /* never spins: the server wants the core */
        int some = epoll_pwait2(epoll, ready, 64, &wait, NULL);
        for (int i = 0; i < some; i++) {
            struct conn *c = &conns[ready[i].data.u32];
            ssize_t got = read(c->fd, c->said + c->have, ROOM - 1 - c->have);
            if (got < 0 && errno == EAGAIN) continue;
            long whole = got > 0 ? (c->have += got, response(c)) : -1;
            if (!whole) continue;
            if (whole < 0 || strncmp(c->said, "HTTP/1.1 2", 10)) failed += c->busy;
            else latencies[answered++] = now_us() - c->due_us;
            busy -= c->busy, c->busy = 0;
            if (whole > 0) { memmove(c->said, c->said + whole, c->have - whole), c->have -= whole; continue; }
            struct epoll_event e = {.events = EPOLLIN, .data.u32 = ready[i].data.u32};
            close(c->fd), c->have = 0;
            if ((c->fd = dial(port)) < 0) return perror("connect again"), 1;
            epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e);
        }
    }
    double took = (now_us() - began) / 1e6;
    qsort(latencies, answered, sizeof *latencies, by_size);
#define MS(share) (answered ? latencies[(long)((answered - 1) * (share))] / 1000.0 : 0.0)
    printf("{\"offered\": %ld, \"answered\": %ld, \"failed\": %ld, \"seconds\": %.2f, \"p50_ms\": %.2f, \"p90_ms\": %.2f, "
           "\"p99_ms\": %.2f, \"p999_ms\": %.2f, \"max_ms\": %.2f}\n",
           total, answered, failed + (total - answered - failed), took, MS(.5), MS(.9), MS(.99), MS(.999), MS(1.0));
    return 0;
}
