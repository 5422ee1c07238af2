{{/*
The metastore's files, and where its database is.
*/}}

{{/* Not empty if the chart runs a metastore. */}}
{{- define "sparkpod.hasMetastore" -}}
{{- if not .Values.externalMetastore.uris }}yes{{ end -}}
{{- end -}}

{{/* Not empty if it runs PostgreSQL, too. */}}
{{- define "sparkpod.hasPostgresql" -}}
{{- if and .Values.postgresql.enabled (include "sparkpod.hasMetastore" .) }}yes{{ end -}}
{{- end -}}

{{- define "sparkpod.databaseUrl" -}}
{{- if .Values.postgresql.enabled -}}
jdbc:postgresql://{{ include "sparkpod.fullname" (list . "postgresql") }}:5432/{{ .Values.hive.database.name }}
{{- else -}}
{{- with .Values.externalDatabase -}}
jdbc:postgresql://{{ contains ":" .host | ternary (printf "[%s]" .host) .host }}:{{ .port }}/{{ $.Values.hive.database.name }}?sslmode={{ .sslmode }}
{{- if include "sparkpod.databaseCa" $ -}}
&sslrootcert=/run/sparkpod/database-ca/ca.crt
{{- else if hasPrefix "verify" .sslmode -}}
&sslrootcert=/etc/ssl/certs/ca-certificates.crt
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The volume source of the database's certificate authority, or nothing. */}}
{{- define "sparkpod.databaseCa" -}}
{{- if not .Values.postgresql.enabled -}}
{{- with .Values.externalDatabase.sslRootCert -}}
{{- if .configMap -}}
configMap: {name: {{ .configMap }}, items: [{key: {{ .key }}, path: ca.crt}]}
{{- else if .secret -}}
secret: {secretName: {{ .secret }}, items: [{key: {{ .key }}, path: ca.crt}]}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sparkpod.metastoreSite" -}}
{{- $site := dict
    "javax.jdo.option.ConnectionURL" (include "sparkpod.databaseUrl" .)
    "javax.jdo.option.ConnectionDriverName" "org.postgresql.Driver"
    "javax.jdo.option.ConnectionUserName" .Values.hive.database.user
    "javax.jdo.option.ConnectionPassword" "${DB_PASSWORD}"
    "hive.metastore.uris" (include "sparkpod.metastoreUris" .)
    "hive.metastore.port" .Values.hive.metastorePort
    "hive.metastore.warehouse.dir" (include "sparkpod.warehouse" .) -}}
{{- $site = merge $site (include "sparkpod.azure" . | fromYaml) -}}
{{- include "sparkpod.hadoopXml" (mergeOverwrite $site (deepCopy .Values.hive.hiveSite)) -}}
{{- end -}}

{{- define "sparkpod.metastore.mounts" -}}
{{- if include "sparkpod.databaseCa" . }}
- {name: database-ca, mountPath: /run/sparkpod/database-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "sparkpod.metastore.volumes" -}}
{{- with include "sparkpod.databaseCa" . }}
- name: database-ca
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The secrets that its files need, as entries of a projected volume. */}}
{{- define "sparkpod.metastore.secrets" -}}
{{- $where := .Values.postgresql.enabled | ternary .Values.postgresql.auth .Values.externalDatabase }}
- secret:
    name: {{ $where.existingSecret }}
    items:
      - {key: {{ $where.secretKeys.userPasswordKey }}, path: DB_PASSWORD}
{{- include "sparkpod.azureSecret" . }}
{{- end -}}
