"""Who a request to the API server is made as, and what each may send: everything else is refused here, unsent.

The API server's own rules (constrained impersonation, KEP-5284, and the policy `agentspawn-lock`) refuse the same
again. This gate is there so that a mistake of ours is an error of ours.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from mcp_agentspawn.adapters.kubernetes.credential_secrets import is_secret_of
from mcp_agentspawn.adapters.kubernetes.resources import ACCOUNTS, AGENTS, NAME, PODS, SECRETS
from mcp_agentspawn.core.errors import ConfigError, Refused
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import CANARY, GROUP, LABEL, SUBDOMAIN, SYSTEM_NAMESPACE, credential_secret

USER = "Impersonate-User"
PROPOSAL = f"Impersonate-Extra-{GROUP}%2Fproposal"
OWN_METHODS = frozenset({"GET", "DELETE"})  # expiry works although a root's rights are gone
ACCOUNT = re.compile(rf"/api/v1/namespaces/{LABEL}/{ACCOUNTS.plural}/{SUBDOMAIN}")


class Server(Enum):
    """The server's own service account, written out wherever it is meant."""

    ITSELF = "server"


SERVER = Server.ITSELF


@dataclass(frozen=True, slots=True)
class AsRoot:
    """A root's virtual user, for the one agent that a proposal can become."""

    root: Root
    proposal: str


@dataclass(frozen=True, slots=True)
class AsCanary:
    """The built-in virtual user that shows whether the policies act; it only ever runs dry."""

    home: str
    proposal: str = ""


Principal = Server | AsRoot | AsCanary


@dataclass(frozen=True, slots=True)
class Call:
    """One request, whole: there is no place in it for headers of a caller's choice.

    `changes` says that a lost answer leaves the outcome unknown. `partial` asks for an object's metadata alone.
    """

    method: str
    path: str
    principal: Principal
    body: bytes | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    changes: bool = False
    partial: bool = False
    timeout_seconds: float = 5.0


class Gate:
    """The list of those who may be impersonated: the configured roots, and the canary in their namespaces."""

    def __init__(self, roots: Iterable[Root]) -> None:
        """Raises ConfigError for a root whose names Kubernetes would not take."""
        self._roots = frozenset(roots)
        self._homes = frozenset(root.home for root in self._roots)
        if wrong := [f"{root.name}: not a Kubernetes name" for root in self._roots if not _is_named_well(root)]:
            raise ConfigError(wrong)

    def impersonation(self, call: Call) -> Mapping[str, str]:
        """The headers that name whom the call is made as. Raises Refused for whatever is not listed."""
        match call.principal:
            case Server():
                if not self._is_own(call):
                    raise Refused("forbidden.principal", "The server does not do this as itself, so nothing was sent.")
                return {}
            case AsRoot(root, proposal) if root in self._roots and _touches(call, root.home, proposal):
                return {USER: root.virtual_user, PROPOSAL: proposal}
            case AsCanary(home, proposal) if home in self._homes and _runs_dry(call, home):
                user = {USER: Root(SYSTEM_NAMESPACE, CANARY, home).virtual_user}
                return user | {PROPOSAL: proposal} if _is_label(proposal) else user
            case _:
                raise Refused("forbidden.principal", "Nobody who may do this was named, so nothing was sent.")

    def _is_own(self, call: Call) -> bool:
        """Whether the server does it as itself: it makes and alters no agents, and reads no Secret."""
        if call.path.startswith(f"/apis/{AGENTS.group}/"):
            return call.method in OWN_METHODS
        if call.path.startswith("/apis/"):
            return True
        reads = call.method == "GET" and (ACCOUNT.fullmatch(call.path) is not None or self._is_of_pods(call.path))
        return reads or any(_is_of_a_credential(call, home) for home in self._homes)

    def _is_of_pods(self, path: str) -> bool:
        return any(path == PODS.collection(home) for home in self._homes)


def _is_of_a_credential(call: Call, home: str) -> bool:
    """Whether it makes or removes the own credential of a subagent that lives there."""
    collection = SECRETS.collection(home)
    if (call.method, call.path) == ("POST", collection):
        return is_secret_of(home, call.body or b"")
    agent = call.path.removeprefix(f"{collection}/").removesuffix(credential_secret(""))
    return _is_label(agent) and (call.method, call.path) == ("DELETE", f"{collection}/{credential_secret(agent)}")


def _touches(call: Call, home: str, proposal: str) -> bool:
    """Whether it makes an agent in its home, or deletes the very one of this proposal."""
    collection = AGENTS.collection(home)
    allowed = {("POST", collection), ("DELETE", f"{collection}/{proposal}")}
    return _is_label(proposal) and (call.method, call.path) in allowed


def _runs_dry(call: Call, home: str) -> bool:
    return (call.method, call.path, call.query.get("dryRun")) == ("POST", AGENTS.collection(home), "All")


def _is_label(text: str) -> bool:
    return re.fullmatch(LABEL, text) is not None


def _is_named_well(root: Root) -> bool:
    return _is_label(root.namespace) and _is_label(root.home) and NAME.fullmatch(root.account) is not None
