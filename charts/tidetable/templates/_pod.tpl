{{/* The pod, the same for a Deployment and a StatefulSet. It meets Pod Security's "restricted" as it stands. */}}
{{- define "tidetable.pod" -}}
metadata:
  labels:
    {{- include "tidetable.selector" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Only what needs a restart makes one: a changed target or source is put into force by the running process.
    checksum/restarting: {{ include "tidetable.restarting" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "tidetable.serviceAccount" . }}
  automountServiceAccountToken: {{ .Values.cluster.enabled }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  # After preStop tidetable finishes what is under way within 20 s.
  terminationGracePeriodSeconds: {{ add (int .Values.preStopSeconds) 30 }}
  securityContext:
    runAsNonRoot: true
    {{- if ne .Values.runAsUser nil }}
    runAsUser: {{ int .Values.runAsUser }}
    runAsGroup: {{ int .Values.runAsUser }}
    fsGroup: {{ int .Values.runAsUser }}
    {{- end }}
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: { type: RuntimeDefault }
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "tidetable.selector" . | nindent 16 }}
  topologySpreadConstraints:
    # Over zones where there are some; a cluster of one zone still runs both.
    - maxSkew: 1
      topologyKey: topology.kubernetes.io/zone
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "tidetable.selector" . | nindent 10 }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: tidetable
      image: {{ include "tidetable.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - serve
        - --config=/etc/tidetable/tidetable.yaml
        - --grpc={{ .Values.bindAddress }}:50051
        - --http={{ .Values.bindAddress }}:8080
        {{- if .Values.cluster.enabled }}
        - --lease={{ include "tidetable.name" . }}
        {{- end }}
        - --log-level={{ .Values.log.level }}
        - --log-format={{ .Values.log.format }}
      ports:
        - { name: grpc, containerPort: 50051 }
        - { name: http, containerPort: 8080 }
      # Ready with its first decisions, at the latest a minute after its start: a pod that is not ready leaves the Service,
      # and KEDA's fallback does not fire for a scaler that it cannot reach.
      readinessProbe:
        httpGet: { path: /readyz, port: http }
        periodSeconds: 5
        timeoutSeconds: 3
      livenessProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 10
        timeoutSeconds: 3
        failureThreshold: 6
      {{- if .Values.preStopSeconds }}
      lifecycle:
        preStop:
          sleep: { seconds: {{ int .Values.preStopSeconds }} }
      {{- end }}
      resources: {{ toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
      volumeMounts:
        # The folder, not the file: a file that is mounted alone never changes.
        - { name: config, mountPath: /etc/tidetable, readOnly: true }
        {{- if ne .Values.tls.mode "none" }}
        - { name: tls, mountPath: /var/run/secrets/tidetable-tls, readOnly: true }
        {{- end }}
        {{- range $name, $secret := .Values.secrets }}
        - { name: {{ printf "secret-%s" $name }}, mountPath: {{ printf "/var/run/secrets/%s" $name }}, readOnly: true }
        {{- end }}
        {{- if ne .Values.archive.kind "none" }}
        - { name: archive, mountPath: /var/lib/tidetable }
        {{- end }}
  volumes:
    - name: config
      configMap: { name: {{ .Values.existingConfig | default (include "tidetable.name" .) }} }
    {{- if ne .Values.tls.mode "none" }}
    - name: tls
      secret: { secretName: {{ include "tidetable.tlsSecret" . }} }
    {{- end }}
    {{- range $name, $secret := .Values.secrets }}
    - name: {{ printf "secret-%s" $name }}
      secret: { secretName: {{ $secret }} }
    {{- end }}
    {{- if eq .Values.archive.kind "shared" }}
    - name: archive
      persistentVolumeClaim: { claimName: {{ .Values.archive.existingClaim | default (include "tidetable.name" .) }} }
    {{- end }}
{{- end -}}
