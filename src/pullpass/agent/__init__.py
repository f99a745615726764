"""The cluster agent: keeps the image pull secrets of one Kubernetes cluster right."""
