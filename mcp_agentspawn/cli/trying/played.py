"""A case and what was answered to it."""

from dataclasses import dataclass

from mcp_agentspawn.cli.trying.cases import Case
from mcp_agentspawn.cli.trying.stage import Said


@dataclass(frozen=True, slots=True)
class Played:
    """A case that was played: where it stands, and what was answered. `policies` are those that matched its caller."""

    file: str
    line: int
    case: Case
    got: Said
    policies: tuple[str, ...]

    @property
    def expected(self) -> Said:
        """What must be answered; the risk counts only where it is named."""
        expect = self.case.expect
        return Said(expect.outcome, frozenset(expect.codes), expect.risk or self.got.risk)

    @property
    def passed(self) -> bool:
        """Whether it was answered so."""
        return self.got == self.expected
