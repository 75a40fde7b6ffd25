//! Kubernetes as far as replicas are concerned, and payment traffic to try it on; pure and seeded.
