"""What the Secret of a subagent's own credential looks like, and whether something is one."""

import json
from base64 import b64encode
from typing import Any

from mcp_agentspawn.adapters.kubernetes.resources import SECRETS
from mcp_agentspawn.core.names import CREDENTIAL_KEY, PROPOSAL, credential_secret


def secret_of(home: str, agent: str, token: str) -> dict[str, Any]:
    """The Secret that gives this agent its credential."""
    metadata = {"name": credential_secret(agent), "namespace": home, "labels": {PROPOSAL: agent}}
    data = {CREDENTIAL_KEY: b64encode(token.encode()).decode()}
    return SECRETS.object(metadata, type="Opaque", immutable=True, data=data)


def is_secret_of(home: str, written: bytes) -> bool:
    """Whether this is, field by field, the Secret of some agent's credential in this namespace."""
    try:
        said = json.loads(written)
        agent, token = said["metadata"]["labels"][PROPOSAL], said["data"][CREDENTIAL_KEY]
    except (ValueError, KeyError, TypeError):
        return False
    data = {CREDENTIAL_KEY: token}
    return isinstance(token, str) and said == secret_of(home, str(agent), "") | {"data": data}
