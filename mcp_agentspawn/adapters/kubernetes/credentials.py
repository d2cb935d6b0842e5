"""Where the API server is and how we prove to it who we are, by the rules of the official client."""

import os
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from mcp_agentspawn.core.errors import ConfigError, Unavailable

REREAD_SECONDS = 60.0
DEFAULT_KUBECONFIG = "~/.kube/config"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Credentials:
    """One API server and one identity there; a token that rotates is read again every minute."""

    def __init__(self, configuration: Configuration, reread: Callable[[], Awaitable[None]] | None = None) -> None:
        """`reread` loads the identity into `configuration` again. Raises ConfigError for a plain-text remote host."""
        self.url = configuration.host.rstrip("/")
        self.proxy: str | None = configuration.proxy
        self.server_hostname: str | None = configuration.tls_server_name
        self.ssl_context = _ssl_context(configuration)
        self._configuration = configuration
        self._reread = reread
        self._read_at = time.monotonic()
        parts = urlsplit(self.url)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise ConfigError([f"{self.url}: a credential is sent over https only, but to this machine"])

    async def authorization(self) -> str | None:
        """The value of the Authorization header; `None` when a client certificate is the identity.

        Raises Unavailable when the credential can not be read again.
        """
        try:
            if self._reread is not None and time.monotonic() - self._read_at > REREAD_SECONDS:
                await self._reread()
                self._read_at = time.monotonic()
            value = (await self._configuration.get_api_key_with_prefix("BearerToken") or "").strip()
        except Exception:  # noqa: BLE001 - whatever the library raises, its text may hold the credential
            raise Unavailable("The server's own credential can not be read.") from None
        if not (value.isascii() and value.isprintable()):
            raise Unavailable("The server's own credential is no token.")
        return value or None


async def load_credentials(kubeconfig: Path | None = None) -> Credentials:
    """Load this file; or the pod's own identity; or what KUBECONFIG and ~/.kube/config say. Raises ConfigError."""
    if kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _in_cluster()
    return await _from_file(str(kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG))


def _in_cluster() -> Credentials:
    configuration = Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # the library is untyped
    except (config.ConfigException, OSError) as error:
        raise ConfigError([f"the pod's service account: {error}"]) from error
    return Credentials(configuration)


async def _from_file(path: str) -> Credentials:
    if not _exists(path):
        raise ConfigError([f"{path}: no such kubeconfig (--kubeconfig or KUBECONFIG names another)"])
    configuration = Configuration()
    try:
        loader = await config.load_kube_config(path, client_configuration=configuration, persist_config=False)  # type: ignore[no-untyped-call] # the library is untyped
    except Exception:  # noqa: BLE001 - the library raises anything at all on a broken file
        # Not `from` the original: its text can hold the file's users, tokens included.
        raise ConfigError([f"{path}: its current context, cluster or user is missing or can not be used"]) from None
    return Credentials(configuration, lambda: loader.load_and_set(configuration))


def _exists(path: str) -> bool:
    """Whether one of the files is there: KUBECONFIG may name several."""
    return any(Path(part).expanduser().is_file() for part in path.split(os.pathsep) if part)


def _ssl_context(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    # Python 3.13 began to refuse authorities without key identifiers, which many clusters have.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
