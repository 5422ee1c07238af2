{{/*
A pod under sparkpod, the same for Thrift Server and metastore. They differ in what their
deployment.yaml hands over: (dict "root" $ "component" COMPONENT "values" VALUES "role" ROLE
"image" IMAGE "pullPolicy" POLICY "uid" UID "serviceAccount" NAME "ports" PORTS "env" ENV "mounts" MOUNTS
"volumes" VOLUMES "secrets" SOURCES "checksums" TEXTS), the last six YAML or lists.
*/}}
{{- define "sparkpod.pod" -}}
{{- $root := .root -}}
{{- $values := .values -}}
metadata:
  labels:
    {{- include "sparkpod.labels" (list $root .component) | nindent 4 }}
    {{- with include "sparkpod.workloadIdentityLabel" $root | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with $values.podLabels }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: {{ .component }}
    {{- range $name, $text := .checksums }}
    checksum/{{ $name }}: {{ $text | sha256sum }}
    {{- end }}
    {{- with merge (deepCopy $values.podAnnotations) $root.Values.commonAnnotations }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ .serviceAccount }}
  automountServiceAccountToken: {{ eq .component "thrift-server" }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "sparkpod.gracePeriod" $values }}
  securityContext:
    {{- include "sparkpod.podSecurityContext" . | nindent 4 }}
  {{- with include "sparkpod.pullSecretRefs" $root | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with include "sparkpod.scheduling" (list $root .component $values) | trim }}{{ . | nindent 2 }}{{ end }}
  {{- if or $root.Values.sparkpod.install $values.initContainers $values.sidecars }}
  initContainers:
    {{- with include "sparkpod.installContainer" . | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with $values.initContainers }}
    {{- tpl (toYaml .) $root | nindent 4 }}
    {{- end }}
    {{- range $values.sidecars }}
    - {{- tpl (toYaml (merge (dict "restartPolicy" "Always") .)) $root | nindent 6 }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ .image }}
      imagePullPolicy: {{ .pullPolicy }}
      command: [{{ include "sparkpod.program" $root }}]
      args: {{ concat (list .role) ($values.extraArgs | empty | ternary list (concat (list "--") $values.extraArgs)) | toJson }}
      securityContext:
        {{- include "sparkpod.containerSecurityContext" . | nindent 8 }}
      env:
        - {name: SPARKPOD_CONFIG, value: /etc/sparkpod/settings/sparkpod.ini}
        {{- .env | nindent 8 }}
        {{- with $values.extraEnv }}
        {{- tpl (toYaml .) $root | nindent 8 }}
        {{- end }}
      {{- with $values.envFrom }}
      envFrom:
        {{- tpl (toYaml .) $root | nindent 8 }}
      {{- end }}
      ports:
        {{- .ports | nindent 8 }}
        - {name: health, containerPort: {{ $values.health.port }}}
      {{- with include "sparkpod.probes" $values | trim }}{{ . | nindent 6 }}{{ end }}
      terminationMessagePolicy: FallbackToLogsOnError
      {{- with $values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        {{- include "sparkpod.mounts" . | nindent 8 }}
  volumes:
    {{- include "sparkpod.volumes" . | nindent 4 }}
{{- end -}}

{{/* Where the program is. */}}
{{- define "sparkpod.program" -}}
{{- .Values.sparkpod.install | ternary "/opt/sparkpod/sparkpod" "/usr/local/bin/sparkpod" -}}
{{- end -}}

{{/* Puts the program beside an image that does not have it. */}}
{{- define "sparkpod.installContainer" -}}
{{- with .root.Values.sparkpod }}
{{- if .install }}
- name: sparkpod
  image: {{ include "sparkpod.image" (list $.root .image) }}
  imagePullPolicy: {{ .image.pullPolicy }}
  args: [install, /opt/sparkpod]
  securityContext:
    {{- include "sparkpod.containerSecurityContext" $ | nindent 4 }}
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 64Mi}
  volumeMounts:
    - {name: sparkpod, mountPath: /opt/sparkpod}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sparkpod.mounts" -}}
- {name: settings, mountPath: /etc/sparkpod/settings, readOnly: true}
- {name: templates, mountPath: /etc/sparkpod/templates, readOnly: true}
- {name: secrets, mountPath: /run/sparkpod/secrets, readOnly: true}
- {name: conf, mountPath: /run/sparkpod/conf}
- {name: tmp, mountPath: /tmp}
{{- if .root.Values.sparkpod.install }}
- {name: sparkpod, mountPath: /opt/sparkpod, readOnly: true}
{{- end }}
{{- .mounts }}
{{- with .values.extraVolumeMounts }}
{{ tpl (toYaml .) $.root }}
{{- end }}
{{- end -}}

{{/* The rendered files hold secrets: they are kept in memory. */}}
{{- define "sparkpod.volumes" -}}
{{- $name := include "sparkpod.fullname" (list .root .component) -}}
- {name: settings, configMap: {name: {{ $name }}-settings}}
- name: templates
  projected:
    sources:
      - configMap: {name: {{ $name }}-templates}
      {{- with .values.filesFrom }}
      {{- tpl (toYaml .) $.root | nindent 6 }}
      {{- end }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- if not (or (trim .secrets) .values.secretsFrom) }} []{{ end }}
      {{- with trim .secrets }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with .values.secretsFrom }}
      {{- tpl (toYaml .) $.root | nindent 6 }}
      {{- end }}
- {name: conf, emptyDir: {medium: Memory, sizeLimit: 16Mi}}
- {name: tmp, emptyDir: {sizeLimit: {{ .values.volumes.tmp }}}}
{{- if .root.Values.sparkpod.install }}
- {name: sparkpod, emptyDir: {sizeLimit: 64Mi}}
{{- end }}
{{- .volumes }}
{{- with .values.extraVolumes }}
{{ tpl (toYaml .) $.root }}
{{- end }}
{{- end -}}
