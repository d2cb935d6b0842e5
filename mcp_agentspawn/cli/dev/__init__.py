"""A whole world on this machine: a real control plane, what a cluster's operators would put there, and the server."""
