"""How risky a proposal is: what its template says, raised by what it asks for, and never lowered by it."""

from collections.abc import Mapping
from datetime import timedelta

from mcp_agentspawn.core.model import Request, Risk
from mcp_agentspawn.core.template import Template

TIERS: tuple[Risk, ...] = ("low", "medium", "high")
PEOPLE: Mapping[Risk, int] = {"low": 0, "medium": 1, "high": 2}
"""How many different people must approve."""


def people_in_words(needed: int) -> str:
    """How many must approve, as a sentence about it begins."""
    return "1 person" if needed == 1 else f"{needed} different people"


def risk_of(template: Template, request: Request, *, at_least: Risk, long_life: timedelta) -> Risk:
    """The template's risk or `at_least`, one tier higher for each thing that raises it.

    At least medium when it is made of a registry entry, and high when that is an image: both are somebody else's.
    """
    foreign: Risk = "high" if template.agent.image else "medium" if request.entry or template.takes else "low"
    least = TIERS.index(highest(template.risk, at_least, foreign))
    return TIERS[min(least + len(raised_by(template, request, long_life=long_life)), len(TIERS) - 1)]


def raised_by(template: Template, request: Request, *, long_life: timedelta) -> tuple[str, ...]:
    """What raises the risk of this request, in words."""
    raising = {
        "asks for tools that the template marks as sensitive": any(
            _is_sensitive(tool, template) for tool in request.tools
        ),
        "may spawn agents itself": template.depth > 0,
        f"lives longer than {int(long_life.total_seconds() // 60)} minutes": request.lifetime > long_life,
    }
    return tuple(words for words, raises in raising.items() if raises)


def highest(*risks: Risk) -> Risk:
    """The highest of these; `low` when there are none."""
    return max(risks, key=TIERS.index, default="low")


def _is_sensitive(tool: str, template: Template) -> bool:
    server, _, name = tool.partition("/")
    return server in template.tools and name in template.tools[server].sensitive
