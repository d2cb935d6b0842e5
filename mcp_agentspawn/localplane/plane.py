"""One local control plane from start to stop."""

import asyncio
import csv
import io
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from mcp_agentspawn.localplane import commands
from mcp_agentspawn.localplane.binaries import Binaries
from mcp_agentspawn.localplane.certificates import issue, write_private
from mcp_agentspawn.localplane.connection import Connection
from mcp_agentspawn.localplane.errors import ControlPlaneFailed
from mcp_agentspawn.localplane.install import install
from mcp_agentspawn.localplane.probes import (
    Probe,
    api_server_is_ready,
    controllers_work,
    etcd_is_healthy,
    wait_until_ready,
)
from mcp_agentspawn.localplane.processes import Component, Guardian

PORT_ATTEMPTS = 5
PORT_LOST = "address already in use"
WATCH_SECONDS = 0.5


class ControlPlane:
    """etcd, kube-apiserver and kube-controller-manager on free loopback ports; an async context manager, used once.

    `users` maps a user's name to its groups; each gets a random bearer token for this start. `kinds` are files of
    CustomResourceDefinitions that are there before the controllers start: a kind that comes later is counted by quotas
    only after half a minute. `api_server_flags` are added to the API server's command line.

    Entering raises ControlPlaneFailed with the end of a component's log when one dies or is not ready within
    `timeout_seconds`. Leaving stops everything and removes the folder; should this process be killed, a guardian does
    the same.
    """

    url: str
    """Where the API server listens, without a path."""
    folder: Path
    """Everything of this start (mode 0700): certificates, tokens, logs and data."""
    certificate_authority: Path
    """The PEM file that signs the server's certificate."""
    admin: Connection
    """An administrator (group system:masters), by client certificate."""
    admin_kubeconfig: Path
    """The same as a kubeconfig file (mode 0600)."""

    def __init__(
        self,
        binaries: Binaries,
        *,
        users: Mapping[str, Sequence[str]] | None = None,
        kinds: Sequence[Path] = (),
        api_server_flags: Sequence[str] = (),
        timeout_seconds: float = 90.0,
        stop_seconds: float = 5.0,
    ) -> None:
        self._binaries = binaries
        self._users = dict(users or {})
        self._kinds = kinds
        self._tokens = {user: secrets.token_urlsafe(32) for user in self._users}
        self._api_server_flags = api_server_flags
        self._timeout_seconds = timeout_seconds
        self._stop_seconds = stop_seconds
        self._components: list[Component] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with self._stack as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def process_ids(self) -> Mapping[str, int]:
        """The process id of each component, by its program's name."""
        return {component.name: component.process_id for component in self._components}

    def token_of(self, user: str) -> str:
        """Give the bearer token of one of `users`; KeyError for anybody else."""
        return self._tokens[user]

    def connection(self, token: str) -> Connection:
        """Reach this API server with a bearer token, whoever's it is."""
        return Connection(self.url, self.certificate_authority, token=token)

    def kubeconfig_for(self, name: str, token: str, namespace: str = "default") -> Path:
        """Write a kubeconfig for a bearer token into the folder; it goes when the plane goes."""
        return self.connection(token).write_kubeconfig(self.folder / f"{name}.kubeconfig", name, namespace)

    async def watch(self) -> None:
        """Wait until a component dies, then raise ControlPlaneFailed; ends otherwise only by cancellation."""
        while True:
            for component in self._components:
                component.check()
            await asyncio.sleep(WATCH_SECONDS)

    async def _start(self, stack: AsyncExitStack) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="agentspawn-plane-"))
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._group = stack.enter_context(Guardian(self.folder)).group
        self._certificates = issue(self.folder)
        self.certificate_authority = self._certificates.authority
        write_private(self.folder / "tokens.csv", _token_file(self._users, self._tokens))
        etcd = await self._listen(stack, self._etcd, etcd_is_healthy)
        self.admin = await self._listen(stack, lambda port: self._api_server(port, etcd), api_server_is_ready)
        self.url = self.admin.url
        self.admin_kubeconfig = self.admin.write_kubeconfig(self.folder / "admin.kubeconfig", "admin")
        await install(self.admin, self._kinds)
        await self._start_controllers(stack)

    async def _listen(self, stack: AsyncExitStack, start: Callable[[int], Component], probe: Probe) -> Connection:
        """Start a component on a free port, and on another one if somebody else was faster."""
        for _ in range(PORT_ATTEMPTS):
            port = free_port()
            url = f"https://{commands.LOOPBACK}:{port}"
            connection = Connection(url, self._certificates.authority, client=self._certificates.admin)
            component = start(port)
            stack.push_async_callback(component.stop, self._stop_seconds)
            try:
                await wait_until_ready(component, connection, probe, self._timeout_seconds)
            except ControlPlaneFailed:
                if component.running or PORT_LOST not in component.log_tail():
                    raise
            else:
                self._components.append(component)
                return connection
        raise component.failure(f"found its port taken {PORT_ATTEMPTS} times")

    def _etcd(self, port: int) -> Component:
        command = commands.etcd(self._binaries.etcd, self.folder, self._certificates, port, free_port())
        return self._component("etcd", command)

    def _api_server(self, port: int, etcd: Connection) -> Component:
        command = commands.api_server(
            self._binaries.kube_apiserver,
            self.folder,
            self._certificates,
            port=port,
            etcd_url=etcd.url,
            extra=self._api_server_flags,
        )
        return self._component("kube-apiserver", command)

    async def _start_controllers(self, stack: AsyncExitStack) -> None:
        identity = Connection(self.url, self.certificate_authority, client=self._certificates.controller_manager)
        kubeconfig = identity.write_kubeconfig(self.folder / "controller-manager.kubeconfig", "controller-manager")
        command = commands.controller_manager(self._binaries.kube_controller_manager, kubeconfig, self._certificates)
        component = self._component("kube-controller-manager", command)
        stack.push_async_callback(component.stop, self._stop_seconds)
        self._components.append(component)
        await wait_until_ready(component, self.admin, controllers_work, self._timeout_seconds)

    def _component(self, name: str, command: Sequence[str]) -> Component:
        return Component(name, command, self.folder / f"{name}.log", self._group)


def free_port() -> int:
    """Find a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((commands.LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _token_file(users: Mapping[str, Sequence[str]], tokens: Mapping[str, str]) -> bytes:
    """Write kube-apiserver's static token file: token, user, uid, "group,group"."""
    file = io.StringIO()
    csv.writer(file).writerows((tokens[user], user, user, ",".join(groups)) for user, groups in users.items())
    return file.getvalue().encode()
