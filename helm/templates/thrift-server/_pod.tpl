{{/*
What a Thrift Server's pod has and a metastore's has not.
*/}}
{{- define "sparkpod.thriftServer.ports" -}}
- {name: thrift, containerPort: {{ .Values.thriftServer.port }}}
{{- if .Values.spark.ui.enabled }}
- {name: ui, containerPort: 4040}
{{- end }}
- {name: driver, containerPort: 7078}
- {name: blockmanager, containerPort: 7079}
{{- end -}}

{{- define "sparkpod.thriftServer.env" -}}
- {name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
- {name: SPARKPOD_KUBERNETES_POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: SPARKPOD_KUBERNETES_POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
{{- end -}}

{{- define "sparkpod.thriftServer.mounts" }}
- {name: work-dir, mountPath: /opt/spark/work-dir}
{{- if .Values.spark.authenticate.enabled }}
- {name: spark-auth, mountPath: /run/sparkpod/spark-auth, readOnly: true}
{{- end }}
{{- if .Values.thriftServer.tls.enabled }}
- {name: tls, mountPath: /run/sparkpod/tls, readOnly: true}
{{- end }}
{{- end -}}

{{- define "sparkpod.thriftServer.volumes" }}
- {name: work-dir, emptyDir: {sizeLimit: {{ .Values.thriftServer.volumes.workDir }}}}
{{- include "sparkpod.sparkAuthVolume" . }}
{{- with .Values.thriftServer.tls }}
{{- if .enabled }}
- name: tls
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items:
      - {key: {{ .keystoreKey }}, path: keystore}
{{- end }}
{{- end }}
{{- end -}}

{{/* The secrets that its files and checks need, as entries of a projected volume. */}}
{{- define "sparkpod.thriftServer.secrets" -}}
{{- include "sparkpod.azureSecret" . }}
{{- with .Values.thriftServer.tls }}
{{- if .enabled }}
- secret:
    name: {{ .existingSecret }}
    items:
      - {key: {{ .passwordKey }}, path: KEYSTORE_PASSWORD}
{{- end }}
{{- end }}
{{- with .Values.thriftServer.authentication.probeUser }}
{{- if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items:
      - {key: {{ .passwordKey }}, path: HIVE2_PASSWORD}
{{- end }}
{{- end }}
{{- end -}}
