import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_agentspawn.adapters.files import examine
from mcp_agentspawn.adapters.files.strict_yaml import read_yaml
from mcp_agentspawn.adapters.registry.endpoint import Endpoint
from mcp_agentspawn.adapters.registry.source import Source, endpoints
from mcp_agentspawn.core.errors import ConfigError

SAMPLE = Path(__file__).parents[3] / "docs" / "registries" / "main.yaml"
LEAST = "url: https://registry.example\n"
WHOLE = """\
url: http://registry.example:8080/base
private_addresses: true
credential_file: /etc/registry/token
ca_file: /etc/registry/ca.crt
timeout: 5s
refresh: 1m
most_bytes: 1048576
most_entries: 500
"""
BAD = {
    "nothing": ("timeout: 5s\n", 1, "url"),
    "no url": ("url: registry\n", 1, "url"),
    "no host": ("url: https://\n", 1, "url"),
    "no port": ("url: https://registry.example:port\n", 1, "url"),
    "port zero": ("url: https://registry.example:0\n", 1, "url"),
    "half an address": ('url: "https://["\n', 1, "url"),
    "a dot too many": ("url: https://registry..example\n", 1, "url"),
    "a dot at the beginning": ("url: https://.example\n", 1, "url"),
    "a long word": (f"url: https://{'a' * 64}.example\n", 1, "url"),
    "a long name": (f"url: https://{'a.' * 126}example\n", 1, "url"),
    "a backslash": ("url: https://registry\\example\n", 1, "url"),
    "an escaped letter": ("url: https://registr%79.example\n", 1, "url"),
    "another scheme": ("url: file:///etc/passwd\n", 1, "url"),
    "a space": ('url: "https://registry.example/a b"\n', 1, "url"),
    "an umlaut": ("url: https://register.bücher.example\n", 1, "url"),
    "a user": ("url: https://user:password@registry.example\n", 1, "url"),
    "an empty user": ('url: "https://@registry.example"\n', 1, "url"),
    "a query": ("url: https://registry.example?token=x\n", 1, "url"),
    "an empty query": ('url: "https://registry.example?"\n', 1, "url"),
    "a fragment": ('url: "https://registry.example#top"\n', 1, "url"),
    "http in the open": ("url: http://registry.example\n", 1, "url"),
    "http to a public address": ("private_addresses: true\nurl: http://93.184.216.34\n", 2, "url"),
    "a private address": ("url: https://10.0.0.1\n", 1, "url"),
    "metadata": ("private_addresses: true\nurl: http://169.254.169.254\n", 2, "url"),
    "the path of a listing": ("url: https://registry.example/v0/agents\n", 1, "url"),
    "the path of a version": ("url: https://registry.example/base/v0\n", 1, "url"),
    "a relative file": (f"{LEAST}credential_file: token\n", 2, "credential_file"),
    "an empty file": (f'{LEAST}ca_file: ""\n', 2, "ca_file"),
    "a credential": (f"{LEAST}credential: secret\n", 2, "credential"),
    "no time at all": (f"{LEAST}timeout: 0s\n", 2, "timeout"),
    "too patient": (f"{LEAST}timeout: 2m\n", 2, "timeout"),
    "too often": (f"{LEAST}refresh: 5s\n", 2, "refresh"),
    "too seldom": (f"{LEAST}refresh: 2d\n", 2, "refresh"),
    "no bytes": (f"{LEAST}most_bytes: 0\n", 2, "most_bytes"),
    "no entries": (f"{LEAST}most_entries: 0\n", 2, "most_entries"),
    "a word for truth": (f'{LEAST}private_addresses: "true"\n', 2, "private_addresses"),
}


def source(folder: Path, text: str, name: str = "acme") -> Source:
    (folder / f"{name}.yaml").write_text(text)
    read = examine(folder, Source)
    assert read.problems == []
    return read.values[name]


def test_a_url_is_enough(tmp_path: Path) -> None:
    assert source(tmp_path, LEAST).endpoint("acme") == Endpoint("acme", "https://registry.example")


def test_an_endpoint_is_what_the_file_says_and_survives_json(tmp_path: Path) -> None:
    endpoint = source(tmp_path, WHOLE).endpoint("acme")

    assert endpoint == Endpoint(
        "acme",
        "http://registry.example:8080/base",
        "/etc/registry/token",
        "/etc/registry/ca.crt",
        private_addresses=True,
        timeout=5.0,
        refresh=60.0,
        most_bytes=1048576,
        most_entries=500,
    )
    assert Endpoint.read(json.loads(json.dumps(endpoint.document()))) == endpoint


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://[::1]", "https://10.1.2.3", "http://agentregistry.registry.svc:12121/"]
)
def test_a_private_network_is_read_where_that_is_allowed(tmp_path: Path, url: str) -> None:
    assert source(tmp_path, f'url: "{url}"\nprivate_addresses: true\n').url == url


@pytest.mark.parametrize(
    "host",
    ["registry", "REGISTRY.example.", "agent_registry", f"{'a' * 63}.example", "xn--bcher-kva.example", "1.1.1.1"],
)
def test_every_name_of_a_host_can_stand_there(tmp_path: Path, host: str) -> None:
    assert source(tmp_path, f"url: https://{host}:8443\n")


@pytest.mark.parametrize(("text", "line", "key"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, line: int, key: str) -> None:
    (tmp_path / "acme.yaml").write_text(text)
    problems = examine(tmp_path, Source).problems

    assert [(problem.line, problem.key) for problem in problems] == [(line, key)]
    assert "password" not in str(problems[0])


@pytest.mark.parametrize("name", ["template", "acme-"])
def test_a_name_that_no_handle_could_hold_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.yaml").write_text(LEAST)

    assert [problem.key for problem in examine(tmp_path, Source).problems] == ["document"]


def test_an_empty_folder_names_no_registry(tmp_path: Path) -> None:
    """A ConfigMap that is optional and not there is mounted as one."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "README.md").write_text("Nothing yet")

    assert endpoints(tmp_path) == endpoints(None) == {}


def test_a_folder_that_is_not_there_or_holds_a_bad_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text("timeout: 5s\n")

    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError):
            endpoints(folder)


@pytest.mark.parametrize("module", ["read_worker", "index_worker"])
def test_a_helper_needs_little(module: str) -> None:
    """Helpers are started anew for each reading and each index."""
    heavy = ("pydantic", "jsonschema", "kubernetes", "mcp", "yaml")
    script = f"import sys, mcp_agentspawn.adapters.registry.{module}; print([m for m in {heavy} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert said.stdout == "[]\n"


def test_the_sample_sets_the_address_alone_and_shows_every_other_key() -> None:
    text = SAMPLE.read_text()
    shown = set(re.findall(r"^#? ?([a-z_]+): ", text, re.MULTILINE))
    (source,) = examine(SAMPLE.parent, Source).values.values()

    assert source == Source(url="https://registry.example")
    assert shown == set(Source.model_fields)


def test_what_the_sample_shows_as_a_default_is_one() -> None:
    lines = re.sub(
        r"^# (private_addresses: false|[tr][a-z]+: [0-9]|most_[a-z]+: )", r"\1", SAMPLE.read_text(), flags=re.MULTILINE
    )
    written = Source.model_validate(read_yaml(lines).value)

    assert len(written.model_fields_set) == 6
    assert written == Source(url="https://registry.example")
