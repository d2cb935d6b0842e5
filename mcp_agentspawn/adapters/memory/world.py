"""The twin of a whole cluster: what it holds can be set, and every port reads it."""

import secrets
from collections.abc import Iterable, Mapping, Sequence

from mcp_agentspawn.adapters.clock import SystemClock
from mcp_agentspawn.adapters.kubernetes.schema import ManifestSchema
from mcp_agentspawn.adapters.memory.agents import MemoryAgents
from mcp_agentspawn.adapters.memory.delegation import MemoryTaskAnswers, MemoryTasks
from mcp_agentspawn.adapters.memory.observer import MemoryObserver
from mcp_agentspawn.adapters.memory.people import MemoryApprovals, MemoryKeyring, MemorySwitchboard
from mcp_agentspawn.adapters.memory.stores import MemoryLedgers, MemoryProposals
from mcp_agentspawn.adapters.memory.watching import MemoryAnnouncements, MemoryCordon, MemoryLeadership
from mcp_agentspawn.core.digest import hash_of
from mcp_agentspawn.core.errors import Missing
from mcp_agentspawn.core.model import Manifest, Root
from mcp_agentspawn.core.names import SPAWN_SERVER, SPAWN_TOOLS
from mcp_agentspawn.core.ports import Account, Clock, Violation
from mcp_agentspawn.core.template import Template


class MemoryInventory:
    """Models and tools by namespace, and the schema, all settable. Without a schema no manifest has violations."""

    def __init__(self, schema: ManifestSchema | None) -> None:
        self.schema = schema
        self.models_in: dict[str, set[str]] = {}
        self.tools_in: dict[str, dict[str, set[str]]] = {}

    async def models(self, home: str, *, fresh: bool = False) -> frozenset[str]:  # noqa: ARG002 - it always is
        """See `core.ports.Inventory.models`."""
        return frozenset(self.models_in.get(home, ()))

    async def tools(self, home: str, *, fresh: bool = False) -> Mapping[str, frozenset[str]]:  # noqa: ARG002 - it always is
        """See `core.ports.Inventory.tools`."""
        return {server: frozenset(tools) for server, tools in self.tools_in.get(home, {}).items()}

    async def violations(self, manifest: Manifest) -> Sequence[Violation]:
        """See `core.ports.Inventory.violations`."""
        return self.schema.violations(manifest) if self.schema is not None else ()

    async def schema_hash(self) -> str:
        """See `core.ports.Inventory.schema_hash`."""
        return self.schema.hash if self.schema is not None else hash_of(b"")


class MemoryAccess:
    """Who may use which template: pairs of a root and a template's name, settable."""

    def __init__(self) -> None:
        self.granted: set[tuple[Root, str]] = set()

    async def may_use(self, root: Root, template: str) -> bool:
        """See `core.ports.Access.may_use`."""
        return (root, template) in self.granted


class MemoryTokens:
    """Opaque tokens of this world's own making; no cluster knows them."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._uids: dict[tuple[str, str], str] = {}

    def issue(self, namespace: str, name: str) -> str:
        """Make a new token for a service account, which is there from the first one on."""
        token = f"memory-{secrets.token_urlsafe(32)}"
        uid = self._uids.setdefault((namespace, name), f"memory:{namespace}:{name}")
        self._accounts[token] = Account(namespace, name, uid)
        return token

    def uid_of(self, namespace: str, name: str) -> str:
        """The uid of a service account. Raises Missing for one that never had a token."""
        if (namespace, name) not in self._uids:
            raise Missing(f"There is no service account {namespace}/{name}.")
        return self._uids[namespace, name]

    def revoke(self, token: str) -> None:
        """Make a token worthless; revoking it twice is fine."""
        self._accounts.pop(token, None)

    async def caller(self, token: str) -> Account | None:
        """See `core.ports.Tokens.caller`."""
        return self._accounts.get(token)


class MemoryWorld:
    """All ports on one state. Nothing is granted and nothing lies there until it is set.

    `schema` is what manifests are held to, as the API server would; without one, any shape is accepted.
    """

    def __init__(
        self, roots: Iterable[Root], *, clock: Clock | None = None, schema: ManifestSchema | None = None
    ) -> None:
        self.roots: Sequence[Root] = tuple(roots)
        self.clock: Clock = clock or SystemClock()
        self.agents = MemoryAgents(self.roots, self.clock, schema)
        self.proposals = MemoryProposals(self.clock)
        self.ledgers = MemoryLedgers()
        self.inventory = MemoryInventory(schema)
        self.access = MemoryAccess()
        self.approvals = MemoryApprovals(self.clock)
        self.switchboard = MemorySwitchboard(self.clock)
        self.keyring = MemoryKeyring()
        self.tasks = MemoryTasks(self.clock)
        self.task_answers = MemoryTaskAnswers(self.clock)
        self.announcements = MemoryAnnouncements()
        self.cordon = MemoryCordon()
        self.leadership = MemoryLeadership()
        self.tokens = MemoryTokens()
        self.observer = MemoryObserver(self.roots, self.agents, self.proposals, self.ledgers, self.tasks)

    def furnish(self, templates: Mapping[str, Template]) -> None:
        """Put everything there that the templates name, and let every root use all of them."""
        for root in self.roots:
            models = self.inventory.models_in.setdefault(root.home, set())
            tools = self.inventory.tools_in.setdefault(root.home, {})
            tools.setdefault(SPAWN_SERVER, set()).update(SPAWN_TOOLS)
            for name, template in templates.items():
                self.access.granted.add((root, name))
                models |= set(template.models)
                for server, rule in template.tools.items():
                    tools.setdefault(server, set()).update(rule.allow)

    async def whoami(self) -> str:
        """Who uses this world: whoever it is, a person."""
        return "person"

    async def account_uid(self, root: Root) -> str:
        """The uid of a root's service account. Raises `Missing` when there is none."""
        return self.tokens.uid_of(root.namespace, root.account)

    async def problems(self) -> Sequence[str]:
        """What keeps this world from being ready: nothing does."""
        return ()
