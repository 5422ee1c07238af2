#include "common/http.h"
#include "probes/checks.h"

#define REPLY_BYTES 65536
#define HTTP_OK 200
#define HTTP_UNAUTHORIZED 401

/* hive.server2.authentication=NONE takes any user; both parts must not be empty. */
static const char *user_of(const struct target *target)
{
    return target->user && *target->user ? target->user : "probe";
}

static const char *password_of(const struct target *target)
{
    return target->password && *target->password ? target->password : "probe";
}

/* Is there a login to try that cannot lock an account by being wrong? */
static bool may_log_in(const struct target *target)
{
    return target->auth == TARGET_AUTH_PLAIN &&
           ((!target->lockout && !target->user) || (target->user && target->password));
}

static int connect_hiveserver2(const struct target *target, const struct target_host *host,
                               int64_t deadline_ms, struct conversation *ret, struct err *err)
{
    if (conversation_open(target, host, deadline_ms, ret, err) < 0)
        return -1;
    if (target->auth == TARGET_AUTH_NOSASL)
        return 0;
    return conversation_login(ret, user_of(target), password_of(target), deadline_ms, err);
}

/* ---- hive.server2.transport.mode=http: the message is the body of a POST ---- */

static int post_call(const struct target *target, const struct target_host *host, bool log_in,
                     int64_t deadline_ms, struct http_reply *ret, struct err *err)
{
    static const char *const headers[] = {"Content-Type: application/x-thrift", "Expect:", NULL};
    BUF_AUTO url = BUF_INIT(8192);
    BUF_AUTO call = BUF_INIT(4096);
    struct http_request request = {
        .headers = headers,
        .user = log_in ? user_of(target) : NULL,
        .password = password_of(target),
        .insecure = target->insecure,
        .deadline_ms = deadline_ms,
        .max_bytes = REPLY_BYTES,
    };

    (void)target_put_url(target, host, &url);
    (void)thrift_put_call(&call, THRIFT_GET_INFO, 1);
    request.url = buf_str(&url);
    request.body = call.data;
    request.body_len = call.len;
    if (buf_failed(&url) || buf_failed(&call))
        return err_set(err, EXIT_INTERNAL, "out of memory");
    return http_send(&request, ret, err);
}

static void check_post(const struct target *target, const struct target_host *host, bool log_in,
                       int64_t deadline_ms, struct check_result *ret)
{
    HTTP_REPLY_AUTO reply = {.status = 0};
    struct thrift_answer answer;
    struct err err;
    int result = post_call(target, host, log_in, deadline_ms, &reply, &err);

    if (result == 0 && reply.status == HTTP_UNAUTHORIZED)
        result = err_set(&err, EXIT_REFUSED, "login refused: answered %d", reply.status);
    else if (result == 0 && reply.status != HTTP_OK)
        result = err_set(&err, EXIT_UNAVAILABLE, "answered %d", reply.status);
    else if (result == 0 &&
             thrift_parse_reply(THRIFT_GET_INFO, 1, reply.body.data, reply.body.len, &answer) < 0)
        result = err_set(&err, EXIT_UNAVAILABLE, "the answer is not Thrift");
    if (result < 0)
        checks_failed(ret, &err);
    else
        checks_take_answer(&answer, ret);
}

/* Outside the servlet's path any answer shows that a worker took the request, and nothing is
 * logged; inside, each request without a login is an ERROR, each with one two lines. */
static void knock(const struct target *target, const struct target_host *host, int64_t deadline_ms,
                  struct check_result *ret)
{
    struct target root = *target;

    root.path = NULL;
    root.user = NULL;
    root.any_status = true;
    check_http(&root, host, deadline_ms, ret);
}

/* ---- one check ---- */

static bool is_anonymous(const struct target *target)
{
    return target->auth == TARGET_AUTH_NOSASL;
}

static void check_once(const struct target *target, const struct target_host *host, bool log_in,
                       int64_t deadline_ms, struct check_result *ret)
{
    bool may_call = log_in || is_anonymous(target);

    if (target->http_transport && may_call)
        check_post(target, host, log_in, deadline_ms, ret);
    else if (target->http_transport)
        knock(target, host, deadline_ms, ret);
    else if (may_call)
        checks_call_once(target, host, connect_hiveserver2, THRIFT_GET_INFO, deadline_ms, ret);
    else
        check_tcp(target, host, deadline_ms, ret);
}

void check_hiveserver2(const struct target *target, const struct target_host *host,
                       int64_t deadline_ms, struct check_result *ret)
{
    check_once(target, host, may_log_in(target), deadline_ms, ret);
}

/* ---- a session ---- */

/* Does a new connection get a worker? The handshake shows it; which one the log does not mind
 * depends on libthrift: 0.12 (Spark 3.5) reports each connection that logs in and closes, 0.16
 * (Spark 4) each mechanism it does not know. */
static void shake_hands(const struct target *target, int64_t deadline_ms, struct check_result *ret)
{
    const struct target_host *host = &target->hosts[0];
    struct conversation fresh = {.transport = NULL};
    struct err err;
    int result;

    if (target->quiet_handshake) {
        result = connect_hiveserver2(target, host, deadline_ms, &fresh, &err);
    } else {
        result = conversation_open(target, host, deadline_ms, &fresh, &err);
        if (result == 0)
            result = conversation_provoke(&fresh, deadline_ms, &err);
    }
    conversation_close(&fresh);
    if (result < 0)
        checks_failed(ret, &err);
    else
        checks_ready(ret, "a new connection is served");
}

static void ask_alive(struct check_session *session, bool log_in, int64_t deadline_ms,
                      struct check_result *ret)
{
    const struct target *target = session->target;

    if (target->http_transport)
        knock(target, &target->hosts[0], deadline_ms, ret);
    else if (log_in || is_anonymous(target))
        checks_call_kept(session, &session->kept, connect_hiveserver2, THRIFT_GET_INFO, deadline_ms,
                         ret);
    else
        check_tcp(target, &target->hosts[0], deadline_ms, ret);
}

static void ask_usable(const struct target *target, bool log_in, int64_t deadline_ms,
                       struct check_result *ret)
{
    bool has_handshake = !target->http_transport && !is_anonymous(target);

    if (has_handshake && (log_in || !target->quiet_handshake))
        shake_hands(target, deadline_ms, ret);
    else
        check_once(target, &target->hosts[0], log_in, deadline_ms, ret);
}

/* A server that refuses the probe's login has shown that it works; the login is not tried again. */
void hiveserver2_ask(struct check_session *session, enum check_question question,
                     int64_t deadline_ms, struct check_result *ret)
{
    bool log_in = may_log_in(session->target) && !session->login_refused;

    if (question == CHECK_ALIVE)
        ask_alive(session, log_in, deadline_ms, ret);
    else
        ask_usable(session->target, log_in, deadline_ms, ret);
    if (ret->state == CHECK_FATAL && ret->status == EXIT_REFUSED) {
        session->login_refused = true;
        ret->state = CHECK_READY;
        ret->status = EXIT_DONE;
    }
}
