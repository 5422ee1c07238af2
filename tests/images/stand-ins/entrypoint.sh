#!/usr/bin/env bash
# The contract of apache/spark's /opt/entrypoint.sh, in so far as a pod sees it: "driver" and
# "executor" run Spark's classes under tini, with what Spark put into the environment; all else is
# executed as it is.
set -eo pipefail

class_path="${SPARK_CONF_DIR:-$SPARK_HOME/conf}:$SPARK_CLASSPATH:$SPARK_HOME/jars/*:$PWD"
options=()
for name in "${!SPARK_JAVA_OPT_@}"; do options+=("${!name}"); done

case ${1-} in
driver)
    shift
    set -- "$SPARK_HOME/bin/spark-submit" --deploy-mode client \
        --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" "$@"
    ;;
executor)
    shift
    set -- "$JAVA_HOME/bin/java" "${options[@]}" \
        "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
        -cp "$class_path" org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
        --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" \
        --cores "$SPARK_EXECUTOR_CORES" --app-id "$SPARK_APPLICATION_ID" \
        --hostname "$SPARK_EXECUTOR_POD_IP" --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" \
        --podName "$SPARK_EXECUTOR_POD_NAME" "$@"
    ;;
*) exec "$@" ;;
esac
exec tini -s -- "$@"
