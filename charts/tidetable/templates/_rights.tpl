{{/* What is read where the scaled objects are. Nothing here can change a replica count. */}}
{{- define "tidetable.reading" -}}
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get]
- apiGroups: [apps] # which pods are meant
  resources: [deployments/scale, statefulsets/scale]
  verbs: [get]
- apiGroups: [""] # how long they take to start
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [tidetable.dev]
  resources: [surgeevents]
  verbs: [list, watch]
{{- end -}}
