"""What people have switched: where spawning is frozen, and whose counts begin anew. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mcp_agentspawn.core.model import Root

EVERYWHERE = "everywhere"


@dataclass(frozen=True, slots=True)
class Freeze:
    """The switch that stops every new spawn: everywhere, in a namespace, or of one root (`namespace/account`)."""

    name: str
    frozen: bool
    reason: str = ""
    by: str = ""
    namespace: str = ""
    root: str = ""

    def stops(self, root: Root) -> bool:
        """Whether it stops this root."""
        here = self.namespace in {"", root.home, root.namespace} and self.root in {"", root.name}
        return self.frozen and here


@dataclass(frozen=True, slots=True)
class Reset:
    """A person's word that a root's counts begin anew, or that its recreated service account may go on.

    `account` is that account's uid; `at` is the API server's clock, `None` before it is stored.
    """

    name: str
    root: str
    counts: bool = False
    account: str = ""
    reason: str = ""
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Switches:
    """All of them as they were seen at one moment."""

    freezes: Sequence[Freeze] = ()
    resets: Sequence[Reset] = ()

    def stopping(self, root: Root) -> Freeze | None:
        """A freeze that stops this root, the widest first; `None` when there is none."""
        stopping = [freeze for freeze in self.freezes if freeze.stops(root)]
        return next(iter(widest_first(stopping)), None)

    @property
    def whole(self) -> bool:
        """Whether the switch for everywhere is there: without it nothing can be said, so nothing is spawned."""
        return any(freeze.name == EVERYWHERE for freeze in self.freezes)

    def counts_since(self, root: str) -> datetime | None:
        """When this root's counts began anew; `None` when nobody said so."""
        moments = [reset.at for reset in self.resets if reset.root == root and reset.counts and reset.at]
        return max(moments, default=None)

    def accepts(self, root: str, account: str) -> bool:
        """Whether a person said that the service account of this uid may go on with the tree."""
        return bool(account) and any(reset.root == root and reset.account == account for reset in self.resets)


def widest_first(freezes: Iterable[Freeze]) -> Sequence[Freeze]:
    """Those of everything, then of namespaces, then of roots."""
    return sorted(freezes, key=lambda freeze: (bool(freeze.root), bool(freeze.namespace), freeze.name))


def freeze_name(namespace: str = "", root: str = "") -> str:
    """The one name of the freeze of a namespace, of a root, or of everything."""
    if root:
        return f"root.{root.replace('/', '.')}"
    return f"namespace.{namespace}" if namespace else EVERYWHERE
