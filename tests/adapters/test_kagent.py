from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from mcp_agentspawn.adapters.kagent import KagentAgent
from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.core.render import render
from mcp_agentspawn.core.request import resolve
from tests.builders import CALLER, SOME_IMAGE, ask, image_entry, image_template, template

KIND = KagentAgent()


def manifest() -> dict[str, Any]:
    asked = resolve(CALLER, ask(tools=("web-search/search", "web-search/fetch")), template())
    return deepcopy(KIND.manifest(render("sub-researcher-x", CALLER, asked.request, template(), "sha256:r")))


def declarative(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["spec"]["declarative"]
    return found


def test_the_manifest_is_complete_and_writes_every_default() -> None:
    made = manifest()

    assert made["metadata"]["labels"] == {
        "agentspawn.dev/proposal": "sub-researcher-x",
        "agentspawn.dev/tree": "agents.orchestrator",
    }
    assert made["metadata"]["annotations"] == {
        "agentspawn.dev/root": "agentspawn:agents:orchestrator",
        "agentspawn.dev/parent": "",
        "agentspawn.dev/template": "researcher",
        "agentspawn.dev/lifetime": "1800",
        "agentspawn.dev/request": "sha256:r",
        "agentspawn.dev/depth": "0",
    }
    assert (made["spec"]["type"], declarative(made)["runtime"], declarative(made)["stream"]) == (
        "Declarative",
        "go",
        False,
    )
    assert declarative(made)["context"]["compaction"] == {
        "compactionInterval": 5,
        "overlapSize": 2,
        "tokenThreshold": 12000,
        "eventRetentionSize": 10,
    }
    assert declarative(made)["tools"] == [
        {
            "type": "McpServer",
            "mcpServer": {
                "apiGroup": "kagent.dev",
                "kind": "RemoteMCPServer",
                "name": "web-search",
                "toolNames": ["fetch", "search"],
                "requireApproval": ["fetch"],
            },
        }
    ]


def test_a_manifest_reads_back_as_what_it_was_made_of() -> None:
    assert KIND.manifest(KIND.read(manifest())) == manifest()


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another kind": lambda made: made.update(kind="SandboxAgent"),
    "another version": lambda made: made.update(apiVersion="kagent.dev/v1alpha1"),
    "a status": lambda made: made.update(status={}),
    "an owner": lambda made: made["metadata"].update(ownerReferences=[{"name": "x"}]),
    "a foreign annotation": lambda made: made["metadata"]["annotations"].update({"eks.amazonaws.com/role-arn": "x"}),
    "another label": lambda made: made["metadata"]["labels"].update({"agentspawn.dev/proposal": "sub-b"}),
    "no virtual user": lambda made: made["metadata"]["annotations"].update({"agentspawn.dev/root": "system:masters"}),
    "no lifetime": lambda made: made["metadata"]["annotations"].pop("agentspawn.dev/lifetime"),
    "a lifetime that is no number": lambda made: made["metadata"]["annotations"].update(
        {"agentspawn.dev/lifetime": "long"}
    ),
    "an image": lambda made: made["spec"].update(byo={"deployment": {"image": "evil"}}),
    "a service account": lambda made: declarative(made).update(deployment={"serviceAccountName": "admin"}),
    "code execution": lambda made: declarative(made).update(executeCodeBlocks=True),
    "a message from a Secret": lambda made: declarative(made).update(systemMessageFrom={"type": "Secret"}),
    "another runtime": lambda made: declarative(made).update(runtime="python"),
    "headers from a Secret": lambda made: declarative(made)["tools"][0].update(headersFrom=[{"name": "x"}]),
    "another namespace's server": lambda made: declarative(made)["tools"][0]["mcpServer"].update(namespace="kagent"),
    "an agent as a tool": lambda made: declarative(made)["tools"].append(
        {"type": "Agent", "agent": {"name": "k8s-agent"}}
    ),
    "no names, which are all names": lambda made: declarative(made)["tools"][0]["mcpServer"].pop("toolNames"),
    "tools that are no list": lambda made: declarative(made).update(tools=None),
    "a summarizer": lambda made: declarative(made)["context"]["compaction"].update(summarizer={"modelConfig": "x"}),
    "no spec": lambda made: made.pop("spec"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_manifest_that_this_builder_would_not_make_is_unreadable(change: Callable[[dict[str, Any]], object]) -> None:
    made = manifest()
    change(made)

    with pytest.raises(Refused) as refused:
        KIND.read(made)
    assert refused.value.code == "manifest.unreadable"


def of_image() -> dict[str, Any]:
    known = image_template()
    request = resolve(CALLER, ask(), known, image_entry()).request
    return deepcopy(KIND.manifest(render("sub-registry-image-x", CALLER, request, known, "sha256:r")))


def test_an_image_stands_alone_and_reads_back() -> None:
    made = of_image()

    assert made["spec"] == {
        "type": "BYO",
        "description": "An image from a registry",
        "byo": {"deployment": {"image": SOME_IMAGE}},
    }
    assert made["metadata"]["annotations"]["agentspawn.dev/registry-entry"] == str(image_entry().handle)
    assert KIND.manifest(KIND.read(made)) == made


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec["byo"]["deployment"].update(cmd="sh"),
        lambda spec: spec["byo"]["deployment"].update(env=[]),
        lambda spec: spec["byo"].update(other={}),
        lambda spec: spec.update(declarative={}),
        lambda spec: spec["byo"].pop("deployment"),
    ],
)
def test_an_image_with_anything_beside_it_is_no_subagents_manifest(change: Callable[[dict[str, Any]], Any]) -> None:
    made = of_image()
    change(made["spec"])

    with pytest.raises(Refused):
        KIND.read(made)
