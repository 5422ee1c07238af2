{{/*
The arrows of docs/architecture.md as rules. The kubelet's probes pass every policy.
*/}}

{{/* A peer: the pods of a component, (list $ COMPONENT). */}}
{{- define "sparkpod.peer" -}}
- podSelector:
    matchLabels:
      {{- include "sparkpod.selectorLabels" . | nindent 6 }}
{{- end -}}

{{/* A list of TCP ports. */}}
{{- define "sparkpod.tcp" -}}
ports:
  {{- range . }}
  - {port: {{ . }}, protocol: TCP}
  {{- end }}
{{- end -}}

{{/* The pods of `helm test`, if there are any, as a further peer. */}}
{{- define "sparkpod.testPeer" -}}
{{- if .Values.tests.enabled }}
{{- include "sparkpod.peer" (list $ "test") }}
{{- end }}
{{- end -}}

{{/* Who may scrape, at these ports: (list $ PORTS). */}}
{{- define "sparkpod.ingress.monitoring" -}}
{{- with (index . 0).Values.networkPolicy.monitoring }}
- {{ include "sparkpod.tcp" (index $ 1) | nindent 2 | trim }}
  from:
    {{- tpl (toYaml .) (index $ 0) | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "sparkpod.ingress.thriftServer" -}}
{{- $server := .Values.thriftServer -}}
- {{ include "sparkpod.tcp" (list $server.port) | nindent 2 | trim }}
  {{- with .Values.networkPolicy.clients }}
  from:
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- with include "sparkpod.testPeer" $ }}{{ . | nindent 4 }}{{ end }}
  {{- end }}
- {{ include "sparkpod.tcp" (list 7078 7079) | nindent 2 | trim }}
  from:
    {{- include "sparkpod.peer" (list $ "executor") | nindent 4 }}
{{- include "sparkpod.ingress.monitoring" (list $ (list 4040 $server.health.port)) }}
{{- end -}}

{{/* Driver and executors fetch blocks from each other; executors listen on ports that Spark chooses
unless spark.blockManager.port is set. */}}
{{- define "sparkpod.ingress.executor" -}}
- from:
    {{- include "sparkpod.peer" (list $ "thrift-server") | nindent 4 }}
    {{- include "sparkpod.peer" (list $ "executor") | nindent 4 }}
{{- end -}}

{{- define "sparkpod.ingress.metastore" -}}
- {{ include "sparkpod.tcp" (list .Values.hive.metastorePort) | nindent 2 | trim }}
  from:
    {{- include "sparkpod.peer" (list $ "thrift-server") | nindent 4 }}
    {{- with include "sparkpod.testPeer" . }}{{ . | nindent 4 }}{{ end }}
    {{- with .Values.networkPolicy.metastoreClients }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
{{- include "sparkpod.ingress.monitoring" (list $ (list .Values.metastore.health.port)) }}
{{- end -}}

{{- define "sparkpod.ingress.postgresql" -}}
- {{ include "sparkpod.tcp" (list 5432) | nindent 2 | trim }}
  from:
    {{- include "sparkpod.peer" (list $ "hive-metastore") | nindent 4 }}
    {{- with include "sparkpod.testPeer" . }}{{ . | nindent 4 }}{{ end }}
{{- end -}}

{{/* What a component connects to besides name servers: (list $ COMPONENT). Storage, the API server and
an external metastore or database are known by their ports only. */}}
{{- define "sparkpod.egress" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- if eq $component "thrift-server" }}
- {{ include "sparkpod.tcp" (list 443 6443) | nindent 2 | trim }}
- to:
    {{- include "sparkpod.peer" (list $root "executor") | nindent 4 }}
{{- if include "sparkpod.hasMetastore" $root }}
- {{ include "sparkpod.tcp" (list $root.Values.hive.metastorePort) | nindent 2 | trim }}
  to:
    {{- include "sparkpod.peer" (list $root "hive-metastore") | nindent 4 }}
{{- else }}
{{- $ports := list }}
{{- range splitList "," $root.Values.externalMetastore.uris }}
{{- $ports = append $ports (regexFind "[0-9]+$" .) }}
{{- end }}
- {{ include "sparkpod.tcp" (uniq $ports) | nindent 2 | trim }}
{{- end }}
{{- else if eq $component "executor" }}
- {{ include "sparkpod.tcp" (list 443) | nindent 2 | trim }}
- to:
    {{- include "sparkpod.peer" (list $root "thrift-server") | nindent 4 }}
    {{- include "sparkpod.peer" (list $root "executor") | nindent 4 }}
{{- else if eq $component "hive-metastore" }}
- {{ include "sparkpod.tcp" (list 443) | nindent 2 | trim }}
{{- if include "sparkpod.hasPostgresql" $root }}
- {{ include "sparkpod.tcp" (list 5432) | nindent 2 | trim }}
  to:
    {{- include "sparkpod.peer" (list $root "postgresql") | nindent 4 }}
{{- else }}
- {{ include "sparkpod.tcp" (list $root.Values.externalDatabase.port) | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- end -}}
