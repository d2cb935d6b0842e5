"""Those who are no persons, whatever they may do."""

from tests.deploy.cluster import KAGENT, MASTERS, SERVER
from tests.deploy.objects import virtual_user

MALLORY = "system:serviceaccount:agents:mallory"
NO_PERSONS: dict[str, tuple[str, ...]] = {
    "an orchestrator": (MALLORY, "system:serviceaccounts", "system:serviceaccounts:agents"),
    "an orchestrator that lost its groups": (MALLORY,),
    "the server": (SERVER, "system:serviceaccounts"),
    "the server with every right": (SERVER, MASTERS),
    "kagent's controller": (KAGENT, "system:serviceaccounts"),
    "a root": (virtual_user("mallory"),),
    "the canary": ("agentspawn:agentspawn-system:canary",),
    "a node": ("system:node:one", "system:nodes"),
    "a node's groups": ("alice", "system:nodes"),
    "an account's groups": ("alice", "system:serviceaccounts"),
    "an account's namespace": ("alice", "system:serviceaccounts:agents"),
    "a part of the system": ("system:kube-scheduler",),
    "the system's administrator": ("system:admin", MASTERS),
    "nobody": ("system:anonymous", "system:unauthenticated"),
}
"""A user and groups, with every right that RBAC can give."""
