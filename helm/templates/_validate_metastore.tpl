{{/*
The same for the metastore and its database.
*/}}

{{- define "sparkpod.validate.metastore" -}}
{{- $metastore := .Values.metastore -}}
{{- if .Values.externalMetastore.uris -}}
{{- range splitList "," .Values.externalMetastore.uris -}}
{{- if not (regexMatch "^thrift://[^ /]+:[0-9]+$" .) -}}
{{- fail "externalMetastore.uris is not thrift://HOST:PORT[,thrift://HOST:PORT], without blanks: set it so" -}}
{{- end -}}
{{- end -}}
{{- if $metastore.autoscaling.enabled -}}
{{- fail "metastore.autoscaling is on and externalMetastore.uris is set, so that there is none of the chart: set one of the two" -}}
{{- end -}}
{{- end -}}
{{- with $metastore.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail "metastore.autoscaling.minReplicas is more than maxReplicas: set it lower" -}}
{{- end -}}
{{- if and .enabled (not (dig "requests" "cpu" "" $metastore.resources)) -}}
{{- fail "metastore.autoscaling goes by the CPU request: set metastore.resources.requests.cpu" -}}
{{- end -}}
{{- end -}}
{{- $url := get .Values.hive.hiveSite "javax.jdo.option.ConnectionURL" | default "jdbc:postgresql:" -}}
{{- if and (not (hasPrefix "jdbc:postgresql:" $url)) (or (gt (int $metastore.replicas) 1) $metastore.autoscaling.enabled) -}}
{{- fail "several metastores cannot share an embedded database: set metastore.replicas to 1, or hive.hiveSite's javax.jdo.option.ConnectionURL to PostgreSQL" -}}
{{- end -}}
{{- range $key, $value := .Values.hive.hiveSite -}}
{{- if and (regexMatch "(?i)password|client[.]secret|account[.]key" $key) (not (contains "${" (toString $value))) -}}
{{- fail (printf "hive.hiveSite holds the secret %s in clear, and so would a ConfigMap: write ${NAME} and put it into a Secret of metastore.secretsFrom" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sparkpod.validate.database" -}}
{{- if include "sparkpod.hasMetastore" . -}}
{{- $external := .Values.externalDatabase -}}
{{- $own := .Values.postgresql -}}
{{- if and $own.enabled $external.host -}}
{{- fail "there are two databases: set postgresql.enabled to false, or leave out externalDatabase.host" -}}
{{- end -}}
{{- if $own.enabled -}}
{{- if not $own.auth.existingSecret -}}
{{- fail "PostgreSQL needs passwords: set postgresql.auth.existingSecret to a Secret that has them" -}}
{{- end -}}
{{- range $key := tuple "password" "postgresPassword" -}}
{{- if hasKey $own.auth $key -}}
{{- fail (printf "postgresql.auth.%s would stand in the release's record in clear: leave it out, put it into the Secret that postgresql.auth.existingSecret names" $key) -}}
{{- end -}}
{{- end -}}
{{- if or (ne $own.auth.username .Values.hive.database.user) (ne $own.auth.database .Values.hive.database.name) -}}
{{- fail "hive.database and postgresql.auth name different users or databases: set hive.database.user to postgresql.auth.username and hive.database.name to postgresql.auth.database" -}}
{{- end -}}
{{- if eq $own.auth.username "postgres" -}}
{{- fail "the metastore must not be the superuser: set postgresql.auth.username and hive.database.user to another name than postgres" -}}
{{- end -}}
{{- else -}}
{{- if not $external.host -}}
{{- fail "there is no database for the metastore: set externalDatabase.host, or postgresql.enabled to true" -}}
{{- end -}}
{{- if not $external.existingSecret -}}
{{- fail "the metastore needs its database's password: set externalDatabase.existingSecret to the Secret that has it" -}}
{{- end -}}
{{- if and $external.sslRootCert.configMap $external.sslRootCert.secret -}}
{{- fail "externalDatabase.sslRootCert names a ConfigMap and a Secret: set one of them" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
