import os
import stat
from collections.abc import Mapping
from typing import Any

import psutil
import pytest
import yaml

from mcp_agentspawn.localplane import Connection, ControlPlane
from tests.localplane.waiting import until

TOKENS = "/api/v1/namespaces/default/serviceaccounts/default/token"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


async def get(connection: Connection, path: str) -> Any:
    async with connection.session() as session, session.get(path) as response:
        return await response.json()


async def post(connection: Connection, path: str, body: Mapping[str, Any]) -> Any:
    async with connection.session() as session, session.post(path, json=body) as response:
        return await response.json()


async def test_the_api_server_names_a_version_that_clients_can_parse(control_plane: ControlPlane) -> None:
    assert (await get(control_plane.admin, "/version"))["gitVersion"] == "v1.36.3"


def test_every_port_is_on_loopback(control_plane: ControlPlane) -> None:
    processes = [psutil.Process(process_id) for process_id in control_plane.process_ids.values()]
    listening = [
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_the_terminal_s_ctrl_c_reaches_no_component(control_plane: ControlPlane) -> None:
    groups = {os.getpgid(process_id) for process_id in control_plane.process_ids.values()}
    assert len(control_plane.process_ids) == 3
    assert len(groups) == 1
    assert os.getpgrp() not in groups


def test_nobody_else_can_read_the_keys_and_tokens(control_plane: ControlPlane) -> None:
    control_plane.kubeconfig_for("alice", control_plane.token_of("alice"))
    secret = [
        file for pattern in ("*.key", "*.kubeconfig", "tokens.csv") for file in control_plane.folder.glob(pattern)
    ]
    assert len(secret) >= 8
    assert {stat.S_IMODE(file.stat().st_mode) for file in secret} == {0o600}
    assert stat.S_IMODE(control_plane.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("user", ["alice", "admin"])
async def test_a_user_is_known_by_token(control_plane: ControlPlane, user: str) -> None:
    answer = await post(control_plane.connection(control_plane.token_of(user)), WHO_AM_I, {})
    assert answer["status"]["userInfo"]["username"] == user
    assert ("system:masters" in answer["status"]["userInfo"]["groups"]) == (user == "admin")


@pytest.mark.parametrize("token", [None, "a-guess"])
async def test_a_stranger_is_refused(control_plane: ControlPlane, token: str | None) -> None:
    stranger = Connection(control_plane.url, control_plane.certificate_authority, token=token)
    assert (await post(stranger, WHO_AM_I, {}))["code"] == 401


def test_a_user_that_was_not_asked_for_has_no_token(control_plane: ControlPlane) -> None:
    with pytest.raises(KeyError):
        control_plane.token_of("mallory")


def test_a_kubeconfig_carries_the_token_and_the_namespace(control_plane: ControlPlane) -> None:
    content = yaml.safe_load(control_plane.kubeconfig_for("bob", "a-token", "team").read_text())
    assert content["users"] == [{"name": "bob", "user": {"token": "a-token"}}]
    assert content["contexts"][0]["context"]["namespace"] == "team"
    assert content["clusters"][0]["cluster"]["server"] == control_plane.url


async def test_a_token_is_valid_for_its_own_audience_only(control_plane: ControlPlane) -> None:
    request = {"spec": {"audiences": ["agentspawn"]}}
    token = (await post(control_plane.admin, TOKENS, request))["status"]["token"]
    reviews = {
        audience: await post(control_plane.admin, REVIEWS, {"spec": {"token": token, "audiences": [audience]}})
        for audience in ("agentspawn", "https://kubernetes.default.svc")
    }
    valid = {audience: review["status"].get("authenticated", False) for audience, review in reviews.items()}
    assert valid == {"agentspawn": True, "https://kubernetes.default.svc": False}


async def test_the_built_in_roles_are_filled(control_plane: ControlPlane) -> None:
    for role in ("admin", "edit", "view"):
        assert (await get(control_plane.admin, f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}"))["rules"]


async def test_a_token_secret_is_filled(control_plane: ControlPlane) -> None:
    annotations = {"kubernetes.io/service-account.name": "default"}
    secret = {
        "metadata": {"name": "legacy", "annotations": annotations},
        "type": "kubernetes.io/service-account-token",
    }
    await post(control_plane.admin, "/api/v1/namespaces/default/secrets", secret)

    async def filled() -> bool:
        return "token" in (await get(control_plane.admin, "/api/v1/namespaces/default/secrets/legacy")).get("data", {})

    await until(filled)


async def test_a_dependent_goes_with_its_owner(control_plane: ControlPlane) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    owner = await post(control_plane.admin, path, {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    await post(control_plane.admin, path, {"metadata": {"name": "dependent", "ownerReferences": [reference]}})
    async with control_plane.admin.session() as session, session.delete(f"{path}/owner"):
        pass

    async def gone() -> bool:
        return bool((await get(control_plane.admin, f"{path}/dependent")).get("code") == 404)

    await until(gone)


async def test_a_quota_is_enforced(control_plane: ControlPlane) -> None:
    await post(control_plane.admin, "/api/v1/namespaces", {"metadata": {"name": "limited"}})
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"count/secrets": "0"}}}
    quotas = "/api/v1/namespaces/limited/resourcequotas"
    await post(control_plane.admin, quotas, quota)

    async def counted() -> bool:
        return "hard" in (await get(control_plane.admin, f"{quotas}/few"))["status"]

    await until(counted)
    secret = await post(control_plane.admin, "/api/v1/namespaces/limited/secrets", {"metadata": {"name": "one"}})
    assert secret["code"] == 403
