{{/*
The pod that Spark makes executors from. Spark adds image, command, resources, its own labels and volumes.
*/}}
{{- define "sparkpod.executorPod" -}}
{{- $executor := .Values.spark.executor -}}
{{- $security := dict "values" $executor "uid" 185 "root" . -}}
apiVersion: v1
kind: Pod
metadata:
  labels:
    {{- include "sparkpod.labels" (list . "executor") | nindent 4 }}
    {{- with include "sparkpod.workloadIdentityLabel" . | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with $executor.labels }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
  {{- with $executor.annotations }}
  annotations:
    {{- tpl (toYaml .) $ | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if .Values.spark.decommission.enabled }}
  terminationGracePeriodSeconds: {{ .Values.spark.decommission.gracePeriod }}
  {{- end }}
  securityContext:
    {{- include "sparkpod.podSecurityContext" $security | nindent 4 }}
  {{- with include "sparkpod.scheduling" (list . "executor" $executor) | trim }}{{ . | nindent 2 }}{{ end }}
  containers:
    - name: spark-kubernetes-executor
      securityContext:
        {{- include "sparkpod.containerSecurityContext" $security | nindent 8 }}
      {{- if or .Values.spark.authenticate.enabled $executor.extraEnv }}
      env:
        {{- if .Values.spark.authenticate.enabled }}
        {{- /* An executor's first connection is made before it knows the driver's settings, and Spark reads
        a secret from a file only where the master is Kubernetes. */}}
        - {name: SPARK_JAVA_OPT_MASTER, value: "-Dspark.master=k8s://"}
        {{- end }}
        {{- with $executor.extraEnv }}
        {{- tpl (toYaml .) $ | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with $executor.ephemeralStorage }}
      resources:
        {{- range $kind, $size := . }}
        {{ $kind }}: {ephemeral-storage: {{ $size }}}
        {{- end }}
      {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: work-dir, mountPath: /opt/spark/work-dir}
        {{- if .Values.spark.authenticate.enabled }}
        - {name: spark-auth, mountPath: /run/sparkpod/spark-auth, readOnly: true}
        {{- end }}
        {{- with $executor.extraVolumeMounts }}
        {{- tpl (toYaml .) $ | nindent 8 }}
        {{- end }}
  volumes:
    - {name: tmp, emptyDir: {}}
    - {name: work-dir, emptyDir: {}}
    {{- with include "sparkpod.sparkAuthVolume" . | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with $executor.extraVolumes }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* The secret that driver and executors share, as a file. */}}
{{- define "sparkpod.sparkAuthSecret" -}}
{{- .Values.spark.authenticate.existingSecret | default (printf "%s-spark-auth" (include "sparkpod.fullname" (list . "thrift-server"))) -}}
{{- end -}}

{{- define "sparkpod.sparkAuthVolume" -}}
{{- if .Values.spark.authenticate.enabled }}
- name: spark-auth
  secret:
    secretName: {{ include "sparkpod.sparkAuthSecret" . }}
    defaultMode: 0440
    items:
      - {key: {{ .Values.spark.authenticate.secretKey }}, path: secret}
{{- end }}
{{- end -}}
