"""The protocol's conformance suite: the scenarios that concern this server pass, and each other one says why not.

The suite speaks the 2025 eras, needs no credential for what applies, and calls fixture tools that only test servers
have. Each of its scenarios must be in one of the tables here, so a new version of the suite asks for a decision.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from tests.clients.environments import node, node_script
from tests.clients.inspector import finished
from tests.dev_fixtures import DevServer

SCRIPT = "@modelcontextprotocol/conformance/dist/index.js"

APPLICABLE = {"server-initialize": 1, "ping": 1, "tools-list": 1, "dns-rebinding-protection": 2}
"""Scenarios that must pass, with the number of checks that must succeed: one that checks nothing passes too."""

NO_FIXTURE = "calls a tool of the suite's own test server; ours refuses an unknown tool as a protocol error"
NO_RESOURCES = "the server offers no resources and does not say it does"
NO_PROMPTS = "the server offers no prompts and does not say it does"
NO_REQUESTS = "the server is stateless and answers in JSON: it asks its clients nothing and sends no notifications"

NOT_APPLICABLE = {
    "logging-set-level": "the server sends no log messages to clients and does not say it does",
    "completion-complete": "the server completes no arguments and does not say it does",
    "tools-call-simple-text": NO_FIXTURE,  # "passes" on servers that answer an unknown tool with text
    "tools-call-error": NO_FIXTURE,  # "passes" on servers that answer an unknown tool with isError
    "tools-call-image": NO_FIXTURE,
    "tools-call-audio": NO_FIXTURE,
    "tools-call-embedded-resource": NO_FIXTURE,
    "tools-call-mixed-content": NO_FIXTURE,
    "json-schema-2020-12": NO_FIXTURE,
    "tools-call-with-logging": NO_REQUESTS,
    "tools-call-with-progress": NO_REQUESTS,
    "tools-call-sampling": NO_REQUESTS,
    "tools-call-elicitation": NO_REQUESTS,
    "elicitation-sep1034-defaults": NO_REQUESTS,
    "elicitation-sep1330-enums": NO_REQUESTS,
    "server-sse-polling": NO_REQUESTS,  # the summary calls it passed: it checks nothing and warns
    "server-sse-multiple-streams": NO_REQUESTS,  # the same
    "resources-list": NO_RESOURCES,
    "resources-read-text": NO_RESOURCES,
    "resources-read-binary": NO_RESOURCES,
    "resources-templates-read": NO_RESOURCES,
    "resources-subscribe": NO_RESOURCES,
    "resources-unsubscribe": NO_RESOURCES,
    "prompts-list": NO_PROMPTS,
    "prompts-get-simple": NO_PROMPTS,
    "prompts-get-with-args": NO_PROMPTS,
    "prompts-get-embedded-resource": NO_PROMPTS,
    "prompts-get-with-image": NO_PROMPTS,
}
"""Scenarios that must not succeed, with the reason: the suite calls its expectations stale when one does."""


@dataclass(frozen=True, slots=True)
class Report:
    """One run of the whole suite: its own verdict, and for each scenario how many checks ended how."""

    exit_code: int
    output: str
    statuses: dict[str, Counter[str]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def report(dev_server: DevServer, tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("conformance")
    expected = folder / "expected-failures.yaml"
    expected.write_text(yaml.safe_dump({"server": sorted(NOT_APPLICABLE)}))
    command = [node(), node_script(SCRIPT), "server", "--url", dev_server.mcp_url, "--suite", "all"]
    command += ["--expected-failures", str(expected), "--output-dir", str(folder / "results")]
    exit_code, output, errors = await finished(command, folder)
    return Report(exit_code, output + errors, dict(map(_statuses, (folder / "results").iterdir())))


def _statuses(results: Path) -> tuple[str, Counter[str]]:
    """Read one scenario's results; its folder is named `server-SCENARIO-TIME`."""
    scenario = re.sub(r"-\d{4}-\d\d-\d\dT.*", "", results.name.removeprefix("server-"))
    checks = json.loads((results / "checks.json").read_text())
    return scenario, Counter(check["status"] for check in checks)


async def test_the_suite_finds_no_failure_that_is_not_expected_and_no_expected_one_that_passes(report: Report) -> None:
    assert report.exit_code == 0, report.output[-3000:]


async def test_every_scenario_of_the_suite_has_been_decided_on(report: Report) -> None:
    assert sorted(report.statuses) == sorted([*APPLICABLE, *NOT_APPLICABLE])


@pytest.mark.parametrize(("scenario", "checks"), APPLICABLE.items())
async def test_an_applicable_scenario_passes_with_all_of_its_checks(report: Report, scenario: str, checks: int) -> None:
    assert report.statuses[scenario] == {"SUCCESS": checks}
