"""The own credentials of subagents with depth left, each in a Secret that the server makes and removes, never reads.

A credential is in no error: whatever the API server says about a Secret is dropped, and with it what it quotes.
"""

from mcp_agentspawn.adapters.kubernetes.client import STRICT, Client
from mcp_agentspawn.adapters.kubernetes.credential_secrets import secret_of
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import SECRETS
from mcp_agentspawn.core.errors import Conflict, Missing, Refused, Unavailable, UnknownOutcome, Upstream
from mcp_agentspawn.core.names import credential_secret


class KubernetesKeyring:
    """Secrets named after their agents, in the agents' namespace."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def put(self, home: str, agent: str, token: str) -> None:
        """See `core.ports.Keyring.put`."""
        try:
            path, secret = SECRETS.collection(home), secret_of(home, agent, token)
            # Of the answer, which would hold the credential again, the metadata alone.
            await self._client.request("POST", path, secret, as_=SERVER, query=STRICT, partial=True)
        except Conflict:
            return
        except Upstream as error:
            failure = _without_words(error)
        else:
            return
        raise failure  # out here, where no other exception hangs on it

    async def remove(self, home: str, agent: str) -> None:
        """See `core.ports.Keyring.remove`."""
        try:
            await self._client.request("DELETE", SECRETS.item(home, credential_secret(agent)), as_=SERVER)
        except Missing:
            return
        except Upstream as error:
            failure = _without_words(error)
        else:
            return
        raise failure


def _without_words(error: Upstream) -> Upstream:
    """The same error with words of our own. A create has nothing that could be missing but its namespace."""
    if isinstance(error, Refused):
        return Refused(error.code, "The API server refuses the Secret of a subagent's own credential.")
    if isinstance(error, Missing):
        return Refused("missing", "There is no namespace for the Secret of a subagent's own credential.")
    if isinstance(error, UnknownOutcome):
        return UnknownOutcome("No answer about the Secret of a subagent's own credential.")
    return Unavailable("The API server could not be asked for the Secret of a subagent's own credential.")
