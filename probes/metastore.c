#include "probes/checks.h"

/* No login and no set_ugi: without it the server answers as itself, with it each call makes a UGI.
 * getStatus asks nothing but the metastore; get_database asks its database, and waits for it. */
void check_metastore(const struct target *target, const struct target_host *host,
                     int64_t deadline_ms, struct check_result *ret)
{
    static const enum thrift_method methods[] = {THRIFT_GET_STATUS, THRIFT_GET_DATABASE};
    struct conversation conversation = {.transport = NULL};
    struct thrift_answer answer = {.ok = true};
    struct err err;
    int result = conversation_open(target, host, deadline_ms, &conversation, &err);

    for (size_t i = 0; i < 2 && result == 0 && answer.ok; i++)
        result = conversation_call(&conversation, methods[i], NULL, deadline_ms, &answer, &err);
    conversation_close(&conversation);
    if (result < 0)
        checks_failed(ret, &err);
    else if (answer.ok)
        checks_ready(ret, "ALIVE, and its database answers");
    else
        checks_take_answer(&answer, ret);
}

void metastore_ask(struct check_session *session, enum check_question question, int64_t deadline_ms,
                   struct check_result *ret)
{
    bool alive = question == CHECK_ALIVE;

    checks_call_kept(session, alive ? &session->kept : &session->second, conversation_open,
                     alive ? THRIFT_GET_STATUS : THRIFT_GET_DATABASE, deadline_ms, ret);
}
