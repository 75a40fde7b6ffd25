{{/* The sections of the configuration that only a restart puts into force, from `tls` and `archive`. Addresses are flags. */}}
{{- define "tidetable.restarting" -}}
{{- if ne .Values.tls.mode "none" }}
server:
  tls:
    cert: /var/run/secrets/tidetable-tls/tls.crt
    key: /var/run/secrets/tidetable-tls/tls.key
    {{- if .Values.tls.clientCertificates }}
    clientCa: /var/run/secrets/tidetable-tls/ca.crt
    {{- with .Values.tls.allowedNames }}
    allowedNames: {{ toJson . }}
    {{- end }}
    {{- end }}
{{- end }}
{{- if ne .Values.archive.kind "none" }}
history:
  archive: file:///var/lib/tidetable
  retention: {{ .Values.archive.retention }}
{{- end }}
{{- end -}}
