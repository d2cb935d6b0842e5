import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio.config import incluster_config

from mcp_agentspawn.adapters.kubernetes import credentials as module
from mcp_agentspawn.adapters.kubernetes.credentials import load_credentials
from mcp_agentspawn.core.errors import ConfigError, Unavailable
from mcp_agentspawn.localplane.certificates import issue


def kubeconfig(folder: Path, user: Mapping[str, Any], **cluster: Any) -> Path:
    file = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:6443", **cluster}}],
        "users": [{"name": "me", "user": dict(user)}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every credential counts as old."""
    monkeypatch.setattr(module, "REREAD_SECONDS", -1.0)


async def test_a_token_of_a_kubeconfig_is_the_identity(tmp_path: Path) -> None:
    found = await load_credentials(kubeconfig(tmp_path, {"token": "abc"}, **{"tls-server-name": "api"}))

    assert await found.authorization() == "Bearer abc"
    assert (found.url, found.server_hostname) == ("https://127.0.0.1:6443", "api")


@pytest.mark.usefixtures("later")
async def test_a_token_file_that_rotates_is_read_again(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    found = await load_credentials(kubeconfig(tmp_path, {"tokenFile": str(token)}))

    assert await found.authorization() == "Bearer first"
    token.write_text("second")
    assert await found.authorization() == "Bearer second"


@pytest.mark.usefixtures("later")
async def test_a_token_file_that_is_gone_means_that_nothing_is_sent(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    found = await load_credentials(kubeconfig(tmp_path, {"tokenFile": str(token)}))
    token.unlink()

    with pytest.raises(Unavailable) as error:
        await found.authorization()

    assert error.value.__cause__ is None


async def test_a_token_that_is_none_is_not_sent(tmp_path: Path) -> None:
    found = await load_credentials(kubeconfig(tmp_path, {"token": "a\r\nImpersonate-User: admin"}))

    with pytest.raises(Unavailable):
        await found.authorization()


async def test_a_client_certificate_is_an_identity_without_a_header(tmp_path: Path) -> None:
    certificates = issue(tmp_path)
    pair = {"client-certificate": str(certificates.admin.certificate), "client-key": str(certificates.admin.key)}

    found = await load_credentials(kubeconfig(tmp_path, pair, **{"certificate-authority": str(certificates.authority)}))

    assert await found.authorization() is None
    assert found.ssl_context.verify_mode is ssl.CERT_REQUIRED
    assert found.ssl_context.check_hostname


async def test_verification_is_off_only_when_the_kubeconfig_says_so(tmp_path: Path) -> None:
    found = await load_credentials(kubeconfig(tmp_path, {"token": "abc"}, **{"insecure-skip-tls-verify": True}))

    assert found.ssl_context.verify_mode is ssl.CERT_NONE


async def test_a_credential_is_not_sent_in_plain_text_to_another_machine(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        await load_credentials(kubeconfig(tmp_path, {"token": "abc"}, server="http://10.0.0.1:8080"))


async def test_the_kubeconfig_of_the_environment_is_used_when_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv(
        "KUBECONFIG", os.pathsep.join([str(tmp_path / "none"), str(kubeconfig(tmp_path, {"token": "x"}))])
    )

    assert await (await load_credentials()).authorization() == "Bearer x"


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        await load_credentials(tmp_path / "none")

    assert str(tmp_path / "none") in error.value.problems[0]


@pytest.mark.parametrize("content", ["", "[]", "{", "users: [{name: me, user: {token: secret}}]", "current-context: x"])
async def test_a_broken_kubeconfig_is_a_config_error_that_tells_no_secret(tmp_path: Path, content: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(content)

    with pytest.raises(ConfigError) as error:
        await load_credentials(file)

    assert str(file) in error.value.problems[0]
    assert "secret" not in str(error.value)
    assert error.value.__suppress_context__


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a pod's service account."""
    certificates = issue(tmp_path)
    (tmp_path / "token").write_text("pods-token\n")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(certificates.authority))
    return tmp_path


async def test_in_a_pod_its_own_service_account_is_used(pod: Path) -> None:
    found = await load_credentials()

    assert found.url == "https://[fd00::1]:443"
    assert (await found.authorization() or "").lower() == "bearer pods-token"


async def test_a_pod_without_a_token_can_not_start(pod: Path) -> None:
    (pod / "token").unlink()

    with pytest.raises(ConfigError):
        await load_credentials()
