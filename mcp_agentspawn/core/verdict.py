"""What one guard says (a verdict) and what the whole chain says (a decision)."""

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["allowed", "pending_approval", "denied", "stale", "unavailable"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a stable code for programs, a sentence for people, and the field where it was seen."""

    code: str
    message: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Allow:
    """This guard has nothing against it."""


@dataclass(frozen=True, slots=True)
class Deny:
    """This guard refuses, for all the reasons it sees."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """This guard waits for a person."""

    reasons: tuple[Reason, ...]


Verdict = Allow | Deny | Hold


@dataclass(frozen=True, slots=True)
class Finding:
    """One guard's verdict; `detail` is for the audit only and never for the caller.

    `error` is what kept the guard from an answer, so that it refused; `None` when it answered.
    """

    guard: str
    verdict: Verdict
    detail: str = ""
    error: Exception | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the chain says: deny beats hold beats allow, and nobody asked means denied."""

    findings: tuple[Finding, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """`allowed`, `pending_approval` or `denied`."""
        if not self.findings or self._of(Deny):
            return "denied"
        return "pending_approval" if self._of(Hold) else "allowed"

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The reasons of the verdicts that made the outcome; none when it is allowed."""
        if not self.findings:
            return (Reason("chain.empty", "No guard was asked, so nothing is allowed."),)
        deciding = self._of(Deny) or self._of(Hold)
        return tuple(reason for verdict in deciding for reason in verdict.reasons)

    def _of(self, kind: type[Deny] | type[Hold]) -> list[Deny | Hold]:
        return [finding.verdict for finding in self.findings if isinstance(finding.verdict, kind)]
