/* What the rendered files and the user's arguments say, so that nobody has to say it twice:
 * PostgreSQL's address and login (javax.jdo.option.*), the metastore's (hive.metastore.uris), the
 * Thrift Server's port, transport, TLS and authentication (hive.server2.*), the UI's port
 * (spark.ui.port). */
#ifndef SPARKPOD_ENTRYPOINT_FACTS_H
#define SPARKPOD_ENTRYPOINT_FACTS_H

#include "common/err.h"
#include "probes/target.h"

struct facts; /* keys and values, a later one of the same key winning; wiped on free */

/* Read core-site.xml, hive-site.xml, hivemetastore-site.xml and metastore-site.xml (later ones beat
 * earlier ones, as in MetastoreConf) and spark-defaults.conf from folder, each if it is there, then
 * args (NULL at the end; may be NULL):
 * --conf, -c and --hiveconf KEY=VALUE, --master as spark.master, -p as it is. spark.hadoop.* and
 * spark.hive.* are found under the names they get in Hadoop's configuration, too. NULL with err for
 * a file that cannot be read, and for --properties-file, which would beat spark-defaults.conf. */
struct facts *facts_read(const char *folder, char *const *args, struct err *err);

void facts_free(struct facts **facts);
#define FACTS_AUTO __attribute__((cleanup(facts_free))) struct facts

/* The value of key, trimmed as getTrimmed() does; NULL if unset. Borrowed. */
const char *facts_get(const struct facts *facts, const char *key);

/* PostgreSQL behind the metastore. 1 and *ret; 0 if the ConnectionURL is not PostgreSQL's or not
 * there; -1 with err. */
int facts_postgres(const struct facts *facts, struct target *ret, struct err *err);

/* The metastore as a client sees it (hive.metastore.uris). 1, 0 if unset, or -1 with err. */
int facts_metastore(const struct facts *facts, struct target *ret, struct err *err);

/* The metastore that runs on this machine: its port is that of -p, METASTORE_PORT of environment,
 * metastore.thrift.port (hive.metastore.port), or 9083. 0 or -1. */
int facts_own_metastore(const struct facts *facts, char *const *environment, struct target *ret,
                        struct err *err);

/* The Thrift Server on this machine; HIVE_SERVER2_THRIFT_* of environment beat what was read, as
 * they do in Spark. 0 or -1. */
int facts_thrift_server(const struct facts *facts, char *const *environment, struct target *ret,
                        struct err *err);

/* Its UI. 1; 0 with spark.ui.enabled=false or spark.ui.port=0; or -1. */
int facts_ui(const struct facts *facts, char *const *environment, struct target *ret,
             struct err *err);

#endif
