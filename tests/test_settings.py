"""What an operator can set, and what is said about it when it is wrong."""

import socket
from pathlib import Path
from typing import Any

import pytest

from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.settings import Settings, load, root_of


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that has what the defaults name."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "templates").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(options: dict[str, Any] | None = None, **variables: str) -> Settings:
    return load({f"AGENTSPAWN_{name.upper()}": value for name, value in variables.items()}, options)


def problems(**variables: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        loaded(None, **variables)
    return list(refused.value.problems)


def test_the_defaults_reach_nobody_but_this_machine() -> None:
    settings = loaded()

    assert (settings.host, settings.port, settings.roots) == ("127.0.0.1", 8000, ())
    assert settings.legacy_tokens == settings.allowed_origins == ()
    assert (settings.audit_file, settings.kubeconfig, settings.writer) == (None, None, socket.gethostname())
    assert (settings.log_level, settings.registries) == ("info", None)


def test_roots_are_separated_by_spaces_or_commas_and_may_name_a_home() -> None:
    settings = loaded(roots="agents/orchestrator, agents/other@team-b  ops/bot.v2")

    assert settings.roots == (
        Root("agents", "orchestrator", "subagents"),
        Root("agents", "other", "team-b"),
        Root("ops", "bot.v2", "subagents"),
    )


def test_every_roots_secret_tokens_are_accepted_unless_somebody_says_otherwise() -> None:
    roots = "agents/orchestrator agents/other"

    assert loaded(roots=roots).legacy_tokens == ("agents/orchestrator", "agents/other")
    assert loaded(roots=roots, legacy_tokens="agents/other").legacy_tokens == ("agents/other",)
    assert loaded(roots=roots, legacy_tokens="").legacy_tokens == ()


def test_an_option_wins_over_the_environment_and_none_is_no_option() -> None:
    settings = loaded({"port": 9000, "host": None}, port="7000", host="0.0.0.0")  # noqa: S104 - an example

    assert (settings.port, settings.host) == (9000, "0.0.0.0")  # noqa: S104 - the same


@pytest.mark.parametrize(
    "url",
    ["http://{name}.{namespace}:8080/", "https://kagent-controller.kagent:8083/api/a2a/{namespace}/{name}/"],
)
def test_subagents_are_talked_to_at_their_service_or_through_the_controller(url: str) -> None:
    assert loaded().a2a_url == "http://{name}.{namespace}:8080/"
    assert (loaded(a2a_url=url).a2a_url, loaded().a2a_wire, loaded(a2a_wire="1.0").a2a_wire) == (url, "auto", "1.0")


def test_own_host_names_are_always_accepted_and_more_can_be_named() -> None:
    settings = loaded(allowed_hosts="spawn.example.com:*", public_url="https://public.example.com:8443/mcp")

    assert {
        "127.0.0.1:*",
        "localhost:*",
        "agentspawn.agentspawn-system:*",
        "agentspawn.agentspawn-system.svc.cluster.local",
        "public.example.com:8443",
        "spawn.example.com:*",
    } <= set(settings.allowed_hosts)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "0x50"),
        ("port", "70000"),
        ("port", "-1"),
        ("host", "a b"),
        ("roots", "orchestrator"),
        ("roots", "agents/orchestrator/x"),
        ("roots", "Agents/orchestrator"),
        ("roots", "agents/a agents/a@b"),
        ("roots", "team-b/planner@team-b"),
        ("roots", "agents/a@kube-system"),
        ("roots", "agents/a@agentspawn-system"),
        ("roots", "agents/system:admin"),
        ("policies", "nowhere"),
        ("templates", ""),
        ("audit_file", "nowhere/audit.jsonl"),
        ("writer", "a/b"),
        ("writer", ""),
        ("legacy_tokens", "agents"),
        ("allowed_hosts", "http://a"),
        ("allowed_origins", "a.example.com"),
        ("allowed_origins", "https://a.example.com/path"),
        ("public_url", "ftp://a"),
        ("public_url", "https://a/mcp?x=1"),
        ("token_issuer", "kubernetes"),
        ("a2a_url", ""),
        ("a2a_url", "http://{name}:8080/"),
        ("a2a_url", "http://{name}.{namespace}.{zone}/"),
        ("a2a_url", "http://{name}.{namespace}.{name}/"),
        ("a2a_url", "http://{name}.{namespace}/}"),
        ("a2a_url", "{namespace}/{name}"),
        ("a2a_url", "http://{name}.{namespace}/?to=x"),
        ("a2a_wire", "2.0"),
        ("log_level", "loud"),
        ("drain_seconds", "soon"),
        ("drain_seconds", "-1"),
        ("kubeconfig", "nowhere"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable(name: str, value: str) -> None:
    (problem,) = problems(**{name: value})

    assert problem.startswith(f"AGENTSPAWN_{name.upper()}: ")


@pytest.mark.parametrize("home", ["agents", "kube-system", "agentspawn-system"])
def test_a_home_that_can_not_be_one_is_named_and_not_the_way_it_was_written(home: str) -> None:
    with pytest.raises(ValueError, match=f"live in {home}"):
        root_of(f"agents/orchestrator@{home}")


def test_all_problems_are_listed_at_once() -> None:
    assert len(problems(port="x", roots="y", log_level="z", policies="w")) == 4


def test_a_name_that_nobody_reads_is_a_mistyped_one() -> None:
    assert problems(legacy_token="agents/a") == ["AGENTSPAWN_LEGACY_TOKEN: there is no such setting"]


def test_what_kubernetes_says_about_a_service_of_the_same_name_is_no_setting() -> None:
    settings = loaded(
        port="tcp://10.0.0.7:8000",
        service_host="10.0.0.7",
        service_port_http="8000",
        port_8000_tcp_addr="10.0.0.7",
    )

    assert settings.port == 8000
