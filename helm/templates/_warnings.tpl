{{/*
What is allowed and should be known: a line each, shown by NOTES.txt.
*/}}
{{- define "sparkpod.warnings" -}}
{{- $server := .Values.thriftServer -}}
{{- $exposed := or (ne $server.service.type "ClusterIP") $server.ingress.enabled $server.gateway.enabled -}}
{{- if has $server.authentication.type (list "NONE" "NOSASL") }}
thriftServer.authentication.type is {{ $server.authentication.type }}: whoever reaches the port reads every table and, by SQL (reflect, text.`file:…`), the driver's secrets.
{{- if $exposed }} This Service can be reached from outside the cluster: set LDAP and thriftServer.tls, or thriftServer.service.type to ClusterIP.
{{- else }} Set networkPolicy.clients, or LDAP and thriftServer.tls.{{ end }}
{{- else if not $server.tls.enabled }}
Passwords are sent in clear: set thriftServer.tls.
{{- end }}
{{- if include "sparkpod.hasPostgresql" . }}
postgresql is for evaluation: one pod, no backup. Set externalDatabase for production.
{{- if not .Values.postgresql.persistence.enabled }} Without persistence the catalogue goes with the pod.{{ end }}
{{- else if and (include "sparkpod.hasMetastore" .) (not (hasPrefix "verify" .Values.externalDatabase.sslmode)) }}
externalDatabase.sslmode {{ .Values.externalDatabase.sslmode }} does not verify the server: set verify-full.
{{- end }}
{{- if and (include "sparkpod.hasMetastore" .) (eq .Values.hive.image.repository "apache/hive") (hasPrefix "3." (toString .Values.hive.image.tag)) }}
hive.image is apache/hive {{ .Values.hive.image.tag }} as published: its Hadoop knows no abfss://, and its PostgreSQL driver no SCRAM passwords. `make images` builds sparkpod/hive-metastore from it, which does.
{{- end }}
{{- if not .Values.spark.authenticate.enabled }}
spark.authenticate is off: the driver's port hands every spark.* value, secrets included, to any pod that asks.
{{- end }}
{{- if not .Values.networkPolicy.enabled }}
networkPolicy is off: every pod of the cluster reaches the metastore, which asks for no login.
{{- end }}
{{- if regexMatch "^(/|file:)" (include "sparkpod.warehouse" .) }}
spark.warehouseDir is a folder: it has to be the same shared volume in driver, executors and metastore (extraVolumes).
{{- end }}
{{- end -}}
