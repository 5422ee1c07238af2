/* What a driver that died left in Kubernetes: executor pods, their ConfigMap, and claims for their
 * volumes. Spark deletes them when it stops, and their owner, the driver's pod, outlives a
 * container that is only restarted. Only what belongs to this pod is touched, never another
 * driver's. */
#ifndef SPARKPOD_ENTRYPOINT_LEFTOVERS_H
#define SPARKPOD_ENTRYPOINT_LEFTOVERS_H

#include "common/err.h"
#include "entrypoint/service.h"

#include <jansson.h>
#include <stdbool.h>

/* The role's clean(), as service.h says: no driver of this pod may run meanwhile. Nothing happens
 * outside Kubernetes or without POD_UID. */
void leftovers_delete(const struct service *service);

/* Whether an object of a list is to be deleted: it is not being deleted yet, has a name and a uid,
 * and the pod with the uid owner (NULL: whoever) owns it. Pure. */
bool leftovers_is_one(const json_t *object, const char *owner);

/* Find the objects of a page, a list of Kubernetes; *ret_items may be empty. What is to be asked
 * for next, "" after the last page; NULL with EXIT_UNAVAILABLE if this is no list. Borrowed. */
const char *leftovers_read_page(const json_t *page, const json_t **ret_items, struct err *err);

#endif
