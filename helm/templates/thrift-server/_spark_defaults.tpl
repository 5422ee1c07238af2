{{/* spark-defaults.conf. What sparkpod itself sets at the start (master, namespace, driver's address and
ports, image, heap, …) is not here. */}}
{{- define "sparkpod.sparkDefaults" -}}
{{- $spark := .Values.spark -}}
{{- $conf := dict
    "spark.app.name" (include "sparkpod.fullname" (list . "thrift-server"))
    "spark.sql.catalogImplementation" "hive"
    "spark.sql.warehouse.dir" (include "sparkpod.warehouse" .)
    "spark.sql.shuffle.partitions" $spark.shufflePartitions
    "spark.kubernetes.container.image.pullPolicy" $spark.imagePullPolicy
    "spark.kubernetes.executor.podTemplateFile" "/etc/sparkpod/settings/executor-pod.yaml"
    "spark.kubernetes.authenticate.executor.serviceAccountName" (include "sparkpod.serviceAccount" (list . "executor" $spark.executor.serviceAccount))
    "spark.kubernetes.allocation.batch.size" $spark.allocation.batchSize
    "spark.kubernetes.allocation.batch.delay" $spark.allocation.batchDelay
    "spark.executor.failuresValidityInterval" $spark.failuresValidityInterval
    "spark.cleaner.periodicGC.interval" $spark.shuffleCleanup.periodicGCInterval
    "spark.scheduler.mode" $spark.scheduler.mode
    "spark.sql.thriftServer.incrementalCollect" $spark.sql.incrementalCollect
    "spark.sql.thriftServer.queryTimeout" (printf "%vs" $spark.sql.queryTimeout)
    "spark.ui.enabled" $spark.ui.enabled -}}
{{- range tuple "executors" "allocation" "features" "ui" "storage" "authentication" -}}
{{- $conf = merge $conf (include (printf "sparkpod.sparkDefaults.%s" .) $ | fromYaml) -}}
{{- end -}}
{{- include "sparkpod.properties" (mergeOverwrite $conf (deepCopy $spark.conf)) -}}
{{- end -}}

{{- define "sparkpod.sparkDefaults.executors" -}}
{{- with .Values.spark.executor }}
spark.executor.cores: {{ .cores }}
spark.executor.memory: {{ .memory }}
{{- with .memoryOverhead }}
spark.executor.memoryOverhead: {{ . }}
{{- end }}
{{- with .cpuRequest }}
spark.kubernetes.executor.request.cores: {{ . | quote }}
{{- end }}
{{- with .cpuLimit }}
spark.kubernetes.executor.limit.cores: {{ . | quote }}
{{- end }}
{{- $dirs := .localDirs }}
{{- range until (int $dirs.count) }}
{{- if eq $dirs.type "persistentVolumeClaim" }}
{{- $volume := printf "spark.kubernetes.executor.volumes.persistentVolumeClaim.spark-local-dir-%d" . }}
{{ $volume }}.mount.path: /var/data/local-{{ . }}
{{ $volume }}.options.claimName: OnDemand
{{ $volume }}.options.sizeLimit: {{ $dirs.size }}
{{ $volume }}.options.storageClass: {{ $dirs.storageClass }}
{{- else }}
{{- $volume := printf "spark.kubernetes.executor.volumes.emptyDir.spark-local-dir-%d" . }}
{{ $volume }}.mount.path: /var/data/local-{{ . }}
{{ $volume }}.options.sizeLimit: {{ $dirs.size }}
{{- if eq $dirs.type "memory" }}
{{ $volume }}.options.medium: Memory
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sparkpod.sparkDefaults.allocation" -}}
{{- with .Values.spark.dynamicAllocation }}
spark.dynamicAllocation.enabled: {{ .enabled }}
{{- if .enabled }}
spark.dynamicAllocation.shuffleTracking.enabled: true
spark.dynamicAllocation.shuffleTracking.timeout: {{ .shuffleTrackingTimeout }}
spark.dynamicAllocation.minExecutors: {{ .minExecutors }}
spark.dynamicAllocation.initialExecutors: {{ .initialExecutors }}
spark.dynamicAllocation.maxExecutors: {{ .maxExecutors }}
spark.dynamicAllocation.executorIdleTimeout: {{ .executorIdleTimeout }}
spark.dynamicAllocation.cachedExecutorIdleTimeout: {{ .cachedExecutorIdleTimeout }}
{{- else }}
spark.executor.instances: {{ $.Values.spark.executor.instances }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sparkpod.sparkDefaults.features" -}}
{{- with .Values.spark }}
{{- if .decommission.enabled }}
spark.decommission.enabled: true
spark.storage.decommission.enabled: true
spark.storage.decommission.rddBlocks.enabled: true
spark.storage.decommission.shuffleBlocks.enabled: true
{{- /* Spark 4.1 and later lay this over the pod template. */}}
spark.kubernetes.executor.terminationGracePeriodSeconds: {{ .decommission.gracePeriod }}s
{{- end }}
{{- if .executorRolling.enabled }}
spark.plugins: org.apache.spark.scheduler.cluster.k8s.ExecutorRollPlugin
spark.kubernetes.executor.rollInterval: {{ .executorRolling.interval }}
{{- end }}
{{- if .shuffleCleanup.fileCleanup }}
spark.sql.thriftserver.shuffleDependency.fileCleanup.enabled: true
{{- end }}
{{- if .eventLog.enabled }}
spark.eventLog.enabled: true
spark.eventLog.dir: {{ include "sparkpod.eventLogDir" $ }}
spark.eventLog.rolling.enabled: true
spark.eventLog.rolling.maxFileSize: {{ .eventLog.rollingMaxFileSize }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sparkpod.sparkDefaults.ui" -}}
{{- with .Values.spark.ui }}
spark.ui.port: 4040
spark.ui.retainedJobs: {{ .retained }}
spark.ui.retainedStages: {{ .retained }}
spark.sql.ui.retainedExecutions: {{ .retained }}
spark.sql.thriftserver.ui.retainedSessions: {{ .retained }}
spark.sql.thriftserver.ui.retainedStatements: {{ .retained }}
{{- $ingress := $.Values.thriftServer.ui.ingress }}
{{- with .proxyBase | default ($ingress.enabled | ternary (trimSuffix "/" $ingress.path) "") }}
spark.ui.proxyBase: {{ . }}
{{- end }}
{{- end }}
{{- if .Values.metrics.spark.enabled }}
{{- range .Files.Lines "files/spark-metrics.conf" }}
{{- if contains "=" . }}
{{ regexReplaceAll "=.*" . "" }}: {{ regexReplaceAll "^[^=]*=" . "" }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* spark-defaults.conf is not published to the executors' ConfigMap, so the secrets are here. */}}
{{- define "sparkpod.sparkDefaults.storage" -}}
{{- range $key, $value := include "sparkpod.azure" . | fromYaml }}
spark.hadoop.{{ $key }}: {{ $value }}
{{- end }}
{{- end -}}

{{- define "sparkpod.sparkDefaults.authentication" -}}
{{- if .Values.spark.authenticate.enabled }}
spark.authenticate: true
{{- /* Not secret.{driver,executor}.file: an executor's first connection knows this one alone. */}}
spark.authenticate.secret.file: /run/sparkpod/spark-auth/secret
{{- end }}
{{- if .Values.thriftServer.tls.enabled }}
spark.hadoop.hive.server2.keystore.password: ${KEYSTORE_PASSWORD}
{{- end }}
{{- end -}}
