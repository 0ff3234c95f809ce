{{- /* The pod of the web server. The operator copies it from the Deployment. */}}
{{- define "shop.pod" -}}
metadata:
  labels:
    app: {{ .Release.Name }}
    app.kubernetes.io/component: django-server
spec:
  terminationGracePeriodSeconds: 10
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  initContainers:
    # Everything is applied together: until the migrations are over, the new pods wait here, and the old ones serve. The
    # operator leaves it out of its Jobs, as it has Django's own image.
    - name: wait-for-migrations
      {{- include "shop.container" . | nindent 6 }}
      command: [sh, -c, "until python manage.py migrate --check; do sleep 2; done"]
  containers:
    - name: web
      {{- include "shop.container" . | nindent 6 }}
      command: [gunicorn, --bind, "0.0.0.0:8000", --worker-tmp-dir, /tmp, myapp.wsgi]
      ports: [{containerPort: 8000}]
      # A pod that ends serves on until everybody has heard that it does.
      lifecycle: {preStop: {sleep: {seconds: 5}}}
      readinessProbe:
        httpGet: {path: /healthz, port: 8000}
        periodSeconds: 1
        timeoutSeconds: 10
  volumes: [{name: tmp, emptyDir: {}}]
{{- end }}

{{- define "shop.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
imagePullPolicy: IfNotPresent
securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
env:
  - {name: DJANGO_SETTINGS_MODULE, value: myapp.settings}
  - {name: DATABASE_HOST, value: {{ .Values.database.host }}}
  - {name: DATABASE_NAME, value: {{ .Values.database.name }}}
  - name: DATABASE_PASSWORD
    valueFrom: {secretKeyRef: {name: {{ .Values.secret }}, key: database-password}}
  - name: SECRET_KEY
    valueFrom: {secretKeyRef: {name: {{ .Values.secret }}, key: secret-key}}
volumeMounts: [{name: tmp, mountPath: /tmp}]
{{- end }}
