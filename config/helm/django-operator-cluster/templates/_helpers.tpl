{{- define "django-operator-cluster.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: django-operator
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* The operators' accounts, with commas between them. */}}
{{- define "django-operator-cluster.accounts" -}}
{{- $accounts := list }}
{{- range .Values.policies.operators }}
{{- $accounts = append $accounts (printf "system:serviceaccount:%s:django-operator" .) }}
{{- end }}
{{- join "," $accounts }}
{{- end }}
