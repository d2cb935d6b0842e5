from copy import deepcopy
from typing import Any

import pytest

from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.guards.access import ClusterAccess
from tests.guards.cases import FixedFacts, codes, fields, rendered


def stored(**metadata: Any) -> dict[str, Any]:
    manifest = deepcopy(dict(rendered().manifest))
    return manifest | {"metadata": manifest["metadata"] | metadata}


async def test_what_would_be_stored_as_rendered_is_allowed() -> None:
    assert codes(await ClusterAccess().check(rendered(), FixedFacts(stored=stored()))) == []


async def test_the_clusters_refusal_is_passed_on_with_its_code() -> None:
    facts = FixedFacts(refusal=Refused("forbidden.rbac", "may not create agents"))

    assert codes(await ClusterAccess().check(rendered(), facts)) == ["access.forbidden.rbac"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ownerReferences": [{"name": "x"}]}, "metadata.ownerReferences"),
        ({"finalizers": ["x"]}, "metadata.finalizers"),
        ({"labels": {}}, "metadata.labels.agentspawn.dev/proposal"),
    ],
)
async def test_what_the_cluster_would_store_differently_is_refused(change: dict[str, Any], field: str) -> None:
    verdict = await ClusterAccess().check(rendered(), FixedFacts(stored=stored(**change)))

    assert set(codes(verdict)) == {"access.changed"}
    assert fields(verdict)[0] == field


async def test_a_default_that_was_not_written_is_seen() -> None:
    changed = stored()
    changed["spec"]["declarative"]["deployment"] = {"replicas": 1}
    changed["spec"]["declarative"]["runtime"] = "python"
    verdict = await ClusterAccess().check(rendered(), FixedFacts(stored=changed))

    assert fields(verdict) == ["spec.declarative.deployment", "spec.declarative.runtime"]


def test_the_create_itself_is_the_verdict_at_apply() -> None:
    assert ClusterAccess.steps == {"propose"}
