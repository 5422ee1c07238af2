{{/*
The same for the Thrift Server, for access to it, and for what both components have.
*/}}

{{- define "sparkpod.validate.server" -}}
{{- with .Values.thriftServer -}}
{{- with .authentication -}}
{{- if and (eq .type "LDAP") (not .ldap.url) -}}
{{- fail "thriftServer.authentication.type is LDAP: set thriftServer.authentication.ldap.url" -}}
{{- end -}}
{{- range $key, $value := .ldap.extra -}}
{{- if not (has $key (list "userDNPattern" "Domain")) -}}
{{- fail (printf "thriftServer.authentication.ldap.extra.%s is read by Hive and not by Spark, which would let in everybody the directory knows: leave it out, and choose by baseDN or userDNPattern" $key) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .type "CUSTOM") (not .customClass) -}}
{{- fail "thriftServer.authentication.type is CUSTOM: set thriftServer.authentication.customClass" -}}
{{- end -}}
{{- if ne (empty .probeUser.name) (empty .probeUser.existingSecret) -}}
{{- fail "thriftServer.authentication.probeUser needs both name and existingSecret: set both or none" -}}
{{- end -}}
{{- end -}}
{{- if and .tls.enabled (not .tls.existingSecret) -}}
{{- fail "thriftServer.tls is on and there is no keystore: set thriftServer.tls.existingSecret" -}}
{{- end -}}
{{- range $key, $value := .hiveSite -}}
{{- if regexMatch "(?i)password|secret|account[.]key" $key -}}
{{- fail (printf "thriftServer.hiveSite holds %s, and Spark publishes that file in a ConfigMap: set spark.conf's spark.hadoop.%s to ${NAME} instead" $key $key) -}}
{{- end -}}
{{- end -}}
{{- range tuple 4040 7078 7079 .health.port -}}
{{- if eq (int .) (int $.Values.thriftServer.port) -}}
{{- fail (printf "thriftServer.port %v is taken by another port of the pod: set another" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sparkpod.validate.access" -}}
{{- with .Values.thriftServer -}}
{{- if and .ingress.enabled (ne .transport "http") -}}
{{- fail "an Ingress passes HTTP only: set thriftServer.transport to http, or thriftServer.service.type to LoadBalancer" -}}
{{- end -}}
{{- if and .gateway.enabled (not .gateway.parentRefs) -}}
{{- fail "thriftServer.gateway is on and names no Gateway: set thriftServer.gateway.parentRefs" -}}
{{- end -}}
{{- if and .ui.ingress.enabled (not $.Values.spark.ui.enabled) -}}
{{- fail "thriftServer.ui.ingress leads to a UI that spark.ui.enabled turns off: set one of them" -}}
{{- end -}}
{{- with .service -}}
{{- if and .nodePort (eq .type "ClusterIP") -}}
{{- fail "thriftServer.service.nodePort needs a type that has one: set thriftServer.service.type to NodePort" -}}
{{- end -}}
{{- if and .loadBalancerSourceRanges (ne .type "LoadBalancer") -}}
{{- fail "thriftServer.service.loadBalancerSourceRanges guards a LoadBalancer only: set thriftServer.service.type to LoadBalancer, or use networkPolicy.clients" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sparkpod.validate.names" -}}
{{- $server := .Values.thriftServer -}}
{{- if has $server.service.name (list (include "sparkpod.fullname" (list . "hive-metastore")) (include "sparkpod.fullname" (list . "postgresql"))) -}}
{{- fail "thriftServer.service.name is that of another Service of the release: set another" -}}
{{- end -}}
{{- if and $server.serviceAccount.create .Values.spark.executor.serviceAccount.create (eq $server.serviceAccount.name .Values.spark.executor.serviceAccount.name) -}}
{{- fail "driver and executors would share a service account, and executors get no rights: set spark.executor.serviceAccount.name to another name" -}}
{{- end -}}
{{- if and (not $server.serviceAccount.create) (not $server.serviceAccount.name) -}}
{{- fail "the driver needs a service account: set thriftServer.serviceAccount.name, or thriftServer.serviceAccount.create to true" -}}
{{- end -}}
{{- end -}}

{{- define "sparkpod.validate.monitoring" -}}
{{- with .Values.metrics -}}
{{- if and .serviceMonitor.enabled .podMonitor.enabled -}}
{{- fail "ServiceMonitor and PodMonitor would scrape everything twice: set one of metrics.serviceMonitor.enabled and metrics.podMonitor.enabled" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* (list $ SECTION VALUES): what both components have. */}}
{{- define "sparkpod.validate.pod" -}}
{{- $section := index . 1 -}}
{{- with index . 2 -}}
{{- $stop := add (include "sparkpod.milliseconds" .shutdown.endpointDelay | int64) (include "sparkpod.milliseconds" .shutdown.drain | int64) (include "sparkpod.milliseconds" .shutdown.grace | int64) 7000 -}}
{{- $budget := include "sparkpod.milliseconds" .shutdown.budget | int64 -}}
{{- if gt $stop $budget -}}
{{- fail (printf "%s.shutdown: endpointDelay, drain, grace and 7s together are %dms and budget is %dms: set budget to at least the former" $section $stop $budget) -}}
{{- end -}}
{{- if lt (mul (include "sparkpod.gracePeriod" . | int64) 1000) $budget -}}
{{- fail (printf "%s.terminationGracePeriodSeconds is shorter than %s.shutdown.budget: leave it out, or set it to at least the budget" $section $section) -}}
{{- end -}}
{{- if and .startupProbe.enabled (not .startupProbe.custom) -}}
{{- if not (include "sparkpod.milliseconds" .wait.timeout | int64) -}}
{{- fail (printf "%s.startupProbe would restart a pod that waits for ever: set %s.wait.timeout, or leave the probe off" $section $section) -}}
{{- end -}}
{{- $need := add (include "sparkpod.seconds" .wait.timeout | int64) (include "sparkpod.seconds" .health.startDeadline | int64) 30 -}}
{{- $have := mul (int64 .startupProbe.periodSeconds) (int64 .startupProbe.failureThreshold) -}}
{{- if lt $have $need -}}
{{- fail (printf "%s.startupProbe gives %ds, and waiting, schema and start may take %ds: set failureThreshold × periodSeconds to at least that" $section $have $need) -}}
{{- end -}}
{{- end -}}
{{- if .pdb.enabled -}}
{{- $replicas := dig "autoscaling" "enabled" false . | ternary (dig "autoscaling" "minReplicas" 0 .) .replicas | int -}}
{{- if le $replicas (int .pdb.minAvailable) -}}
{{- fail (printf "%s.pdb would keep every node from being drained: set replicas higher than pdb.minAvailable" $section) -}}
{{- end -}}
{{- end -}}
{{- $names := tuple "SPARKPOD_CONFIG" "POD_UID" "SPARKPOD_KUBERNETES_POD_NAME" "SPARKPOD_KUBERNETES_POD_IP" -}}
{{- range .extraEnv -}}
{{- if has .name $names -}}
{{- fail (printf "%s.extraEnv has %s, which is set already: leave it out, as no name may be there twice" $section .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range $name, $text := .files -}}
{{- if contains "/" $name -}}
{{- fail (printf "%s.files.%s names a folder, which a ConfigMap has not: set a name without slash" $section $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
