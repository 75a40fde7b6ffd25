{{/* What is read where the scaled objects are. Nothing here can change a replica count. */}}
{{- define "tidetable.reading" -}}
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale]
  verbs: [get]
- apiGroups: [""] # how long they take to start
  resources: [pods]
  verbs: [get, list, watch]
{{- end -}}
