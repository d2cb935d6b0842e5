"""The arguments that tools take: their bounds, and what a model reads about each."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

STRICT = ConfigDict(extra="forbid", strict=True)
ID = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
DIGEST = r"^sha256:[0-9a-f]{64}$"
TASK = r"^task-[0-9a-f]{32}$"


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""`5.0` is an integer, as JSON Schema says; clients that keep every number as a float send it so."""


class Parameter(BaseModel):
    """One value for one of the template's parameters."""

    model_config = STRICT

    name: Annotated[str, Field(min_length=1, max_length=128, description="The parameter's name")]
    value: Annotated[str, Field(max_length=16384, description="Its value as text, numbers (5) and booleans (true) too")]


Query = Annotated[str, Field(max_length=500, description="The task in a few words; empty lists everything by name")]
Limit = Annotated[int, Field(ge=1, le=50, description="How many hits at most"), WHOLE]
Cursor = Annotated[str, Field(max_length=1200, description="next_cursor of the page before; empty for the first page")]
Source = Annotated[
    str, Field(max_length=63, description="Only hits of this source: template, or a registry; empty for all")
]
Label = Annotated[str, Field(min_length=1, max_length=260)]
Labels = Annotated[
    list[Label], Field(max_length=16, description="Only hits with all of these labels, as hits show them")
]

TemplateName = Annotated[str, Field(pattern=ID, max_length=63, description="A template's name, from list_templates")]
Purpose = Annotated[
    str,
    Field(min_length=1, max_length=500, description="Why this subagent is needed, for the people who read it"),
]
Parameters = Annotated[
    list[Parameter],
    Field(max_length=64, description="Values for the parameters that the template requires, and others to set"),
]
ToolName = Annotated[str, Field(min_length=1, max_length=200)]
Tools = Annotated[
    list[ToolName], Field(max_length=64, description="server/tool, out of the template's; empty for its default tools")
]
Model = Annotated[str, Field(max_length=253, description="One of the template's models; empty for its default")]
Lifetime = Annotated[
    int, Field(ge=0, le=1440, description="Minutes until it is removed by itself; 0 for the template's default"), WHOLE
]
RegistryEntry = Annotated[
    str,
    Field(max_length=600, description="A hit's handle, when the hit is a registry entry; empty for a template alone"),
]

ProposalId = Annotated[str, Field(pattern=ID, max_length=63, description="What propose_subagent returned as proposal")]
Digest = Annotated[str, Field(pattern=DIGEST, max_length=71, description="The digest that came with that proposal")]
Wait = Annotated[
    int, Field(ge=0, le=20, description="Seconds to wait for a person, if one must approve; 0 answers at once"), WHOLE
]
AgentId = Annotated[str, Field(pattern=ID, max_length=63, description="A subagent's id, which is its proposal's id")]
WhyRetire = Annotated[str, Field(max_length=500, description="Why, in a few words, for the record")]

TaskMessage = Annotated[
    str,
    Field(
        min_length=1, max_length=32768, description="What to do, with all that it needs to know; it sees nothing else"
    ),
]
TaskHandle = Annotated[str, Field(pattern=TASK, max_length=37, description="What delegate_task returned as task")]
EarlierTask = Annotated[
    str,
    Field(
        pattern=rf"^$|{TASK}",
        max_length=37,
        description="A task of this subagent: to answer its question, or to go on from it; empty for new work",
    ),
]
WaitForTask = Annotated[
    int,
    Field(ge=0, le=20, description="Seconds to wait for the result, or for a question; 0 answers at once"),
    WHOLE,
]
