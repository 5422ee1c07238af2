/* constant_rate PORT PATH RATE SECONDS: GET at a constant rate over kept connections, and say how
 * that went as one line of JSON. Each request has its time; it counts from that time even when it
 * was sent late, so that a slow answer makes the ones behind it slow, too. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 16

static char request[256];
static struct sockaddr_in address = {.sin_family = AF_INET};
static int64_t start_us, interval_us; /* of one connection */
static size_t count;                  /* of one connection */

struct connection {
    pthread_t thread;
    int number;
    size_t failed;
    int64_t *latency_us;
};

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleep_until(int64_t us)
{
    struct timespec when = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 5};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* A small answer comes in one piece. */
static int ask(int fd)
{
    char answer[4096];
    ssize_t got;

    if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
        return -1;
    got = recv(fd, answer, sizeof(answer) - 1, 0);
    if (got <= 0)
        return -1;
    answer[got] = '\0';
    return strncmp(answer, "HTTP/1.1 200 ", 13) == 0 && strstr(answer, "\r\n\r\n") ? 0 : -1;
}

static void *run(void *context)
{
    struct connection *connection = context;
    int fd = dial();

    for (size_t i = 0; i < count; i++) {
        int64_t due_us =
            start_us + (int64_t)i * interval_us + connection->number * interval_us / CONNECTIONS;

        sleep_until(due_us);
        if (fd < 0 || ask(fd) < 0) {
            connection->failed++;
            close(fd);
            fd = dial();
        }
        connection->latency_us[i] = now_us() - due_us;
    }
    close(fd);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static struct connection connections[CONNECTIONS];
    size_t rate, total, failed = 0;
    int64_t *all_us, took_us;

    if (argc != 5)
        return 64;
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: pod\r\n\r\n", argv[2]);
    rate = (size_t)atoi(argv[3]);
    count = rate * (size_t)atoi(argv[4]) / CONNECTIONS;
    total = count * CONNECTIONS;
    interval_us = (int64_t)(1000000 * CONNECTIONS / rate);
    all_us = calloc(total, sizeof(*all_us));
    if (!all_us)
        return 70;
    start_us = now_us() + 100000;
    for (int i = 0; i < CONNECTIONS; i++) {
        connections[i].number = i;
        connections[i].latency_us = all_us + (size_t)i * count;
        if (pthread_create(&connections[i].thread, NULL, run, &connections[i]) != 0)
            return 70;
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        pthread_join(connections[i].thread, NULL);
        failed += connections[i].failed;
    }
    took_us = now_us() - start_us;
    qsort(all_us, total, sizeof(*all_us), compare);
    printf("{\"sent\": %zu, \"failed\": %zu, \"rate\": %.1f, \"median_ms\": %.3f, "
           "\"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
           total, failed, (double)total * 1e6 / (double)took_us, (double)all_us[total / 2] / 1000,
           (double)all_us[total * 99 / 100] / 1000, (double)all_us[total - 1] / 1000);
    free(all_us);
    return 0;
}
