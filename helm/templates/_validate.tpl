{{/*
What values may not say, each with one sentence on what to set. values.schema.json has the types.
*/}}

{{- define "sparkpod.validate.storage" -}}
{{- with .Values.spark -}}
{{- range $key := tuple "sparkImageUrl" "storageAccountName" "containerName" -}}
{{- if hasPrefix "<" (get $.Values.spark $key) -}}
{{- fail (printf "spark.%s is still a placeholder: set it to your own" $key) -}}
{{- end -}}
{{- end -}}
{{- if not (or .storageAccountName .warehouseDir) -}}
{{- fail "there is no storage for tables: set spark.storageAccountName and spark.containerName, or spark.warehouseDir" -}}
{{- end -}}
{{- if and .storageAccountName (not .containerName) -}}
{{- fail "spark.storageAccountName needs a container: set spark.containerName" -}}
{{- end -}}
{{- if and .storageAccountName (not (regexMatch "^[a-z0-9]{3,24}$" .storageAccountName)) -}}
{{- fail (printf "spark.storageAccountName %q is no name of an account, which has 3 to 24 lower-case letters and digits: set the name alone, without host" .storageAccountName) -}}
{{- end -}}
{{- range $key, $url := dict "spark.warehouseDir" .warehouseDir "spark.eventLog.dir" .eventLog.dir -}}
{{- if regexMatch "^wasbs?://" $url -}}
{{- fail (printf "%s is on WASB, which knows no OAuth and ends with Hadoop 3.5: set it to abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH" $key) -}}
{{- end -}}
{{- if regexMatch "^abfss?://[^/]*[.]blob[.]" $url -}}
{{- fail (printf "%s has the host of WASB, and ABFS speaks to ACCOUNT.dfs.core.windows.net: set that host" $key) -}}
{{- end -}}
{{- end -}}
{{- if hasPrefix "blob." $.Values.azure.endpointSuffix -}}
{{- fail "azure.endpointSuffix is that of WASB: set it to dfs.core.windows.net, or what another cloud has for it" -}}
{{- end -}}
{{- if and .eventLog.enabled (not .eventLog.dir) (not .storageAccountName) -}}
{{- fail "spark.eventLog.enabled needs a place: set spark.eventLog.dir" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sparkpod.validate.executors" -}}
{{- with .Values.spark -}}
{{- $dynamic := .dynamicAllocation -}}
{{- if $dynamic.enabled -}}
{{- if gt (int $dynamic.minExecutors) (int $dynamic.maxExecutors) -}}
{{- fail "spark.dynamicAllocation.minExecutors is more than maxExecutors: set it lower" -}}
{{- end -}}
{{- if or (lt (int $dynamic.initialExecutors) (int $dynamic.minExecutors)) (gt (int $dynamic.initialExecutors) (int $dynamic.maxExecutors)) -}}
{{- fail "spark.dynamicAllocation.initialExecutors is not between minExecutors and maxExecutors: set it between them" -}}
{{- end -}}
{{- end -}}
{{- if and (eq .executor.localDirs.type "persistentVolumeClaim") (not .executor.localDirs.size) -}}
{{- fail "claims for executors need a size: set spark.executor.localDirs.size" -}}
{{- end -}}
{{- if and .executorRolling.enabled (not .decommission.enabled) -}}
{{- fail "spark.executorRolling does nothing while executors are not decommissioned: set spark.decommission.enabled to true" -}}
{{- end -}}
{{- range $key := tuple "spark.master" "spark.submit.deployMode" "spark.driver.host" "spark.driver.port" "spark.driver.blockManager.port" "spark.ui.port" "spark.kubernetes.namespace" "spark.kubernetes.driver.pod.name" "spark.kubernetes.executor.podTemplateFile" -}}
{{- if hasKey $.Values.spark.conf $key -}}
{{- fail (printf "spark.conf has %s, which the chart or sparkpod sets: leave it out" $key) -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := .conf -}}
{{- if and (regexMatch "(?i)secret|password|account[.]key|access[.]key" $key) (not (contains "${" (toString $value))) (not (regexMatch "[.](enabled|file|provider[.]type|path)$" $key)) -}}
{{- fail (printf "spark.conf holds the secret %s in clear, and so would a ConfigMap: write ${NAME} and put it into a Secret of thriftServer.secretsFrom" $key) -}}
{{- end -}}
{{- if contains "Xmx" (toString $value) -}}
{{- fail (printf "spark.conf.%s sets a heap size, which Spark refuses: set spark.executor.memory, or thriftServer.resources.limits.memory for the driver" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Helm holds numbers as floats of 64 bits. */}}
{{- define "sparkpod.validate.numbers" -}}
{{- range $section, $values := dict "spark.conf" .Values.spark.conf "hive.hiveSite" .Values.hive.hiveSite "thriftServer.hiveSite" .Values.thriftServer.hiveSite -}}
{{- range $key, $value := $values -}}
{{- if kindIs "float64" $value -}}
{{- if or (gt $value 9007199254740991.0) (lt $value -9007199254740991.0) -}}
{{- fail (printf "%s.%s is a number too large for Helm to keep exactly: set it in quotes" $section $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sparkpod.validate.azure" -}}
{{- with .Values.azure -}}
{{- if $.Values.spark.storageAccountName -}}
{{- if eq .auth "servicePrincipal" -}}
{{- if not .servicePrincipal.existingSecret -}}
{{- fail "azure.auth is servicePrincipal and there is no Secret: set azure.servicePrincipal.existingSecret" -}}
{{- end -}}
{{- else if eq .auth "workloadIdentity" -}}
{{- if not (and .workloadIdentity.clientId .workloadIdentity.tenantId) -}}
{{- fail "azure.auth is workloadIdentity: set azure.workloadIdentity.clientId and azure.workloadIdentity.tenantId" -}}
{{- end -}}
{{- if semverCompare "<3.4.1" $.Values.spark.hadoopVersion -}}
{{- fail (printf "workload identity needs Hadoop 3.4.1 and spark.hadoopVersion is %s: set an image of Spark 4 and its version of Hadoop, or azure.auth to servicePrincipal" $.Values.spark.hadoopVersion) -}}
{{- end -}}
{{- if and (include "sparkpod.hasMetastore" $) (semverCompare "<3.4.1" $.Values.hive.hadoopVersion) -}}
{{- fail (printf "workload identity needs Hadoop 3.4.1 and hive.hadoopVersion is %s: set an image built with HADOOP_VERSION=3.4.1 and that version, or azure.auth to servicePrincipal" $.Values.hive.hadoopVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sparkpod.validate.metastore" -}}
{{- $metastore := .Values.metastore -}}
{{- if .Values.externalMetastore.uris -}}
{{- range splitList "," .Values.externalMetastore.uris -}}
{{- if not (regexMatch "^thrift://[^ /]+:[0-9]+$" .) -}}
{{- fail "externalMetastore.uris is not thrift://HOST:PORT[,thrift://HOST:PORT], without blanks: set it so" -}}
{{- end -}}
{{- end -}}
{{- if $metastore.autoscaling.enabled -}}
{{- fail "metastore.autoscaling is on and externalMetastore.uris is set, so that there is none of the chart: set one of the two" -}}
{{- end -}}
{{- end -}}
{{- with $metastore.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail "metastore.autoscaling.minReplicas is more than maxReplicas: set it lower" -}}
{{- end -}}
{{- if and .enabled (not (dig "requests" "cpu" "" $metastore.resources)) -}}
{{- fail "metastore.autoscaling goes by the CPU request: set metastore.resources.requests.cpu" -}}
{{- end -}}
{{- end -}}
{{- $url := get .Values.hive.hiveSite "javax.jdo.option.ConnectionURL" | default "jdbc:postgresql:" -}}
{{- if and (not (hasPrefix "jdbc:postgresql:" $url)) (or (gt (int $metastore.replicas) 1) $metastore.autoscaling.enabled) -}}
{{- fail "several metastores cannot share an embedded database: set metastore.replicas to 1, or hive.hiveSite's javax.jdo.option.ConnectionURL to PostgreSQL" -}}
{{- end -}}
{{- range $key, $value := .Values.hive.hiveSite -}}
{{- if and (regexMatch "(?i)password|client[.]secret|account[.]key" $key) (not (contains "${" (toString $value))) -}}
{{- fail (printf "hive.hiveSite holds the secret %s in clear, and so would a ConfigMap: write ${NAME} and put it into a Secret of metastore.secretsFrom" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sparkpod.validate.database" -}}
{{- if include "sparkpod.hasMetastore" . -}}
{{- $external := .Values.externalDatabase -}}
{{- $own := .Values.postgresql -}}
{{- if and $own.enabled $external.host -}}
{{- fail "there are two databases: set postgresql.enabled to false, or leave out externalDatabase.host" -}}
{{- end -}}
{{- if $own.enabled -}}
{{- if not $own.auth.existingSecret -}}
{{- fail "PostgreSQL needs passwords: set postgresql.auth.existingSecret to a Secret that has them" -}}
{{- end -}}
{{- range $key := tuple "password" "postgresPassword" -}}
{{- if hasKey $own.auth $key -}}
{{- fail (printf "postgresql.auth.%s would stand in the release's record in clear: leave it out, put it into the Secret that postgresql.auth.existingSecret names" $key) -}}
{{- end -}}
{{- end -}}
{{- if or (ne $own.auth.username .Values.hive.database.user) (ne $own.auth.database .Values.hive.database.name) -}}
{{- fail "hive.database and postgresql.auth name different users or databases: set hive.database.user to postgresql.auth.username and hive.database.name to postgresql.auth.database" -}}
{{- end -}}
{{- if eq $own.auth.username "postgres" -}}
{{- fail "the metastore must not be the superuser: set postgresql.auth.username and hive.database.user to another name than postgres" -}}
{{- end -}}
{{- else -}}
{{- if not $external.host -}}
{{- fail "there is no database for the metastore: set externalDatabase.host, or postgresql.enabled to true" -}}
{{- end -}}
{{- if not $external.existingSecret -}}
{{- fail "the metastore needs its database's password: set externalDatabase.existingSecret to the Secret that has it" -}}
{{- end -}}
{{- if and $external.sslRootCert.configMap $external.sslRootCert.secret -}}
{{- fail "externalDatabase.sslRootCert names a ConfigMap and a Secret: set one of them" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
