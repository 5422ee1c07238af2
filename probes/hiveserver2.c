#include "common/clock.h"
#include "common/http.h"
#include "probes/checks.h"

#include <stdio.h>
#include <string.h>

#define REPLY_BYTES 65536
#define HTTP_OK 200
#define HTTP_BAD_REQUEST 400
#define HTTP_UNAUTHORIZED 401
#define HTTP_FORBIDDEN 403
#define GOODBYE_MS 1000 /* to close a session after the deadline, so that the server keeps none */

/* ---- who asks ---- */

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

static bool is_anonymous(const struct target *target)
{
    return target->auth == TARGET_AUTH_NOSASL;
}

/* ---- one call: over a connection, or in HTTP transport as the body of a POST ---- */

static int connect_hiveserver2(const struct target *target, const struct target_host *host,
                               int64_t deadline_ms, struct conversation *ret, struct err *err)
{
    if (conversation_open(target, host, deadline_ms, ret, err) < 0)
        return -1;
    if (is_anonymous(target))
        return 0;
    return conversation_login(ret, user_of(target), password_of(target), deadline_ms, err);
}

/* Jetty 10 and newer answer 400 where SNI does not name what the certificate does. */
static int read_reply(const struct target *target, const struct http_reply *reply,
                      enum thrift_method method, struct thrift_answer *ret, struct err *err)
{
    if (reply->status == HTTP_BAD_REQUEST && target->tls && !target->server_name)
        return err_set(err, EXIT_UNAVAILABLE,
                       "answered 400: it may want the name that its certificate holds "
                       "(health.server_name, --server-name)");
    if (reply->status == HTTP_UNAUTHORIZED || reply->status == HTTP_FORBIDDEN)
        return err_set(err, EXIT_REFUSED, "login refused: answered %d", reply->status);
    if (reply->status != HTTP_OK)
        return err_set(err, EXIT_UNAVAILABLE, "answered %d", reply->status);
    if (thrift_parse_reply(method, 1, reply->body.data, reply->body.len, ret) < 0)
        return err_set(err, EXIT_UNAVAILABLE, "the answer is not Thrift");
    return 0;
}

static int post_call(const struct target *target, const struct target_host *host,
                     enum thrift_method method, const struct thrift_handle *handle,
                     int64_t deadline_ms, struct thrift_answer *ret, struct err *err)
{
    static const char *const headers[] = {"Content-Type: application/x-thrift", "Expect:", NULL};
    TRANSPORT_ADDRESS_AUTO address;
    HTTP_REPLY_AUTO reply = {.status = 0};
    BUF_AUTO call = BUF_INIT(4096);
    struct http_request request = {
        .headers = headers,
        .user = is_anonymous(target) ? NULL : user_of(target),
        .password = password_of(target),
        .max_bytes = REPLY_BYTES,
    };

    if (transport_address(target, host, deadline_ms, &address, &request) < 0 ||
        thrift_put_call(&call, method, handle, 1) < 0)
        return err_no_memory(err);
    request.body = call.data;
    request.body_len = call.len;
    if (http_send(&request, &reply, err) < 0)
        return -1;
    return read_reply(target, &reply, method, ret, err);
}

/* Who makes several calls, logged in. */
struct client {
    const struct target *target;
    const struct target_host *host;
    int64_t deadline_ms;
    struct conversation conversation; /* closed in HTTP transport */
};

static int client_open(struct client *client, struct err *err)
{
    if (client->target->http_transport)
        return 0;
    return connect_hiveserver2(client->target, client->host, client->deadline_ms,
                               &client->conversation, err);
}

/* 0, or -1 with err, also for an answer that is not a good one. */
static int client_call(struct client *client, enum thrift_method method,
                       const struct thrift_handle *handle, struct thrift_answer *ret,
                       struct err *err)
{
    int result;

    *ret = (struct thrift_answer){.ok = false};
    if (client->target->http_transport)
        result =
            post_call(client->target, client->host, method, handle, client->deadline_ms, ret, err);
    else
        result =
            conversation_call(&client->conversation, method, handle, client->deadline_ms, ret, err);
    if (result == 0 && !ret->ok)
        return err_set(err, EXIT_UNAVAILABLE, "%s", ret->text);
    return result;
}

/* ---- SELECT 1 ---- */

static int run_statement(struct client *client, const struct thrift_handle *session,
                         struct err *err)
{
    struct thrift_answer execute, fetch, close;

    if (client_call(client, THRIFT_EXECUTE, session, &execute, err) < 0)
        return err_wrap(err, "ExecuteStatement");
    if (client_call(client, THRIFT_FETCH, &execute.handle, &fetch, err) < 0)
        return err_wrap(err, "FetchResults");
    if (client_call(client, THRIFT_CLOSE_OPERATION, &execute.handle, &close, err) < 0)
        return err_wrap(err, "CloseOperation");
    return 0;
}

static int run_session(struct client *client, struct err *err)
{
    struct thrift_answer session, goodbye;
    int64_t latest_ms;
    struct err ignored;
    int result;

    if (client_call(client, THRIFT_OPEN_SESSION, NULL, &session, err) < 0)
        return err_wrap(err, "OpenSession");
    result = run_statement(client, &session.handle, err);
    latest_ms = clock_ms() + GOODBYE_MS;
    if (client->deadline_ms < latest_ms)
        client->deadline_ms = latest_ms;
    if (client_call(client, THRIFT_CLOSE_SESSION, &session.handle, &goodbye,
                    result < 0 ? &ignored : err) < 0 &&
        result == 0)
        return err_wrap(err, "CloseSession");
    return result;
}

static void check_deep(const struct target *target, const struct target_host *host,
                       int64_t deadline_ms, struct check_result *ret)
{
    struct client client = {.target = target, .host = host, .deadline_ms = deadline_ms};
    struct err err;

    if (!is_anonymous(target) && !may_log_in(target)) {
        err_set(&err, EXIT_CONFIG, "SELECT 1 needs a login by user and password");
        checks_failed(ret, &err);
    } else if (client_open(&client, &err) < 0 || run_session(&client, &err) < 0) {
        checks_failed(ret, &err);
    } else {
        checks_ready(ret, "SELECT 1 gave 1");
    }
    conversation_close(&client.conversation);
}

/* ---- one check ---- */

static void get_info(const struct target *target, const struct target_host *host,
                     int64_t deadline_ms, struct check_result *ret)
{
    struct client client = {.target = target, .host = host, .deadline_ms = deadline_ms};
    struct thrift_answer answer;
    struct err err;

    if (client_open(&client, &err) < 0 ||
        client_call(&client, THRIFT_GET_INFO, NULL, &answer, &err) < 0)
        checks_failed(ret, &err);
    else
        checks_take_answer(&answer, ret);
    conversation_close(&client.conversation);
}

/* Outside the servlet's path any answer shows that a worker took the request, and nothing is
 * logged; inside, each request without a login is an ERROR. */
static void knock(const struct target *target, const struct target_host *host, int64_t deadline_ms,
                  struct check_result *ret)
{
    struct target root = *target;

    root.path = NULL;
    root.user = NULL;
    root.any_status = true;
    check_http(&root, host, deadline_ms, ret);
}

void check_hiveserver2(const struct target *target, const struct target_host *host,
                       int64_t deadline_ms, struct check_result *ret)
{
    if (target->deep)
        check_deep(target, host, deadline_ms, ret);
    else if (is_anonymous(target) || may_log_in(target))
        get_info(target, host, deadline_ms, ret);
    else if (target->http_transport)
        knock(target, host, deadline_ms, ret);
    else
        check_tcp(target, host, deadline_ms, ret);
}

/* ---- a session ---- */

/* How a new connection can be tried without a trace in the log depends on libthrift: 0.12 (Spark 3)
 * reports each connection that ends after its first call or login, 0.16 (Spark 4) each mechanism it
 * does not know. */
enum quiet_way { QUIET_UNKNOWN, QUIET_REFUSAL, QUIET_LOGIN };

static enum quiet_way quiet_way(const struct check_session *session)
{
    const char *version = *session->version ? session->version : session->target->version;

    if (*version == '\0')
        return QUIET_UNKNOWN;
    return strncmp(version, "2.", 2) == 0 || strncmp(version, "3.", 2) == 0 ? QUIET_REFUSAL
                                                                            : QUIET_LOGIN;
}

/* Does a new connection get a worker? The handshake shows it. */
static void shake_hands(const struct target *target, bool log_in, int64_t deadline_ms,
                        struct check_result *ret)
{
    const struct target_host *host = &target->hosts[0];
    struct conversation fresh = {.transport = NULL};
    struct err err;
    int result;

    if (log_in) {
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

/* GetInfo on the kept connection also tells the version. */
static void call_kept(struct check_session *session, int64_t deadline_ms, struct check_result *ret)
{
    checks_call_kept(session, &session->kept, connect_hiveserver2, THRIFT_GET_INFO, deadline_ms,
                     ret);
    if (ret->state == CHECK_READY)
        (void)snprintf(session->version, sizeof(session->version), "%.15s",
                       ret->reason + strlen("Spark "));
}

/* Nobody listens any more; a port that is merely crowded lets a connection wait. */
static bool is_refused(const struct check_result *result)
{
    return result->state != CHECK_READY && strcmp(result->reason, HTTP_REFUSED) == 0;
}

/* While all workers are taken no new connection is served; where none is kept, after a restart of
 * ours, that is no sign of a hang, and ending the server would end every session. */
static void leave_to_ui(struct check_result *ret)
{
    char why[CHECK_REASON_BYTES];

    (void)snprintf(why, sizeof(why), "%s", ret->reason);
    checks_ready(ret, "left to the UI, as no connection is kept: %.200s", why);
}

/* A SparkContext that stops closes the port, while a connection from before may go on answering.
 * In HTTP transport a request needs a worker, over a kept connection too: that it gets none must
 * not fail what a restart would not help, so there only the port is asked. */
static void ask_alive(struct check_session *session, bool log_in, int64_t deadline_ms,
                      struct check_result *ret)
{
    const struct target *target = session->target;

    if (session->port_closed)
        check_tcp(target, &target->hosts[0], deadline_ms, ret);
    session->port_closed = is_refused(ret);
    if (session->port_closed)
        return;
    if (!target->http_transport && (log_in || is_anonymous(target)))
        call_kept(session, deadline_ms, ret);
    else
        check_tcp(target, &target->hosts[0], deadline_ms, ret);
}

/* Where no quiet way is known to show more, what is alive counts as usable. */
static void ask_usable(struct check_session *session, bool log_in, int64_t deadline_ms,
                       struct check_result *ret)
{
    const struct target *target = session->target;
    const struct target_host *host = &target->hosts[0];
    enum quiet_way way = quiet_way(session);
    bool may_call = target->http_transport ? log_in || is_anonymous(target)
                                           : is_anonymous(target) && way == QUIET_LOGIN;

    if (may_call)
        get_info(target, host, deadline_ms, ret);
    else if (target->http_transport)
        knock(target, host, deadline_ms, ret);
    else if (target->auth == TARGET_AUTH_PLAIN && way == QUIET_REFUSAL)
        shake_hands(target, false, deadline_ms, ret);
    else if (target->auth == TARGET_AUTH_PLAIN && way == QUIET_LOGIN && log_in)
        shake_hands(target, true, deadline_ms, ret);
    else
        ask_alive(session, log_in, deadline_ms, ret);
    session->port_closed = is_refused(ret);
}

/* A server that refuses the probe's login has shown that it works; the login is not tried again. */
void hiveserver2_ask(struct check_session *session, enum check_question question,
                     int64_t deadline_ms, struct check_result *ret)
{
    bool log_in = may_log_in(session->target) && !session->login_refused;

    if (question == CHECK_USABLE)
        ask_usable(session, log_in, deadline_ms, ret);
    else
        ask_alive(session, log_in, deadline_ms, ret);
    if (question == CHECK_ALIVE && session->target->has_ui && ret->state == CHECK_RETRY &&
        !session->kept.transport && !session->port_closed && !is_refused(ret))
        leave_to_ui(ret);
    if (ret->state == CHECK_FATAL && ret->status == EXIT_REFUSED) {
        session->login_refused = true;
        ret->state = CHECK_READY;
        ret->status = EXIT_DONE;
    }
}
