/* What the rendered files say, so that nobody has to say it twice: PostgreSQL's address and login
 * (javax.jdo.option.*), the metastore's (hive.metastore.uris), the Thrift Server's port, transport,
 * TLS and authentication (hive.server2.*), the UI's port (spark.ui.port). */
#ifndef SPARKPOD_ENTRYPOINT_FACTS_H
#define SPARKPOD_ENTRYPOINT_FACTS_H

#include "common/err.h"
#include "probes/target.h"

#include <stdbool.h>

struct facts; /* the keys of the files, later files and later keys winning; values wiped on free */

/* Read hive-site.xml, metastore-site.xml (it beats hive-site.xml, as in MetastoreConf) and
 * spark-defaults.conf from folder, each if it is there (spark.hadoop.* and spark.hive.* also under
 * the names they get in Hadoop's configuration). NULL with err for a file that cannot be read. */
struct facts *facts_read(const char *folder, struct err *err);
void facts_free(struct facts *facts);

/* The value of key, trimmed as getTrimmed() does; NULL if unset. Borrowed. */
const char *facts_get(const struct facts *facts, const char *key);

/* As facts_get, the first of the two that is set. */
const char *facts_get_either(const struct facts *facts, const char *key, const char *other);

/* As Boolean.parseBoolean() reads key; fallback if it is unset. */
bool facts_is_true(const struct facts *facts, const char *key, bool fallback);

/* PostgreSQL behind the metastore. 1 and *ret; 0 if the ConnectionURL is not PostgreSQL's or not
 * there; -1 with err. */
int facts_postgres(const struct facts *facts, struct target *ret, struct err *err);

/* The metastore as a client sees it (hive.metastore.uris). 1, 0 if unset, or -1 with err. */
int facts_metastore(const struct facts *facts, struct target *ret, struct err *err);

/* The metastore that runs on this machine: METASTORE_PORT of environment, else
 * metastore.thrift.port (hive.metastore.port), else 9083. 0 or -1. */
int facts_own_metastore(const struct facts *facts, char *const *environment, struct target *ret,
                        struct err *err);

/* The Thrift Server and its UI on this machine; HIVE_SERVER2_THRIFT_* and SPARK_LOCAL_IP of
 * environment beat the files, as they do in Spark. 0 or -1; *ret_has_ui false with
 * spark.ui.enabled=false or spark.ui.port=0, and then *ret_ui is empty. */
int facts_thrift_server(const struct facts *facts, char *const *environment,
                        struct target *ret_server, struct target *ret_ui, bool *ret_has_ui,
                        struct err *err);

#endif
