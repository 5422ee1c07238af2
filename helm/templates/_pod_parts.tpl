{{/*
Parts of pod specs: security, probes, scheduling, pull secrets.
*/}}

{{/* (dict "values" VALUES "uid" UID "root" $). OpenShift chooses the ids itself. */}}
{{- define "sparkpod.podSecurityContext" -}}
{{- $context := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- if not .root.Values.openshift -}}
{{- $context = merge $context (dict "runAsUser" .uid "runAsGroup" .uid "fsGroup" .uid
    "fsGroupChangePolicy" "OnRootMismatch") -}}
{{- end -}}
{{- with .sysctls }}{{ $context = merge $context (dict "sysctls" .) }}{{ end -}}
{{- toYaml (mergeOverwrite $context (deepCopy (.values.podSecurityContext | default dict))) -}}
{{- end -}}

{{- define "sparkpod.containerSecurityContext" -}}
{{- $context := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true
    "capabilities" (dict "drop" (list "ALL")) -}}
{{- toYaml (mergeOverwrite $context (deepCopy (.values.containerSecurityContext | default dict))) -}}
{{- end -}}

{{/* A component's probes, from sparkpod's port. */}}
{{- define "sparkpod.probes" -}}
{{- $paths := dict "startupProbe" "/startupz" "livenessProbe" "/livez" "readinessProbe" "/readyz" -}}
{{- range $kind, $path := $paths }}
{{- $probe := get $ $kind }}
{{- if $probe.enabled }}
{{ $kind }}:
  {{- if $probe.custom }}
  {{- toYaml $probe.custom | nindent 2 }}
  {{- else }}
  httpGet: {path: {{ $path }}, port: health}
  periodSeconds: {{ $probe.periodSeconds }}
  timeoutSeconds: {{ $probe.timeoutSeconds }}
  failureThreshold: {{ $probe.failureThreshold }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* (list $ COMPONENT VALUES). A spread constraint without a labelSelector gets the component's. */}}
{{- define "sparkpod.scheduling" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- with index . 2 }}
{{- with .nodeSelector }}
nodeSelector:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- with .topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- $selector := dict "matchLabels" (include "sparkpod.selectorLabels" (list $root $component) | fromYaml) }}
  - {{- tpl (toYaml (merge (deepCopy .) (dict "labelSelector" $selector))) $root | nindent 4 }}
  {{- end }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sparkpod.pullSecretRefs" -}}
{{- with include "sparkpod.pullSecrets" . | fromJsonArray }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Azure's webhook gives pods with this label a token for the service account's identity. */}}
{{- define "sparkpod.workloadIdentityLabel" -}}
{{- if eq .Values.azure.auth "workloadIdentity" }}
azure.workload.identity/use: "true"
{{- end }}
{{- end -}}

{{/* The kernel's own question whether a client is still there: without it a load balancer forgets an
idle connection and neither end learns. A safe sysctl from Kubernetes 1.29 on. */}}
{{- define "sparkpod.sysctls" -}}
{{- if .tcpKeepaliveTime -}}
[{"name": "net.ipv4.tcp_keepalive_time", "value": {{ .tcpKeepaliveTime | toString | quote }}}]
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{- define "sparkpod.workloadIdentityAnnotations" -}}
{{- if eq .Values.azure.auth "workloadIdentity" }}
azure.workload.identity/client-id: {{ .Values.azure.workloadIdentity.clientId | quote }}
azure.workload.identity/tenant-id: {{ .Values.azure.workloadIdentity.tenantId | quote }}
{{- end }}
{{- end -}}
