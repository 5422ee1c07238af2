#include "common/http.h"

#include "probes/checks.h"

#define BODY_BYTES 65536 /* read, so that the server need not log a reset; more is cut */

void check_http(const struct target *target, const struct target_host *host, int64_t deadline_ms,
                struct check_result *ret)
{
    TRANSPORT_ADDRESS_AUTO address;
    HTTP_REPLY_AUTO reply = {.status = 0};
    struct http_request request = {
        .user = target->user, .password = target->password, .max_bytes = BODY_BYTES};
    struct err err;

    if (transport_address(target, host, deadline_ms, &address, &request) < 0) {
        err_no_memory(&err);
        checks_failed(ret, &err);
    } else if (http_send(&request, &reply, &err) < 0) {
        checks_failed(ret, &err);
    } else if (target->any_status || (reply.status >= 200 && reply.status < 400)) {
        checks_ready(ret, "answered %d", reply.status);
    } else {
        err_set(&err, EXIT_UNAVAILABLE, "answered %d", reply.status);
        checks_failed(ret, &err);
    }
}
