# ruff: noqa: INP001 - a script, no package
"""Makes dev/kagent-crds from kagent's own CRDs: the same schemas without descriptions and without most of the pod spec.

Usage: python dev/reduce_crds.py FOLDER, where FOLDER has kagent's `kagent.dev_<plural>.yaml`.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

TARGET = Path(__file__).parent / "kagent-crds"
VERSIONS = {"agents": ("v1alpha1", "v1alpha2"), "modelconfigs": ("v1alpha2",), "remotemcpservers": ("v1alpha2",)}
Schema = dict[str, Any]

# What is kept of an object that is too large to keep whole, by its property's name. Each is a field that a subagent
# must never have: enough of it stays to write the attack down.
POD_SPEC: Mapping[str, tuple[str, ...]] = {
    "affinity": ("nodeAffinity",),
    "nodeAffinity": ("preferredDuringSchedulingIgnoredDuringExecution",),
    "env": ("name", "value", "valueFrom"),
    "valueFrom": ("secretKeyRef", "configMapKeyRef", "type", "name", "key"),
    "envFrom": ("prefix", "secretRef", "configMapRef"),
    "extraContainers": ("name", "image", "command", "args", "env", "volumeMounts", "securityContext"),
    "securityContext": ("allowPrivilegeEscalation", "capabilities", "privileged", "runAsNonRoot", "runAsUser"),
    "podSecurityContext": ("fsGroup", "runAsNonRoot", "runAsUser"),
    "resources": ("limits", "requests"),
    "volumes": ("name", "hostPath", "secret", "projected"),
    "projected": ("sources",),
    "sources": ("serviceAccountToken", "secret"),
}
# The older version is there because the API server serves it, and writing through it must be refused.
OLDER_SPEC = ("description", "modelConfig", "systemMessage")


def reduce_crd(crd: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a CRD's names, the versions we meet, and of their schemas what is written, read or dangerous."""
    spec = crd["spec"]
    plural = spec["names"]["plural"]
    kept = [version for version in spec["versions"] if version["name"] in VERSIONS[plural]]
    return {
        "apiVersion": crd["apiVersion"],
        "kind": crd["kind"],
        "metadata": {"name": crd["metadata"]["name"]},
        "spec": {**spec, "versions": [_version(version) for version in kept]},
    }


def _version(version: Mapping[str, Any]) -> dict[str, Any]:
    schema = _schema(version["schema"]["openAPIV3Schema"], "")
    if version["name"] == "v1alpha1":
        spec = schema["properties"]["spec"]
        spec["properties"] = {key: spec["properties"][key] for key in OLDER_SPEC}
        schema["properties"].pop("status", None)
    columns = [
        {k: v for k, v in column.items() if k != "description"} for column in version["additionalPrinterColumns"]
    ]
    if version["name"] == "v1alpha1":
        columns = [column for column in columns if column["jsonPath"].startswith(".spec")]
    return {**version, "additionalPrinterColumns": columns, "schema": {"openAPIV3Schema": schema}}


def _schema(schema: Mapping[str, Any], name: str) -> Schema:
    reduced = {key: value for key, value in schema.items() if key != "description"}
    if "properties" in reduced:
        keys = [key for key in reduced["properties"] if key in POD_SPEC.get(name, reduced["properties"])]
        reduced["properties"] = {key: _schema(reduced["properties"][key], key) for key in keys}
    for key in ("items", "additionalProperties"):
        if isinstance(reduced.get(key), Mapping):
            reduced[key] = _schema(reduced[key], name)
    return reduced


def main(source: Path) -> None:
    """Write one file for each kind."""
    for plural in VERSIONS:
        crd = yaml.safe_load((source / f"kagent.dev_{plural}.yaml").read_text(encoding="utf-8"))
        text = yaml.safe_dump(reduce_crd(crd), sort_keys=False, width=120)
        (TARGET / f"{plural}.yaml").write_text(f"{_header(plural)}---\n{text}", encoding="utf-8")


def _header(plural: str) -> str:
    return (
        f"# kagent's {plural}.kagent.dev (0.10), reduced by dev/reduce_crds.py for the control plane on this machine.\n"
        "# Not for a real cluster: there kagent brings its own.\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
