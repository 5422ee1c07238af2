#include "probes/checks.h"

/* No login and no set_ugi: without it the server answers as itself, with it each call makes a UGI.
 */
void check_metastore(const struct target *target, const struct target_host *host,
                     int64_t deadline_ms, struct check_result *ret)
{
    checks_call_once(target, host, conversation_open, THRIFT_GET_STATUS, deadline_ms, ret);
}

/* getStatus asks nothing but the metastore; get_database asks its database, and waits for it. */
void metastore_ask(struct check_session *session, enum check_question question, int64_t deadline_ms,
                   struct check_result *ret)
{
    bool alive = question == CHECK_ALIVE;

    checks_call_kept(session, alive ? &session->kept : &session->second, conversation_open,
                     alive ? THRIFT_GET_STATUS : THRIFT_GET_DATABASE, deadline_ms, ret);
}
