{{/* What is read, and told, where the scaled objects are. Nothing here can change a replica count. */}}
{{- define "tidetable.reading" -}}
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get]
- apiGroups: [apps] # which pods are meant
  resources: [deployments/scale, statefulsets/scale]
  verbs: [get]
- apiGroups: [autoscaling] # the tolerance that an answer has to get past
  resources: [horizontalpodautoscalers]
  verbs: [get]
- apiGroups: [""] # how long they take to start
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [tidetable.dev]
  resources: [surgeevents]
  verbs: [list, watch]
- apiGroups: [tidetable.dev] # what becomes of them
  resources: [surgeevents/status]
  verbs: [patch]
- apiGroups: [events.k8s.io] # patch: an Event that comes again is counted in the first
  resources: [events]
  verbs: [create, patch]
{{- end -}}
