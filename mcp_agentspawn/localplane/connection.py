"""How to reach an API server as somebody, and the kubeconfig file that says the same to other clients."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from mcp_agentspawn.localplane.certificates import KeyPair, write_private


@dataclass(frozen=True)
class Connection:
    """An API server and one identity there: a client certificate, a bearer token, or nobody."""

    url: str
    certificate_authority: Path
    client: KeyPair | None = None
    token: str | None = None

    def ssl_context(self) -> ssl.SSLContext:
        """Trust the server's authority alone, and present the client certificate if there is one."""
        context = ssl.create_default_context(cafile=str(self.certificate_authority))
        if self.client is not None:
            context.load_cert_chain(self.client.certificate, self.client.key)
        return context

    def session(self, timeout_seconds: float = 30.0) -> aiohttp.ClientSession:
        """Open a session for relative paths, which the caller closes; the environment's proxies are ignored."""
        return aiohttp.ClientSession(
            self.url,
            connector=aiohttp.TCPConnector(ssl=self.ssl_context()),
            headers={} if self.token is None else {"Authorization": f"Bearer {self.token}"},
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        )

    def write_kubeconfig(self, path: Path, user: str, namespace: str = "default") -> Path:
        """Write a kubeconfig with this identity as its current context (mode 0600) and give its path back."""
        name = "agentspawn-local"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [
                {
                    "name": name,
                    "cluster": {"server": self.url, "certificate-authority": str(self.certificate_authority)},
                }
            ],
            "users": [{"name": user, "user": self._credential()}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user, "namespace": namespace}}],
        }
        write_private(path, yaml.safe_dump(content, sort_keys=False).encode())
        return path

    def _credential(self) -> dict[str, Any]:
        if self.client is None:
            return {"token": self.token}
        return {"client-certificate": str(self.client.certificate), "client-key": str(self.client.key)}
