{{/* The name of everything: the release's, which alone tells two installations in a namespace apart. */}}
{{- define "tidetable.name" -}}
{{- if contains "tidetable" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-tidetable" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tidetable.selector" -}}
app.kubernetes.io/name: tidetable
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidetable.labels" -}}
{{ include "tidetable.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "tidetable.metadata" -}}
name: {{ include "tidetable.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "tidetable.labels" . | nindent 2 }}
{{- end -}}

{{- define "tidetable.serviceAccount" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "tidetable.name" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "tidetable.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tidetable.tlsSecret" -}}
{{- if eq .Values.tls.mode "certManager" -}}
{{- .Values.tls.secretName | default (printf "%s-tls" (include "tidetable.name" .)) -}}
{{- else -}}
{{- .Values.tls.secretName -}}
{{- end -}}
{{- end -}}
