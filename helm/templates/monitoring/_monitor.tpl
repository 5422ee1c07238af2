{{/* Whether Spark's metrics are there to be scraped: they are on the UI's port. */}}
{{- define "sparkpod.monitor.spark" -}}
{{- if and .Values.metrics.spark.enabled .Values.spark.ui.enabled }}yes{{ end -}}
{{- end }}

{{/* What is scraped, as JSON: a list of components. */}}
{{- define "sparkpod.monitor.components" -}}
{{- ternary (list "thrift-server" "hive-metastore") (list "thrift-server") (not (empty (include "sparkpod.hasMetastore" .))) | toJson -}}
{{- end }}

{{/* What a ServiceMonitor and a PodMonitor scrape of a component: (list $ COMPONENT MONITOR).
Two endpoints are on the port `ui`; without a label of its own each would write the other's `up`.
The paths have their last slash, as without it Spark redirects from the first. */}}
{{- define "sparkpod.monitor.endpoints" -}}
{{- $root := index . 0 }}
{{- $monitor := index . 2 }}
{{- $endpoints := list (dict "port" "health" "path" "/metrics") }}
{{- if and (eq (index . 1) "thrift-server") (include "sparkpod.monitor.spark" $root) }}
{{- $endpoints = append $endpoints (dict "port" "ui" "path" "/metrics/prometheus/") }}
{{- $executors := list (dict "targetLabel" "endpoint" "replacement" "executors") }}
{{- $endpoints = append $endpoints (dict "port" "ui" "path" "/metrics/executors/prometheus/" "relabelings" $executors) }}
{{- end }}
{{- range $endpoints }}
- port: {{ .port }}
  path: {{ .path }}
  interval: {{ $monitor.interval }}
  {{- with $monitor.scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with concat (.relabelings | default list) $monitor.relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $monitor.metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* metadata of an object for Prometheus or Grafana: (list $ NAME COMPONENT SETTINGS). */}}
{{- define "sparkpod.monitor.metadata" -}}
{{- $root := index . 0 }}
{{- $settings := index . 3 }}
{{- $labels := fromYaml (include "sparkpod.labels" (list $root (index . 2))) -}}
name: {{ include "sparkpod.fullname" (list $root (index . 1)) }}
namespace: {{ $settings.namespace | default $root.Release.Namespace | quote }}
labels:
  {{- tpl (toYaml (mergeOverwrite $labels $settings.labels)) $root | nindent 2 }}
{{- with merge (deepCopy ($settings.annotations | default dict)) $root.Values.commonAnnotations }}
annotations:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- end }}

{{/* A monitor for each component: (list $ KIND ENDPOINTS MONITOR). The two kinds differ in their name and
in what their list of endpoints is called. */}}
{{- define "sparkpod.monitor" -}}
{{- $root := index . 0 }}
{{- $kind := index . 1 }}
{{- $endpoints := index . 2 }}
{{- $monitor := index . 3 }}
{{- range $component := include "sparkpod.monitor.components" $root | fromJsonArray }}
---
apiVersion: monitoring.coreos.com/v1
kind: {{ $kind }}
metadata:
  {{- include "sparkpod.monitor.metadata" (list $root $component $component $monitor) | nindent 2 }}
spec:
  jobLabel: app.kubernetes.io/component
  podTargetLabels:
    - app.kubernetes.io/instance
    - app.kubernetes.io/component
  namespaceSelector:
    matchNames:
      - {{ $root.Release.Namespace | quote }}
  selector:
    matchLabels:
      {{- include "sparkpod.selectorLabels" (list $root $component) | nindent 6 }}
  {{ $endpoints }}:
    {{- include "sparkpod.monitor.endpoints" (list $root $component $monitor) | nindent 4 }}
{{- end }}
{{- end }}
