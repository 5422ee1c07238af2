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
{{- if eq .executor.localDirs.type "persistentVolumeClaim" -}}
{{- range $key := tuple "size" "storageClass" -}}
{{- if not (get $.Values.spark.executor.localDirs $key) -}}
{{- fail (printf "Spark makes no claims for executors without their %s: set spark.executor.localDirs.%s" $key $key) -}}
{{- end -}}
{{- end -}}
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
{{- if and (regexMatch "(?i)secret|password|account[.]key|access[.]key" $key) (not (contains "${" (toString $value))) (not (regexMatch "[.](enabled|file|provider[.]type|path|pullSecrets)$|^spark[.]kubernetes[.]executor[.]secret(s|KeyRef)[.]" $key)) -}}
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
