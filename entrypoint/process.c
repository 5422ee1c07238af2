#include "entrypoint/process.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As the kernel writes it for getdents64; readdir() would allocate. */
struct kernel_dirent {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

struct relation {
    pid_t pid, parent, group;
    bool alive;  /* no zombie */
    bool ours;   /* descends from us */
    bool judged; /* .ours is settled */
};

/* Static, as PID 1 allocates nothing; pages that are never touched cost nothing. A whole host may
 * stand here when sparkpod is not PID 1. */
static struct relation relations[1 << 16];
static size_t relation_count;

/* Move *text behind a number and return it. */
static pid_t read_pid(const char **text)
{
    pid_t pid = 0;

    for (; **text >= '0' && **text <= '9'; (*text)++)
        pid = pid * 10 + (**text - '0');
    return pid;
}

static pid_t parse_pid(const char *text)
{
    pid_t pid = read_pid(&text);

    return *text == '\0' ? pid : 0;
}

/* Read a file of /proc/PID into text, NUL-terminated. The bytes read, or -1. */
static ssize_t read_of(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    ssize_t got;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    got = read(fd, text, size - 1);
    close(fd);
    text[got < 0 ? 0 : got] = '\0';
    return got;
}

/* proc(5): "PID (COMM) STATE PPID PGRP …", where COMM may hold anything, parentheses too. */
static bool read_relation(pid_t pid, struct relation *ret)
{
    char text[512];
    const char *p, *at;

    if (read_of(pid, "stat", text, sizeof(text)) <= 0)
        return false;
    p = strrchr(text, ')');
    if (!p || strlen(p) < 5)
        return false;
    at = p + 4;
    *ret = (struct relation){.pid = pid, .alive = p[2] != 'Z' && p[2] != 'X'};
    ret->parent = read_pid(&at);
    at += *at == ' ';
    ret->group = read_pid(&at);
    return true;
}

static void read_all_relations(void)
{
    static char entries[16384] __attribute__((aligned(8)));
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long got;

    relation_count = 0;
    if (fd < 0)
        return;
    while ((got = syscall(SYS_getdents64, fd, entries, sizeof(entries))) > 0) {
        for (long at = 0; at < got;) {
            const struct kernel_dirent *entry = (const void *)(entries + at);
            pid_t pid = parse_pid(entry->name);

            at += entry->length;
            if (pid > 0 && relation_count < sizeof(relations) / sizeof(relations[0]) &&
                read_relation(pid, &relations[relation_count]))
                relation_count++;
        }
    }
    close(fd);
}

static struct relation *find_relation(pid_t pid)
{
    size_t low = 0, high = relation_count;

    while (low < high) { /* /proc lists processes in ascending order */
        size_t middle = low + (high - low) / 2;

        if (relations[middle].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < relation_count && relations[low].pid == pid ? &relations[low] : NULL;
}

/* Follow the parents up to us (ours), to a skipped one or to the end (not ours). */
static void judge(struct relation *start, pid_t self, const pid_t *skip, size_t skip_count)
{
    struct relation *r = start;
    size_t steps = 0;
    bool ours = false;

    while (r && !r->judged && steps++ < relation_count) {
        for (size_t i = 0; i < skip_count; i++) {
            if (skip[i] && (skip[i] == r->pid || skip[i] == r->group))
                goto settled;
        }
        ours = r->parent == self;
        if (ours)
            break;
        r = find_relation(r->parent);
    }
    if (r && r->judged)
        ours = r->ours;
settled:
    start->ours = ours;
    start->judged = true;
}

size_t process_descendants(const pid_t *skip, size_t skip_count, pid_t *ret)
{
    pid_t self = getpid();
    size_t count = 0;

    read_all_relations();
    for (size_t i = 0; i < relation_count && count < PROCESS_MAX; i++) {
        judge(&relations[i], self, skip, skip_count);
        if (relations[i].ours && relations[i].alive)
            ret[count++] = relations[i].pid;
    }
    return count;
}

size_t process_children(pid_t *ret)
{
    static char text[16384];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    size_t len = 0, count = 0;
    ssize_t got;

    if (fd < 0) /* a kernel without CONFIG_PROC_CHILDREN */
        return 0;
    while (len < sizeof(text) && (got = read(fd, text + len, sizeof(text) - len)) > 0)
        len += (size_t)got;
    close(fd);
    /* "12 345 ": a blank behind each, so that one that was cut is none. */
    for (size_t at = 0; at < len && count < PROCESS_MAX; at++) {
        pid_t pid = 0;

        for (; at < len && text[at] != ' '; at++)
            pid = pid * 10 + (text[at] - '0');
        if (at < len)
            ret[count++] = pid;
    }
    return count;
}

bool process_is_java(pid_t pid)
{
    char path[64], target[512];
    const char *name;
    ssize_t len;

    (void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
    len = readlink(path, target, sizeof(target) - 1);
    if (len <= 0)
        return false;
    target[len] = '\0';
    name = strrchr(target, '/');
    return name && strcmp(name + 1, "java") == 0;
}

bool process_argv_has(pid_t pid, const char *word)
{
    char path[64], text[8192];
    size_t len = strlen(word), kept = 0;
    bool found = false;
    ssize_t got;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    /* A class path may be long: keep the end of each piece, where the word may have begun. */
    while (!found && (got = read(fd, text + kept, sizeof(text) - kept)) > 0) {
        size_t have = kept + (size_t)got;

        found = memmem(text, have, word, len) != NULL;
        kept = have < len ? have : len - 1;
        memmove(text, text + have - kept, kept);
    }
    close(fd);
    return found;
}
