{{- define "django-operator-cluster.labels" -}}
{{- if and .Values.policies.limits.enabled (not .Values.policies.enabled) }}
{{- fail "policies.limits.enabled: limits are a part of the policies; set policies.enabled as well" }}
{{- end }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: django-operator
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* The operators' accounts, with commas between them. */}}
{{- define "django-operator-cluster.accounts" -}}
{{- if not .Values.policies.operators }}
{{- fail "policies.operators is empty: list the namespaces that operators run in, as policies would refuse what they do" }}
{{- end }}
{{- $accounts := list }}
{{- range .Values.policies.operators }}
{{- $accounts = append $accounts (printf "system:serviceaccount:%s:django-operator" .) }}
{{- end }}
{{- join "," $accounts }}
{{- end }}

{{- /* The API version of the gate's policy. */}}
{{- define "django-operator-cluster.gateVersion" -}}
{{- if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
admissionregistration.k8s.io/v1
{{- else if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy" -}}
admissionregistration.k8s.io/v1beta1
{{- else -}}
{{- fail "gate.enabled: this API server serves no MutatingAdmissionPolicy; it is a part of Kubernetes 1.36, and of 1.34 and 1.35 where it is switched on; without it, paste what `django-operator gate` prints" }}
{{- end }}
{{- end }}
