from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from mcp_agentspawn.localplane import Connection, ControlPlane, InstallFailed, install
from tests.localplane.waiting import until

GROUP = "install.agentspawn.test"
KIND = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{GROUP}"
WIDGETS = f"/apis/{GROUP}/v1/namespaces/default/widgets"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def definition() -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [version],
        },
    }


def widget(name: str, spec: object) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


def config_map(name: str, value: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}}


def write(path: Path, *documents: object) -> Path:
    path.write_text(yaml.safe_dump_all(documents))
    return path


async def get(connection: Connection, path: str) -> Any:
    async with connection.session() as session, session.get(path) as response:
        return await response.json()


@pytest_asyncio.fixture
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Connection]:
    yield control_plane.admin
    async with control_plane.admin.session() as session:
        for path in (KIND, *(f"{CONFIG_MAPS}/{name}" for name in ("first", "second"))):
            async with session.delete(path):
                pass
    await until(lambda: is_gone(control_plane.admin, KIND))


async def is_gone(connection: Connection, path: str) -> bool:
    return bool((await get(connection, path)).get("code") == 404)


async def test_a_new_kind_and_its_objects_are_applied_from_one_file(cluster: Connection, tmp_path: Path) -> None:
    file = write(tmp_path / "all.yaml", definition(), None, widget("small", {"size": 1}))
    await install(cluster, [file])
    assert (await get(cluster, f"{WIDGETS}/small"))["spec"] == {"size": 1}


async def test_a_folder_is_applied_in_the_order_of_its_file_names(cluster: Connection, tmp_path: Path) -> None:
    write(tmp_path / "20-objects.yaml", widget("small", {"size": 1}))
    write(tmp_path / "10-kinds.yaml", definition())
    (tmp_path / "README.md").write_text("not a manifest")
    await install(cluster, [tmp_path])
    assert (await get(cluster, f"{WIDGETS}/small"))["metadata"]["name"] == "small"


async def test_applying_again_takes_over_what_somebody_changed(cluster: Connection, tmp_path: Path) -> None:
    file = write(tmp_path / "map.yaml", config_map("first", "ours"))
    await install(cluster, [file])
    async with cluster.session() as session:
        merge = {"Content-Type": "application/merge-patch+json"}
        change = {"data": {"key": "theirs"}}
        async with session.patch(f"{CONFIG_MAPS}/first", headers=merge, json=change) as response:
            assert (await response.json())["data"] == {"key": "theirs"}
    await install(cluster, [file])
    assert (await get(cluster, f"{CONFIG_MAPS}/first"))["data"] == {"key": "ours"}


@pytest.mark.parametrize("spec", [{"size": "large"}, {"colour": "red"}], ids=["wrong type", "unknown field"])
async def test_a_refused_object_is_named_with_its_file(cluster: Connection, tmp_path: Path, spec: object) -> None:
    file = write(tmp_path / "bad.yaml", definition(), widget("bad", spec), config_map("second", "never"))
    with pytest.raises(InstallFailed, match=r"bad\.yaml: Widget bad: HTTP "):
        await install(cluster, [file])
    assert (await get(cluster, f"{CONFIG_MAPS}/second"))["code"] == 404


async def test_a_kind_that_the_server_does_not_know_is_named(cluster: Connection, tmp_path: Path) -> None:
    file = write(tmp_path / "unknown.yaml", {**widget("w", {}), "apiVersion": "nowhere.test/v1"})
    with pytest.raises(InstallFailed, match=r"unknown\.yaml: Widget w: .*nowhere\.test/v1 Widget"):
        await install(cluster, [file])


async def test_a_missing_namespace_fails_at_once(cluster: Connection, tmp_path: Path) -> None:
    manifest = config_map("first", "here")
    manifest["metadata"]["namespace"] = "missing"
    with pytest.raises(InstallFailed, match="HTTP 404"):
        await install(cluster, [write(tmp_path / "map.yaml", manifest)], timeout_seconds=3600)


@pytest.mark.parametrize("text", ["{", "kind: ConfigMap", "- a list", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}"])
async def test_nothing_is_applied_when_a_file_is_no_manifest(cluster: Connection, tmp_path: Path, text: str) -> None:
    good = write(tmp_path / "good.yaml", config_map("first", "never"))
    (tmp_path / "torn.yaml").write_text(text)
    with pytest.raises(InstallFailed, match=r"torn\.yaml"):
        await install(cluster, [good, tmp_path / "torn.yaml"])
    assert (await get(cluster, f"{CONFIG_MAPS}/first"))["code"] == 404


async def test_a_server_that_is_not_there_is_said(cluster: Connection, tmp_path: Path) -> None:
    nobody = Connection("https://127.0.0.1:1", cluster.certificate_authority, token="none")
    with pytest.raises(InstallFailed, match="does not answer"):
        await install(nobody, [write(tmp_path / "map.yaml", config_map("first", "never"))])
