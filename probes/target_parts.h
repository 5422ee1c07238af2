/* What the readers of one kind of URL share; for target.c and postgres_url.c alone. */
#ifndef SPARKPOD_PROBES_TARGET_PARTS_H
#define SPARKPOD_PROBES_TARGET_PARTS_H

#include "common/err.h"
#include "probes/target.h"

#include <stdint.h>

#define TARGET_MAX_URL_BYTES 8192

/* Append a host. 0, or -1 with EXIT_USAGE where there is no room, no name or no port. */
int target_add_host(struct target *target, const char *name, uint16_t port, struct err *err);

/* 0 for what is not a port. */
uint16_t target_read_port(const char *text);

/* Say where a password belongs. Returns -1. */
int target_refuse_password(struct err *err);

#endif
