"""Whom the API server turns away is told which role is needed, or which server that was."""

from pathlib import Path

import pytest
import yaml

from mcp_agentspawn.core.errors import AgentSpawnError, Refused, Unavailable
from tests.cli.office import Office, office

SERVER = "https://10.0.0.7:6443"


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(variable, raising=False)


def kubeconfig(folder: Path, server: str = SERVER) -> Path:
    file = folder / "kubeconfig"
    content = {
        "current-context": "here",
        "contexts": [{"name": "other"}, {"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
    }
    file.write_text(yaml.safe_dump(content))
    return file


def ended(error: AgentSpawnError, *options: str | Path) -> tuple[int, str]:
    result = Office(office().bench, failing=error).run("proposals", *options)
    return result.exit_code, result.stderr


def said(error: AgentSpawnError, *options: str | Path) -> str:
    return ended(error, *options)[1]


@pytest.mark.parametrize(
    ("right", "role"),
    [
        ('create resource "subagentapprovals" in API group', "agentspawn-approver,"),
        ('approve resource "subagentproposals" in API group', "agentspawn-approver,"),
        ('update resource "spawnfreezes" in API group', "agentspawn-operator,"),
        ('delete resource "agents" in API group', "agentspawn-operator,"),
        ('get resource "serviceaccounts" in API group', "agentspawn-operator,"),
        ('list resource "subagentproposals" in API group', "agentspawn-viewer, -approver or -operator,"),
    ],
)
def test_the_role_that_is_missing_is_named(right: str, role: str) -> None:
    refused = Refused("forbidden.rbac", f'x is forbidden: User "bob" cannot {right} "agentspawn.dev"')
    unread = Unavailable("The switches can not be read.")
    unread.__cause__ = refused

    for error in (refused, unread):
        code, told = ended(error)
        assert (code, f"the role {role} deploy/22-people-rbac.yaml" in told) == (1, True)


@pytest.mark.parametrize(
    ("error", "code"), [(Unavailable("No answer"), 3), (Refused("forbidden.credential", "Unauthorized"), 1)]
)
def test_without_an_answer_or_with_a_bad_credential_the_server_and_its_source_are_named(
    error: AgentSpawnError, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = kubeconfig(tmp_path, "https://me:secret@10.0.0.7:6443")

    exit_code, named = ended(error, "--kubeconfig", file)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{file}")
    by_variable = said(error)

    assert exit_code == code
    assert (f"API server {SERVER}, by {file}, --kubeconfig" in named, "secret" in named) == (True, False)
    assert f"API server {SERVER}, by {tmp_path / 'none'}:{file}, KUBECONFIG" in by_variable


def test_a_pod_and_an_unreadable_file_are_said_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.write_text("[")

    assert "API server unknown, by ~/.kube/config" in said(Unavailable("No answer"))
    assert "API server unknown" in said(Unavailable("No answer"), "--kubeconfig", broken)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert "API server 10.96.0.1, by this pod's service account" in said(Unavailable("No answer"))


def test_a_refusal_by_a_policy_is_left_as_it_is() -> None:
    assert said(Refused("forbidden.policy", "not yours")) == "forbidden.policy: not yours\n"
