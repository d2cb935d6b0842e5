"""The ports on a Kubernetes API server; `world.connect` builds them all."""
