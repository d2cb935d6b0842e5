"""What helps somebody whom the API server turned away: which role is needed, or which server that was."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from mcp_agentspawn.core.errors import Refused

USUAL = "~/.kube/config"
RIGHT = re.compile(r'cannot (\w+) resource "([a-z]+)')
OURS_TO_READ = frozenset({"subagentproposals", "subagentapprovals", "spawnledgers", "spawnfreezes", "spawnresets"})
DECIDING = frozenset({"subagentproposals", "subagentapprovals", "subagenttasks", "subagenttaskanswers"})
LOOKING = frozenset({"get", "list", "watch"})


def advice(refused: Refused, kubeconfig: Path | None) -> str:
    """What to say after a refusal; `""` when there is nothing that helps."""
    if refused.code == "forbidden.rbac":
        return _role(refused.message)
    return whereabouts(kubeconfig) if refused.code == "forbidden.credential" else ""


def whereabouts(kubeconfig: Path | None) -> str:
    """Which API server is asked, as far as that can be read, and where its address comes from; no credential."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    if kubeconfig is None and host:
        return f" (API server {host}, by this pod's service account)"
    variable = os.environ.get("KUBECONFIG")
    source = "--kubeconfig" if kubeconfig else "KUBECONFIG" if variable else "the usual one"
    paths = str(kubeconfig or variable or USUAL)
    address = _address(paths)
    return f" (API server {address or 'unknown'}, by {paths}, {source})"


def _role(message: str) -> str:
    """Which role of deploy/ gives the right that this message says is missing."""
    right = RIGHT.search(message)
    verb, resource = (right[1], right[2]) if right else ("", "")
    if verb in LOOKING and resource in OURS_TO_READ:
        role = "agentspawn-viewer, -approver or -operator"
    else:
        role = "agentspawn-approver" if resource in DECIDING else "agentspawn-operator"
    return f" (needed: the role {role}, deploy/22-people-rbac.yaml)"


def _address(paths: str) -> str:
    """The server of the current context; KUBECONFIG may name several files, of which the first that says it counts."""
    files = list(_files(paths))
    context = next((file["current-context"] for file in files if file.get("current-context")), None)
    cluster = _named(files, "contexts", "context", context).get("cluster")
    server = urlsplit(str(_named(files, "clusters", "cluster", cluster).get("server", "")))
    return f"{server.scheme}://{server.netloc.rpartition('@')[2]}{server.path}" if server.netloc else ""


def _files(paths: str) -> Iterator[Mapping[str, Any]]:
    for path in filter(None, paths.split(os.pathsep)):
        try:
            read = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if isinstance(read, Mapping):
            yield read


def _named(files: list[Mapping[str, Any]], many: str, one: str, name: object) -> Mapping[str, Any]:
    entries = [entry for file in files for entry in file.get(many) or () if isinstance(entry, Mapping)]
    found = next((entry.get(one) for entry in entries if entry.get("name") == name), None)
    return found if isinstance(found, Mapping) else {}
