"""How a search looks: for people, line by line, and for programs, as JSON. What strangers wrote is behind a gutter."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from mcp_agentspawn.cli.escaping import escaped, unwritten
from mcp_agentspawn.cli.wording import fact
from mcp_agentspawn.operations.answers import Hits
from mcp_agentspawn.operations.search import UNKNOWN

Document = dict[str, Any]
MISSING = "not there: the policy shows it, and no file of --registries bears its name"


def document(found: Hits, policy: str) -> Document:
    """An answer as JSON."""
    return {"policy": policy, **asdict(found)}


def lines(said: Document) -> Iterator[str]:
    """The same for people."""
    yield escaped(f"under {said['policy']}")
    for number, hit in enumerate(said["hits"], start=1):
        yield ""
        yield f"{number}. {_worth(hit)}"
        yield from _hit(hit)
    if not said["hits"]:
        yield "Nothing is found."
    yield from _registries(said)
    if said["next_cursor"]:
        yield ""
        yield "There is more: repeat it with"
        yield f"  --cursor {said['next_cursor']}"


def _worth(hit: Document) -> str:
    """What becomes of it, in words of ours alone."""
    if hit["spawnable"]:
        return f"spawnable with template {hit['template']}, risk {hit['risk']}"
    return "runs already" if hit["running"] else "not spawnable"


def _hit(hit: Document) -> Iterator[str]:
    """Its handle is on a line of its own, whole, to be copied: its form leaves no room for words."""
    yield from fact("name", unwritten(hit["name"]))
    yield f"  {escaped(hit['handle'])}"
    yield from fact("matched", f"{', '.join(hit['matched']) or 'everything is listed'}; score {hit['score']:g}")
    if hit["record"]:
        yield from fact("record", hit["record"])
    if hit["running"]:
        yield from fact("runs as", hit["running"])
    if hit["flags"]:
        yield from fact("beware", f"what it says of itself looks like {', '.join(hit['flags'])}, so it is last")
    for reason in hit["blocked_by"]:
        yield from fact("in the way", f"{reason['code']}: {reason['message']}")
    if not hit["spawnable"] and hit["template"]:
        yield from fact("template", f"{hit['template']} would take it, risk {hit['risk']}")
    if hit["labels"]:
        yield from fact("labels", unwritten(", ".join(hit["labels"])))
    if hit["description"]:
        yield from fact("description", unwritten(hit["description"]))


def _registries(said: Document) -> Iterator[str]:
    if said["registries"]:
        yield ""
        yield "Registries"
    for state in said["registries"]:
        yield from fact(state["registry"], MISSING if UNKNOWN in state["problems"] else _standing(state))


def _standing(state: Document) -> str:
    since = f", as of {state['as_of']} ({state['age_seconds']} s ago)" if state["as_of"] else ""
    problems = f": {', '.join(state['problems'])}" if state["problems"] else ""
    return f"{state['freshness']}{since}{problems}"
