"""What we are called in the cluster, and what may be a name there. `deploy/` says the same in YAML."""

GROUP = "agentspawn.dev"
VERSION = "v1alpha1"
SYSTEM_NAMESPACE = "agentspawn-system"
SERVER_ACCOUNT = "agentspawn"
DEFAULT_HOME = "subagents"
NOBODYS_HOME = frozenset({SYSTEM_NAMESPACE, "default", "kagent"})
"""Namespaces that are somebody else's; those that begin with `kube-` are, too."""
CANARY = "canary"
"""The account of the built-in root whose virtual user shows that the policies act; no such account is there."""
AUDIENCE = "agentspawn"
"""What a caller's token is for; at the API server it is worth nothing."""

PROPOSAL = f"{GROUP}/proposal"
TREE = f"{GROUP}/tree"
"""Labels of a subagent: its proposal's id, and the index of its tree."""
AGENT = f"{GROUP}/agent"
"""Label of a task: the subagent that works on it."""
ROOT = f"{GROUP}/root"
PARENT = f"{GROUP}/parent"
TEMPLATE = f"{GROUP}/template"
LIFETIME = f"{GROUP}/lifetime"
REQUEST = f"{GROUP}/request"
DEPTH = f"{GROUP}/depth"
ENTRY = f"{GROUP}/registry-entry"
"""Annotations of a subagent: its root's virtual user, its parent, its template, its seconds, its request digest, how
many generations it may spawn itself, and the registry entry that it was made of, if it was."""

SPAWN_SERVER = "agentspawn"
"""The RemoteMCPServer of this server beside the subagents; only a subagent with depth left holds its tools."""
SPAWN_TOOLS = (
    "apply_subagent",
    "cancel_task",
    "delegate_task",
    "get_subagent",
    "get_task",
    "list_subagents",
    "list_templates",
    "propose_subagent",
    "retire_subagent",
    "search_agents_agentregistry",
)
MAKING_TOOLS = ("apply_subagent", "propose_subagent")
"""Whoever offers one of these makes agents, by whatever name it goes."""
CREDENTIAL_HEADER = "X-Agentspawn-Token"
MOST_DEPTH = 2
"""How many generations below a root's subagents there are at most."""

CREDENTIAL_PREFIX = "agentspawn/"
"""How a subagent's own credential begins: prefix, root, agent, and 256 random bits."""
CREDENTIAL_KEY = "token"

LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
SUBDOMAIN = r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
"""DNS label and subdomain (RFC 1123): the names of namespaces, and of most other objects."""


def may_be_home(namespace: str, root_namespace: str) -> bool:
    """Whether subagents may live there: a namespace of their own, which the policies close to everyone else."""
    taken = namespace in NOBODYS_HOME or namespace.startswith("kube-")
    return not taken and namespace != root_namespace


def credential_secret(agent: str) -> str:
    """The name of the Secret that holds a subagent's own credential."""
    return f"{agent}-agentspawn"
