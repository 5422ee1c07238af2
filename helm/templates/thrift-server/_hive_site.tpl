{{/* The Thrift Server's hive-site.xml. Spark copies it into the executors' ConfigMap: no secrets here. */}}
{{- define "sparkpod.thriftServerSite" -}}
{{- $server := .Values.thriftServer -}}
{{- $site := dict
    "hive.metastore.uris" (include "sparkpod.metastoreUris" .)
    "hive.server2.enable.doAs" false
    "hive.server2.authentication" $server.authentication.type
    "hive.server2.transport.mode" $server.transport
    "hive.server2.idle.session.timeout" $server.idleSessionTimeout
    "hive.server2.idle.operation.timeout" $server.idleSessionTimeout
    "hive.server2.session.check.interval" "1m" -}}
{{- if eq $server.transport "http" -}}
{{- $_ := set $site "hive.server2.thrift.http.port" $server.port -}}
{{- $_ := set $site "hive.server2.thrift.http.path" (trimPrefix "/" $server.ingress.path) -}}
{{- else -}}
{{- $_ := set $site "hive.server2.thrift.port" $server.port -}}
{{- end -}}
{{- with $server.authentication -}}
{{- if eq .type "LDAP" -}}
{{- $_ := set $site "hive.server2.authentication.ldap.url" .ldap.url -}}
{{- if .ldap.baseDN }}{{ $_ := set $site "hive.server2.authentication.ldap.baseDN" .ldap.baseDN }}{{ end -}}
{{- range $key, $value := .ldap.extra -}}
{{- $_ := set $site (printf "hive.server2.authentication.ldap.%s" $key) $value -}}
{{- end -}}
{{- else if eq .type "CUSTOM" -}}
{{- $_ := set $site "hive.server2.custom.authentication.class" .customClass -}}
{{- end -}}
{{- end -}}
{{- if $server.tls.enabled -}}
{{- $_ := set $site "hive.server2.use.SSL" true -}}
{{- $_ := set $site "hive.server2.keystore.path" "/run/sparkpod/tls/keystore" -}}
{{- end -}}
{{- include "sparkpod.hadoopXml" (mergeOverwrite $site (deepCopy $server.hiveSite)) -}}
{{- end -}}
