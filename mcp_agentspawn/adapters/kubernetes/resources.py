"""The kinds of object that we talk to the API server about, and their paths."""

import re
from dataclasses import dataclass
from typing import Any

from mcp_agentspawn.core.errors import Missing
from mcp_agentspawn.core.names import GROUP, SUBDOMAIN, VERSION

NAME = re.compile(SUBDOMAIN)  # every kind here has such names
PAGE = 250
PAGE_OF_TASKS = 25
"""A result may be 400 KB as it comes over the wire, and an answer of the API server is bounded."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of one group and version, by its plural; the first kinds that Kubernetes had have no group.

    `page` is how many of them one answer holds.
    """

    group: str
    version: str
    plural: str
    kind: str
    page: int = PAGE

    @property
    def served_as(self) -> str:
        """Group and version, as an object names them."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, namespace: str = "") -> str:
        """The path of all objects in a namespace, or of all there are of a kind without namespaces."""
        place = f"/namespaces/{_segment(namespace)}" if namespace else ""
        return f"{'/apis' if self.group else '/api'}/{self.served_as}{place}/{self.plural}"

    def item(self, namespace: str, name: str, subresource: str = "") -> str:
        """The path of one object. Raises Missing for what can be no object's name, so that none leaves its place."""
        return f"{self.collection(namespace)}/{_segment(name)}" + (f"/{subresource}" if subresource else "")

    def object(self, metadata: dict[str, Any], **parts: Any) -> dict[str, Any]:
        """An object of this kind."""
        return {"apiVersion": self.served_as, "kind": self.kind, "metadata": metadata, **parts}


AGENTS = Resource("kagent.dev", "v1alpha2", "agents", "Agent")
MODEL_CONFIGS = Resource("kagent.dev", "v1alpha2", "modelconfigs", "ModelConfig")
TOOL_SERVERS = Resource("kagent.dev", "v1alpha2", "remotemcpservers", "RemoteMCPServer")
PROPOSALS = Resource(GROUP, VERSION, "subagentproposals", "SubagentProposal")
LEDGERS = Resource(GROUP, VERSION, "spawnledgers", "SpawnLedger")
APPROVALS = Resource(GROUP, VERSION, "subagentapprovals", "SubagentApproval")
TASKS = Resource(GROUP, VERSION, "subagenttasks", "SubagentTask", PAGE_OF_TASKS)
TASK_ANSWERS = Resource(GROUP, VERSION, "subagenttaskanswers", "SubagentTaskAnswer")
FREEZES = Resource(GROUP, VERSION, "spawnfreezes", "SpawnFreeze")
RESETS = Resource(GROUP, VERSION, "spawnresets", "SpawnReset")
SECRETS = Resource("", "v1", "secrets", "Secret")
PODS = Resource("", "v1", "pods", "Pod")
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview")
SELF_REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview")
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview")


def _segment(text: str) -> str:
    """Escaping would not do: the API server resolves `a%2Fb` into an object and its subresource."""
    if NAME.fullmatch(text) is None:
        raise Missing("That is no object's name.")
    return text
