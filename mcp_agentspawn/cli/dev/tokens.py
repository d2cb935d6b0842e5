"""Credentials on this machine: minted as an administrator would, and again long before they expire."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from mcp_agentspawn.adapters.files import private_file
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import AUDIENCE, SERVER_ACCOUNT, SYSTEM_NAMESPACE
from mcp_agentspawn.localplane import ControlPlane

LIFETIME_SECONDS = 3600
REFRESH_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """The server's kubeconfig, and each caller's token file by the caller's name."""

    plane: ControlPlane
    server: Path
    callers: Mapping[str, Path]
    roots: Mapping[str, Root]

    async def refresh(self) -> None:
        """Mint all of them again, each file replaced in one step."""
        async with self.plane.admin.session() as admin:
            token = await mint(admin, SYSTEM_NAMESPACE, SERVER_ACCOUNT)
            file = self.server.with_suffix(".new")
            fresh = self.plane.connection(token).write_kubeconfig(file, SERVER_ACCOUNT, SYSTEM_NAMESPACE)
            fresh.replace(self.server)
            for name, file in self.callers.items():
                private_file(file, await mint(admin, self.roots[name].namespace, self.roots[name].account, AUDIENCE))


async def issue(plane: ControlPlane, roots: Mapping[str, Root]) -> Credentials:
    """Mint everything for the first time; the files lie in the plane's folder and go with it."""
    files = {name: plane.folder / f"{name}.token" for name in roots}
    credentials = Credentials(plane, plane.folder / "server.kubeconfig", files, roots)
    await credentials.refresh()
    return credentials


async def mint(admin: aiohttp.ClientSession, namespace: str, account: str, audience: str = "") -> str:
    """A token of a service account (TokenRequest); without an audience it is for the API server itself."""
    spec = {"expirationSeconds": LIFETIME_SECONDS} | ({"audiences": [audience]} if audience else {})
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    async with admin.post(path, json={"spec": spec}) as response:
        if not response.ok:
            raise Unavailable(f"No token for {namespace}/{account}: HTTP {response.status}")
        return str((await response.json())["status"]["token"])
