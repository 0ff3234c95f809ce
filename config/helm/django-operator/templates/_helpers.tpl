{{- define "django-operator.selector" -}}
app.kubernetes.io/name: django-operator
app.kubernetes.io/component: manager
{{- end }}

{{- define "django-operator.labels" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: django-operator
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "django-operator.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* As the operator's setting: empty means all. */}}
{{- define "django-operator.watchNamespace" -}}
{{- if and .Values.watch.allNamespaces .Values.watch.namespaces }}
{{- fail "watch: allNamespaces and namespaces exclude each other; take one of them out" }}
{{- end }}
{{- if not .Values.watch.allNamespaces -}}
{{ .Values.watch.namespaces | default (list .Release.Namespace) | join "," }}
{{- end -}}
{{- end }}

{{- /* The first namespace that tasks may be in, for what is pasted and tested. */}}
{{- define "django-operator.firstNamespace" -}}
{{ .Values.watch.allNamespaces | ternary (list) .Values.watch.namespaces | default (list .Release.Namespace) | first }}
{{- end }}

{{- define "django-operator.subjects" -}}
- kind: ServiceAccount
  name: django-operator
  namespace: {{ .Release.Namespace | quote }}
{{- end }}
