{{/*
What sparkpod reads: its settings, the templates of the services' files, where tables and data are.
*/}}

{{/* sparkpod.ini of a component: (dict "root" $ "values" VALUES "settings" SETTINGS). SETTINGS are
those of the component alone; the user's win over all. A refused login is asked again with the secrets as
they are by then, and the kubelet takes up to two minutes to bring a changed one into the pod. */}}
{{- define "sparkpod.settings" -}}
{{- $values := .values -}}
{{- $settings := dict
    "render" (dict "target" "/run/sparkpod/conf" "secrets" "/run/sparkpod/secrets")
    "wait" (dict "timeout" $values.wait.timeout "fatal_grace" "3m")
    "health" (dict "port" $values.health.port "interval" $values.health.interval
        "start_deadline" $values.health.startDeadline)
    "shutdown" (dict "endpoint_delay" $values.shutdown.endpointDelay "drain" $values.shutdown.drain
        "grace" $values.shutdown.grace "budget" $values.shutdown.budget)
    "log" (dict "format" .root.Values.sparkpod.log.format "level" .root.Values.sparkpod.log.level) -}}
{{- $settings = mergeOverwrite $settings .settings (deepCopy $values.settings) -}}
{{- range $section, $keys := $settings }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }} = {{ include "sparkpod.plain" $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A map as spark-defaults.conf, which java.util.Properties reads. Keys without a value are left out. */}}
{{- define "sparkpod.properties" -}}
{{- range $key, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{ $key | replace "\\" "\\\\" | replace ":" "\\:" | replace "=" "\\=" | replace " " "\\ " }}={{ include "sparkpod.plain" $value | replace "\\" "\\\\" | replace "\n" "\\n" | replace "\r" "\\r" }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A map as a Hadoop file. Keys without a value are left out. */}}
{{- define "sparkpod.hadoopXml" -}}
<?xml version="1.0" encoding="UTF-8"?>
<configuration>
{{- range $key, $value := . }}
{{- if not (kindIs "invalid" $value) }}
  <property>
    <name>{{ include "sparkpod.xml" $key }}</name>
    <value>{{ include "sparkpod.xml" $value }}</value>
  </property>
{{- end }}
{{- end }}
</configuration>
{{- end -}}

{{- define "sparkpod.xml" -}}
{{- include "sparkpod.plain" . | replace "&" "&amp;" | replace "<" "&lt;" | replace ">" "&gt;" | replace "\r" "&#13;" -}}
{{- end -}}

{{/* A value as people write it: YAML's big numbers are floats to Helm. */}}
{{- define "sparkpod.plain" -}}
{{- if kindIs "float64" . }}{{ if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{/* abfss://CONTAINER@ACCOUNT.HOST, or nothing without an account. */}}
{{- define "sparkpod.storage" -}}
{{- with .Values.spark -}}
{{- if .storageAccountName -}}
abfss://{{ .containerName }}@{{ .storageAccountName }}.{{ $.Values.azure.endpointSuffix }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sparkpod.warehouse" -}}
{{- .Values.spark.warehouseDir | default (printf "%s/warehouse" (include "sparkpod.storage" .)) -}}
{{- end -}}

{{- define "sparkpod.eventLogDir" -}}
{{- .Values.spark.eventLog.dir | default (printf "%s/spark-events" (include "sparkpod.storage" .)) -}}
{{- end -}}

{{- define "sparkpod.metastoreUris" -}}
{{- .Values.externalMetastore.uris | default (printf "thrift://%s:%v"
    (include "sparkpod.fullname" (list . "hive-metastore")) .Values.hive.metastorePort) -}}
{{- end -}}

{{/* The login to the storage, as a YAML map of Hadoop's keys. ${…} are filled from azure's Secret. */}}
{{- define "sparkpod.azure" -}}
{{- $azure := .Values.azure -}}
{{- if and .Values.spark.storageAccountName (ne $azure.auth "none") }}
{{- $host := printf "%s.%s" .Values.spark.storageAccountName $azure.endpointSuffix }}
{{- $providers := "org.apache.hadoop.fs.azurebfs.oauth2" }}
fs.azure.account.auth.type.{{ $host }}: OAuth
{{- if eq $azure.auth "servicePrincipal" }}
fs.azure.account.oauth.provider.type.{{ $host }}: {{ $providers }}.ClientCredsTokenProvider
fs.azure.account.oauth2.client.id.{{ $host }}: ${CLIENT_ID}
fs.azure.account.oauth2.client.secret.{{ $host }}: ${CLIENT_SECRET}
fs.azure.account.oauth2.client.endpoint.{{ $host }}: {{ $azure.authorityHost }}/${TENANT_ID}/oauth2/token
{{- else }}
fs.azure.account.oauth.provider.type.{{ $host }}: {{ $providers }}.WorkloadIdentityTokenProvider
fs.azure.account.oauth2.client.id.{{ $host }}: {{ $azure.workloadIdentity.clientId }}
fs.azure.account.oauth2.msi.tenant.{{ $host }}: {{ $azure.workloadIdentity.tenantId }}
fs.azure.account.oauth2.msi.authority.{{ $host }}: {{ $azure.authorityHost }}
fs.azure.account.oauth2.token.file.{{ $host }}: /var/run/secrets/azure/tokens/azure-identity-token
{{- end }}
{{- end }}
{{- end -}}

{{/* Its Secret as an entry of a projected volume. */}}
{{- define "sparkpod.azureSecret" -}}
{{- if and .Values.spark.storageAccountName (eq .Values.azure.auth "servicePrincipal") }}
{{- with .Values.azure.servicePrincipal }}
- secret:
    name: {{ .existingSecret }}
    items:
      - {key: {{ .secretKeys.clientId }}, path: CLIENT_ID}
      - {key: {{ .secretKeys.clientSecret }}, path: CLIENT_SECRET}
      - {key: {{ .secretKeys.tenantId }}, path: TENANT_ID}
{{- end }}
{{- end }}
{{- end -}}

{{/* What a JDBC URL has behind the database for this transport and TLS, as ;key=value. */}}
{{- define "sparkpod.jdbcOptions" -}}
{{- with .Values.thriftServer -}}
{{- if eq .authentication.type "NOSASL" }};auth=noSasl{{ end -}}
{{- if eq .transport "http" }};transportMode=http;httpPath={{ trimPrefix "/" .ingress.path }}{{ end -}}
{{- if .tls.enabled }};ssl=true{{ end -}}
{{- end -}}
{{- end -}}
