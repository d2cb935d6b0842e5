"""What a file of cases may say: who asks for what, in which situation, and what must be answered."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mcp_agentspawn.core.digest import digest_of
from mcp_agentspawn.core.guard import Step
from mcp_agentspawn.core.model import Risk, Scalar
from mcp_agentspawn.core.names import LABEL, SUBDOMAIN
from mcp_agentspawn.core.outcomes import MOST_TASKS
from mcp_agentspawn.core.registry import MOST_INSTRUCTIONS_CHARACTERS, NAME, NAMESPACE, Form, RegistryEntry
from mcp_agentspawn.core.strict import Strict

MOST = 1_000
ACCOUNT = re.compile(rf"{LABEL}/{SUBDOMAIN}\Z")
CODE = re.compile(r"[a-z_]+(\.[a-z_]+)+\Z")
TAG = "stable"


def _account(name: str) -> str:
    if not ACCOUNT.match(name):
        raise ValueError("must be namespace/account")
    return name


def _code(code: str) -> str:
    if not CODE.match(code):
        raise ValueError("must be a reason code, as in quota.live_per_parent")
    return code


Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Words = Annotated[tuple[Text, ...], Field(strict=False)]
Codes = Annotated[tuple[Annotated[str, AfterValidator(_code)], ...], Field(strict=False)]
Count = Annotated[int, Field(ge=0, le=MOST)]


class Offered(Strict):
    """What a registry offers: an agent of `instructions`, or one of an `image`; with neither there is nothing to run.

    `running` is the Agent (`namespace/name`) that it already is.
    """

    registry: Annotated[str, StringConstraints(pattern=rf"^{LABEL}$")]
    namespace: Annotated[str, StringConstraints(pattern=rf"^{NAMESPACE}$")] = "default"
    name: Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
    labels: dict[str, str] = Field(default_factory=dict)
    tool_servers: Words = ()
    instructions: Annotated[str, StringConstraints(max_length=MOST_INSTRUCTIONS_CHARACTERS)] = ""
    image: Annotated[str, StringConstraints(max_length=512)] = ""
    protocol: str = "A2A"
    running: str = ""

    @property
    def form(self) -> Form:
        """What it can become."""
        return "image" if self.image else "declarative" if self.instructions else "other"

    @property
    def entry(self) -> RegistryEntry:
        """The same as a registry's."""
        said = self.model_dump(mode="json")
        return RegistryEntry(tag=TAG, hash=digest_of(said), form=self.form, **self.model_dump())

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.image and self.instructions:
            raise ValueError("an entry has instructions or an image")
        return self


class Wanted(Strict):
    """The arguments of `propose_subagent`; what is left out picks the template's default.

    `registry_entry` is the entry itself: the case's registries hold it, and its handle is what the caller names.
    """

    template: str
    purpose: str
    parameters: dict[str, Scalar] = Field(default_factory=dict)
    tools: Words = ()
    model: str = ""
    lifetime_minutes: int = Field(default=0, ge=0)
    registry_entry: Offered | None = None


class Held(Strict):
    """What a ledger counts. `spawned_today` are at least those that live."""

    open: Count = 0
    live: Count = 0
    spawned_today: Count = 0
    changes_this_minute: Count = 0


class Recorded(Strict):
    """What became of tasks that subagents of the same template, and of the same registry entry, were given before."""

    tasks: Annotated[int, Field(ge=0, le=MOST_TASKS)] = 0
    succeeded: Annotated[int, Field(ge=0, le=MOST_TASKS)] = 0
    quarantines: Annotated[int, Field(ge=0, le=MOST_TASKS)] = 0

    @model_validator(mode="after")
    def _of_those(self) -> Self:
        if self.succeeded > self.tasks:
            raise ValueError("no more tasks succeed than there are")
        return self


class Absent(Strict):
    """What the templates name and the cluster lacks: ModelConfigs by name, tools as server/tool."""

    models: Words = ()
    tools: Words = ()


class Given(Held):
    """The situation in which a step is judged; what is counted is the caller's, beside its own request.

    `elsewhere` is held by another subagent of its tree. `record` was there before the proposal. `parent`: the caller
    is not the orchestrator but its subagent of this request, which people have approved. `rights` are those of the
    orchestrator's virtual user. `minutes_later` is how long after the proposal, and after what people decided, it is
    applied.
    """

    elsewhere: Held = Held()
    record: Recorded = Recorded()
    parent: Wanted | None = None
    frozen: bool = False
    rights: Annotated[tuple[Literal["use", "create"], ...], Field(strict=False)] = ("use", "create")
    absent: Absent = Absent()
    approvals: Words = ()
    denials: Words = ()
    minutes_later: int = Field(default=0, ge=0, le=60 * 48)


class Expected(Strict):
    """What must be answered: the outcome, exactly these codes, and the proposal's risk where it is named."""

    outcome: Literal["allowed", "pending_approval", "denied", "stale"]
    codes: Codes = ()
    risk: Risk | None = None

    @model_validator(mode="after")
    def _told_why(self) -> Self:
        if bool(self.codes) == (self.outcome == "allowed"):
            raise ValueError("name the codes of every outcome but allowed, which has none")
        return self


class Case(Strict):
    """One request of one caller, judged at one step: proposed, or proposed and then applied."""

    name: Text
    caller: Annotated[str, AfterValidator(_account)]
    step: Step = "propose"
    given: Given = Given()
    request: Wanted
    expect: Expected

    @model_validator(mode="after")
    def _decided_in_time(self) -> Self:
        given = self.given
        if self.step == "propose" and (given.approvals or given.denials or given.minutes_later):
            raise ValueError("people decide after the proposal: approvals, denials and minutes_later need step: apply")
        return self


class Cases(Strict):
    """One file."""

    cases: Annotated[tuple[Case, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if not self.cases:
            raise ValueError("there is no case in it")
        names = [case.name for case in self.cases]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"cases of the same name: {', '.join(twice)}")
        return self
