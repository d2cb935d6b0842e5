"""What people and the server say beside proposals: approvals, switches and credentials, in this process only."""

from dataclasses import replace

from mcp_agentspawn.adapters.memory.decisions import MemoryDecisions
from mcp_agentspawn.core.errors import Conflict
from mcp_agentspawn.core.model import Approval
from mcp_agentspawn.core.ports import Clock
from mcp_agentspawn.core.switches import EVERYWHERE, Freeze, Reset, Switches


class MemoryApprovals(MemoryDecisions[Approval]):
    """Decisions of people on proposals (`core.ports.Approvals`)."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("proposal", clock)


class MemorySwitchboard:
    """Freezes and resets by name; the freeze of everything is there, and open."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._freezes = {EVERYWHERE: Freeze(EVERYWHERE, frozen=False)}
        self._resets: dict[str, Reset] = {}

    async def current(self, *, fresh: bool = False) -> Switches:  # noqa: ARG002 - it always is
        """See `core.ports.Switchboard.current`."""
        return Switches(tuple(self._freezes.values()), tuple(self._resets.values()))

    async def set(self, freeze: Freeze) -> Freeze | None:
        """See `core.ports.Switchboard.set`."""
        replaced = self._freezes.get(freeze.name)
        self._freezes[freeze.name] = freeze
        return replaced

    async def reset(self, reset: Reset) -> Reset:
        """See `core.ports.Switchboard.reset`."""
        if reset.name in self._resets:
            raise Conflict(f"There is a reset {reset.name} already.")
        self._resets[reset.name] = replace(reset, at=self._clock.now().replace(microsecond=0))
        return self._resets[reset.name]

    async def forget(self, reset: Reset) -> None:
        """See `core.ports.Switchboard.forget`."""
        self._resets.pop(reset.name, None)


class MemoryKeyring:
    """Credentials by namespace and agent; a test or a twin of kagent may look, the server never does."""

    def __init__(self) -> None:
        self.tokens: dict[tuple[str, str], str] = {}

    async def put(self, home: str, agent: str, token: str) -> None:
        """See `core.ports.Keyring.put`."""
        self.tokens.setdefault((home, agent), token)

    async def remove(self, home: str, agent: str) -> None:
        """See `core.ports.Keyring.remove`."""
        self.tokens.pop((home, agent), None)
