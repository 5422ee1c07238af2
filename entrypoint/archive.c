#include "entrypoint/archive.h"

#include "common/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST_MAX_BYTES ((size_t)4 << 20)
#define FIRST_LINE "sparkpod archive 2"
#define LAST_LINE "end"
#define READ_BYTES ((size_t)64 << 10)

/* ---- reading ---- */

/* A pipe that nobody writes to must not stop a start. */
static int open_file(const char *path)
{
    return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

/* Behind "KEY " of a line, or NULL. */
static const char *value_of(const char *line, const char *key)
{
    size_t len = strlen(key);

    return strncmp(line, key, len) == 0 && line[len] == ' ' ? line + len + 1 : NULL;
}

/* The path in a fact: behind two blanks. */
static const char *path_of(const char *fact)
{
    const char *blank = strchr(fact, ' ');

    blank = blank ? strchr(blank + 1, ' ') : NULL;
    return blank ? blank + 1 : NULL;
}

struct counts {
    size_t jars, digests, names;
};

static bool take(struct archive *archive, const char *line, struct counts *counts)
{
    const char *value;

    if ((value = value_of(line, "java")))
        archive->java = value;
    else if ((value = value_of(line, "option")))
        archive->options[archive->option_count++] = value;
    else if ((value = value_of(line, "digest")) && strchr(value, ' '))
        archive->digests[counts->digests++] = value;
    else if ((value = value_of(line, "name")))
        archive->names[counts->names++] = value;
    else if ((value = value_of(line, "jar")) && path_of(value)) {
        archive->facts[counts->jars] = value;
        archive->jars[counts->jars++] = path_of(value);
    } else
        return false;
    return true;
}

static int parse(struct archive *archive, struct err *err)
{
    struct counts counts = {0};
    size_t lines = 1;
    char *rest = archive->text.data, *line;

    for (const char *byte = rest; *byte; byte++)
        lines += *byte == '\n';
    archive->jars = calloc(lines, sizeof(*archive->jars));
    archive->facts = calloc(lines, sizeof(*archive->facts));
    archive->digests = calloc(lines, sizeof(*archive->digests));
    archive->names = calloc(lines, sizeof(*archive->names));
    archive->options = calloc(lines, sizeof(*archive->options));
    if (!archive->jars || !archive->facts || !archive->digests || !archive->names ||
        !archive->options)
        return err_no_memory(err);
    line = strsep(&rest, "\n");
    if (strcmp(line, FIRST_LINE) != 0)
        return err_set(err, EXIT_DATA, "%s/manifest is of another version", archive->folder);
    while ((line = strsep(&rest, "\n")) && strcmp(line, LAST_LINE) != 0) {
        if (*line && !take(archive, line, &counts))
            return err_set(err, EXIT_DATA, "%s/manifest: a line is broken", archive->folder);
    }
    if (!line || !archive->java || !counts.digests || !counts.jars)
        return err_set(err, EXIT_DATA, "%s/manifest is not whole", archive->folder);
    return 0;
}

int archive_read(const char *folder, struct archive *ret, struct err *err)
{
    char path[PATH_MAX];
    FD_AUTO fd = -1;

    *ret = (struct archive){.text = BUF_INIT(MANIFEST_MAX_BYTES), .folder = folder};
    (void)snprintf(path, sizeof(path), "%s/manifest", folder);
    fd = open_file(path);
    if (fd < 0 || fd_read_all(fd, &ret->text) < 0)
        return err_set_errno(err, EXIT_DATA, "%s", path);
    if (!ret->text.len)
        return err_set(err, EXIT_DATA, "%s is empty", path);
    return parse(ret, err);
}

void archive_free(struct archive *archive)
{
    free(archive->jars);
    free(archive->facts);
    free(archive->digests);
    free(archive->names);
    free(archive->options);
    buf_free(&archive->text);
    *archive = (struct archive){0};
}

/* ---- what must fit ---- */

static int check_java(const struct archive *archive, const char *java, struct err *err)
{
    char path[PATH_MAX];

    if (!realpath(java, path))
        return err_set_errno(err, EXIT_DATA, "%s", java);
    if (strcmp(path, archive->java) != 0)
        return err_set(err, EXIT_DATA, "it was made with %s, this is %s", archive->java, path);
    return 0;
}

static int check_order(const struct archive *archive, const struct class_path *path,
                       struct err *err)
{
    for (size_t i = 0; archive->jars[i]; i++) {
        const char *jar = i < path->jars.count ? path->jars.at[i] : "nothing";

        if (strcmp(jar, archive->jars[i]) != 0)
            return err_set(err, EXIT_DATA, "the class path has %s where the archive has %s", jar,
                           archive->jars[i]);
    }
    return 0;
}

/* As the JVM compares them. */
static int check_jars(const struct archive *archive, struct err *err)
{
    for (size_t i = 0; archive->jars[i]; i++) {
        char fact[PATH_MAX + 64];
        struct stat status = {0};

        (void)stat(archive->jars[i], &status);
        (void)snprintf(fact, sizeof(fact), "%" PRId64 " %" PRId64 " %s", (int64_t)status.st_size,
                       (int64_t)status.st_mtime, archive->jars[i]);
        if (strcmp(fact, archive->facts[i]) != 0)
            return err_set(err, EXIT_DATA, "%s is not the file that the archive was made from",
                           archive->jars[i]);
    }
    return 0;
}

static bool has_name(const struct archive *archive, const char *name)
{
    for (const char **at = archive->names; *at; at++) {
        if (strcmp(*at, name) == 0)
            return true;
    }
    return false;
}

/* What lies in a folder before the jars hides what a jar has by that name; behind them it would be
 * hidden itself. ("..data" and its like are the kubelet's.) Of what is no folder, or not for us to
 * list, nobody knows. */
static int check_overtaken(const struct archive *archive, const char *folder, struct err *err)
{
    DIR *dir = opendir(*folder ? folder : ".");
    const struct dirent *entry;
    int result = 0;

    if (!dir && errno != ENOENT)
        return err_set_errno(err, EXIT_DATA, "%s comes before the archive's jars", folder);
    while (dir && result == 0 && (entry = readdir(dir))) {
        if (entry->d_name[0] != '.' && has_name(archive, entry->d_name))
            result = err_set(err, EXIT_DATA, "%s/%s comes before a jar that has one as well",
                             folder, entry->d_name);
    }
    if (dir)
        (void)closedir(dir);
    return result;
}

/* GMAC under a key that is no secret: who can write the archive can write the manifest, so this is
 * against damage only. It is three times as fast as SHA-256, and each start waits for it. */
static EVP_MAC_CTX *start_digest(EVP_MAC *mac)
{
    static unsigned char key[16], nonce[12];
    static char cipher[] = "AES-128-GCM";
    EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_IV, nonce, sizeof(nonce)),
        OSSL_PARAM_construct_end(),
    };

    if (context && EVP_MAC_init(context, key, sizeof(key), parameters) == 1)
        return context;
    EVP_MAC_CTX_free(context);
    return NULL;
}

static int digest_file(int fd, char ret_hex[static ARCHIVE_DIGEST_BYTES])
{
    unsigned char digest[(ARCHIVE_DIGEST_BYTES - 1) / 2];
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "GMAC", NULL);
    EVP_MAC_CTX *context = start_digest(mac);
    unsigned char *chunk = malloc(READ_BYTES);
    size_t len = 0;
    ssize_t got = -1;
    bool done = context && chunk;

    while (done && (got = read(fd, chunk, READ_BYTES)) > 0)
        done = EVP_MAC_update(context, chunk, (size_t)got) == 1;
    done = done && got == 0 && EVP_MAC_final(context, digest, &len, sizeof(digest)) == 1;
    for (size_t i = 0; done && i < len; i++)
        (void)snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    free(chunk);
    return done ? 0 : -1;
}

int archive_digest(const char *path, char ret_hex[static ARCHIVE_DIGEST_BYTES], struct err *err)
{
    FD_AUTO fd = open_file(path);

    if (fd < 0 || digest_file(fd, ret_hex) < 0)
        return err_set_errno(err, EXIT_DATA, "%s", path);
    return 0;
}

static int check_digest(const struct archive *archive, const char *line, struct err *err)
{
    char hex[ARCHIVE_DIGEST_BYTES], path[PATH_MAX];
    const char *name = line + strcspn(line, " ") + 1;

    (void)snprintf(path, sizeof(path), "%s%s%s", *name == '/' ? "" : archive->folder,
                   *name == '/' ? "" : "/", name);
    if (archive_digest(path, hex, err) < 0)
        return -1;
    if (strlen(hex) != (size_t)(name - line - 1) || strncmp(hex, line, strlen(hex)) != 0)
        return err_set(err, EXIT_DATA, "%s was changed or cut off", path);
    return 0;
}

int archive_check(const struct archive *archive, const char *java, const struct class_path *path,
                  struct err *err)
{
    if (check_java(archive, java, err) < 0 || check_order(archive, path, err) < 0 ||
        check_jars(archive, err) < 0)
        return -1;
    for (size_t i = 0; i < path->overtaken; i++) {
        if (check_overtaken(archive, path->others.at[i], err) < 0)
            return -1;
    }
    for (const char **line = archive->digests; *line; line++) {
        if (check_digest(archive, *line, err) < 0)
            return -1;
    }
    return 0;
}
