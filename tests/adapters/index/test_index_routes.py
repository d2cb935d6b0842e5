import pytest

from mcp_agentspawn.core.registry import Blueprint, Route
from tests.adapters.index.finding import ask, entry, index, name, names

LEAD = Blueprint("incident-lead", "Leads when something is down.", ("oncall",))
HELPER = Blueprint("helper", "Helps with logs.", ("logs",))
ROUTES = (
    Route(("outage", "root cause", "Störung", "help", "*", "xylophone"), "incident-lead"),
    Route(("outage",), "gone"),
)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("an outage in the logs", "outage"),
        ("Outages!", "outage"),
        ("what is the cause at the root", "root cause"),
        ("stoerung", "storung"),
        ("Störungen", "storung"),
        ("help", "help"),
    ],
)
def test_a_word_of_a_route_puts_its_template_first(text: str, word: str) -> None:
    made = index(entry("outage-logs", "outage logs root cause help"), templates=(LEAD, HELPER))
    first = ask(made, text, routes=ROUTES)[0]

    assert (name(first), first.place.routed, first.matched[0]) == ("template/incident-lead", True, f"route {word}")


@pytest.mark.parametrize("text", ["root", "cause", "outrage", "out", "*", ""])
def test_other_words_lead_nowhere(text: str) -> None:
    made = index(templates=(LEAD, HELPER))

    assert not any(finding.place.routed for finding in ask(made, text, routes=ROUTES))


def test_a_route_leads_to_a_template_that_shares_no_word_with_the_query() -> None:
    found = ask(index(templates=(LEAD,)), "xylophone", routes=ROUTES)

    assert [(name(finding), finding.place.score, finding.matched) for finding in found] == [
        ("template/incident-lead", 0.0, ("route xylophone",))
    ]


def test_a_route_does_not_lead_past_what_the_caller_may_use_or_asked_for() -> None:
    made = index(templates=(LEAD, HELPER))

    assert names(made, "outage", routes=ROUTES, templates=frozenset({"helper"})) == []
    assert names(made, "outage", routes=ROUTES, source="acme") == []
    assert names(made, "outage", routes=ROUTES, labels=("logs",)) == []
    assert names(made, "outage", routes=ROUTES, labels=("oncall",), source="template") == ["template/incident-lead"]
