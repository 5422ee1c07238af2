#!/usr/bin/env bash
# Starts the Spark Thrift Server. The pyspark package has all of it but this script, which here
# ends in the same command as the one of a Spark distribution: the way through spark-daemon.sh,
# with a bash that stays between the caller and the JVM, is part of what the tests are about.
set -o posix

if [ -z "${SPARK_HOME:-}" ]; then
    SPARK_HOME=$(cd "$(dirname "$0")/.." && pwd)
fi
export SPARK_HOME

class=org.apache.spark.sql.hive.thriftserver.HiveThriftServer2

# As Spark does it: what counts is how all the arguments, joined, end.
if [[ "$*" = *--help || "$*" = *-h ]]; then
    echo "Usage: ./sbin/start-thriftserver [options] [thrift server options]"
    echo
    "$SPARK_HOME"/bin/spark-submit --help 2>&1 | grep -v -e '^Usage' >&2
    echo
    echo "Thrift server options:"
    "$SPARK_HOME"/bin/spark-class $class --help 2>&1 |
        grep -v -i -e '^usage' -e '^log4j' -e '^SLF4J'
    exit 1
fi

exec "$SPARK_HOME"/sbin/spark-daemon.sh submit $class 1 --name "Thrift JDBC/ODBC Server" "$@"
