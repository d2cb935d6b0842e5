"""The kinds in dev/kagent-crds are kagent's own, only smaller: what is there means the same."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from tests.deploy.attacks import FIELDS, SINCE_0_10
from tests.deploy.world import REDUCED, kagent_kinds, manifests_of

REAL = "0.10.0-rc3"
KINDS = ("agents", "modelconfigs", "remotemcpservers")
CHILDREN = ("properties", "items", "additionalProperties")
Schema = Mapping[str, Any]


@cache
def _crd(plural: str, *, reduced: bool) -> Schema:
    file = REDUCED / f"{plural}.yaml" if reduced else kagent_kinds(REAL) / f"kagent.dev_{plural}.yaml"
    (definition,) = manifests_of(file)
    return definition


def _schemas(plural: str, *, reduced: bool) -> dict[str, Schema]:
    versions = _crd(plural, reduced=reduced)["spec"]["versions"]
    return {version["name"]: version["schema"]["openAPIV3Schema"] for version in versions}


def _pairs(path: str, reduced: Schema, real: Schema) -> Iterator[tuple[str, Schema, Schema]]:
    """Every node of the reduced schema, beside the one that it was made from."""
    yield path, reduced, real
    for name, child in reduced.get("properties", {}).items():
        yield from _pairs(f"{path}.{name}", child, real["properties"][name])
    for key in ("items", "additionalProperties"):
        if isinstance(reduced.get(key), Mapping):
            yield from _pairs(f"{path}[]", reduced[key], real[key])


def _meaning(node: Schema) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in {*CHILDREN, "description"}}


@pytest.mark.parametrize("plural", KINDS)
def test_every_field_means_what_it_means_to_kagent(plural: str) -> None:
    real = _schemas(plural, reduced=False)
    pairs = [
        pair
        for version, schema in _schemas(plural, reduced=True).items()
        for pair in _pairs(version, schema, real[version])
    ]

    differing = {
        path: (_meaning(one), _meaning(other)) for path, one, other in pairs if _meaning(one) != _meaning(other)
    }

    assert differing == {}
    assert len(pairs) > 20


@pytest.mark.parametrize("plural", KINDS)
def test_the_same_versions_are_served_and_stored(plural: str) -> None:
    def facts(*, reduced: bool) -> dict[str, Any]:
        versions = _crd(plural, reduced=reduced)["spec"]["versions"]
        return {item["name"]: (item["served"], item["storage"], item["subresources"]) for item in versions}

    reduced, real = facts(reduced=True), facts(reduced=False)

    assert reduced == {version: real[version] for version in reduced}
    assert "v1alpha2" in reduced
    assert _crd(plural, reduced=True)["spec"]["names"] == _crd(plural, reduced=False)["spec"]["names"]


@pytest.mark.parametrize("attack", FIELDS | SINCE_0_10)
def test_every_field_of_an_attack_is_in_the_reduced_kind(attack: str) -> None:
    """A field that a CRD does not know is pruned before admission: the policies would be tested on nothing."""
    schema = _schemas("agents", reduced=True)["v1alpha2"]

    for path, value in (FIELDS | SINCE_0_10)[attack].items():
        if path.startswith("spec."):
            assert _unknown(schema, path.split("."), value) == []


def _unknown(schema: Schema, path: list[str], value: Any) -> list[str]:
    """What a value at a path holds that the schema does not list."""
    if path:
        return _unknown(schema["properties"][path[0]], path[1:], value) if path[0] in schema["properties"] else path
    if isinstance(value, list):
        return [name for item in value for name in _unknown(schema["items"], [], item)]
    if isinstance(value, dict) and "properties" in schema:
        return [name for key, item in value.items() for name in _unknown(schema, [key], item)]
    return []
