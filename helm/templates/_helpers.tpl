{{/*
Names, labels and images. A component is "thrift-server", "hive-metastore", "postgresql" or
"executor"; helpers that need one take (list $ COMPONENT).
*/}}

{{/* What an object of a component is called: the Thrift Server's as the release, if that names the
chart, the others RELEASE-COMPONENT. At most 52 bytes, so that a pod's name still fits. */}}
{{- define "sparkpod.fullname" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $base := $root.Values.fullnameOverride | default $root.Release.Name -}}
{{- $chart := $root.Values.nameOverride | default $root.Chart.Name -}}
{{- if ne $component "thrift-server" -}}
{{- printf "%s-%s" ($base | trunc (int (sub 51 (len $component))) | trimSuffix "-") $component -}}
{{- else if or $root.Values.fullnameOverride (contains $chart $base) -}}
{{- $base | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $base $chart | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects a component's pods. */}}
{{- define "sparkpod.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Values.nameOverride | default $root.Chart.Name | trunc 63 | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "sparkpod.labels" -}}
{{- $root := index . 0 -}}
{{ include "sparkpod.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ $root.Chart.Name }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ tpl (toYaml .) $root }}
{{- end }}
{{- end -}}

{{/* The metadata of an object, without its closing line: (list $ COMPONENT NAME [ANNOTATIONS…]). */}}
{{- define "sparkpod.metadata" -}}
{{- $root := index . 0 -}}
{{- $annotations := dict -}}
{{- range slice . 3 -}}
{{- $annotations = mergeOverwrite $annotations (deepCopy (. | default dict)) -}}
{{- end -}}
{{- $annotations = merge $annotations $root.Values.commonAnnotations -}}
name: {{ index . 2 | quote }}
namespace: {{ $root.Release.Namespace | quote }}
labels:
  {{- include "sparkpod.labels" (list $root (index . 1)) | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- end -}}

{{/* (list $ IMAGE), IMAGE as in values.yaml: registry, repository, tag, digest. */}}
{{- define "sparkpod.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.registry }}{{ $image.registry }}/{{ $image.repository }}
{{- else }}{{ include "sparkpod.inRegistry" (list $root $image.repository) }}{{ end -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* (list $ URL), behind the global registry if it names none: a first part without dot or colon is none. */}}
{{- define "sparkpod.inRegistry" -}}
{{- $registry := (index . 0).Values.global.imageRegistry -}}
{{- $url := index . 1 -}}
{{- $first := splitList "/" $url | first -}}
{{- if and $registry (not (and (contains "/" $url) (regexMatch "[.:]|^localhost$" $first))) }}{{ $registry }}/{{ end -}}
{{- $url -}}
{{- end -}}

{{/* The image of driver and executors. */}}
{{- define "sparkpod.sparkImage" -}}
{{- include "sparkpod.inRegistry" (list . (.Values.spark.sparkImageUrl | default (printf "sparkpod/spark-thrift-server:%s" .Chart.AppVersion))) -}}
{{- end -}}

{{/* The names of the pull secrets, as JSON: a list of strings. */}}
{{- define "sparkpod.pullSecrets" -}}
{{- $names := list -}}
{{- range .Values.global.imagePullSecrets -}}
{{- $names = append $names (kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") .) -}}
{{- end -}}
{{- with .Values.acrSecret.secretName }}{{ $names = append $names . }}{{ end -}}
{{- $names | uniq | toJson -}}
{{- end -}}

{{/* The service account of a component: (list $ COMPONENT VALUES). */}}
{{- define "sparkpod.serviceAccount" -}}
{{- $values := index . 2 -}}
{{- if $values.name -}}
{{- $values.name -}}
{{- else if $values.create -}}
{{- include "sparkpod.fullname" (list (index . 0) (index . 1)) -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* A duration such as 500ms, 30s, 5m or 2h in milliseconds; "0" is 0. */}}
{{- define "sparkpod.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "" 1000 -}}
{{- $text := toString . -}}
{{- mul (regexFind "^[0-9]+" $text | int64) (get $units (regexFind "[a-z]*$" $text)) -}}
{{- end -}}

{{/* The same in seconds, rounded up. */}}
{{- define "sparkpod.seconds" -}}
{{- div (add (include "sparkpod.milliseconds" . | int64) 999) 1000 -}}
{{- end -}}

{{/* How long a pod may take to stop: (values of the component). */}}
{{- define "sparkpod.gracePeriod" -}}
{{- .terminationGracePeriodSeconds | default (include "sparkpod.seconds" .shutdown.budget) -}}
{{- end -}}
