"""Canonical bytes (RFC 8785) and their SHA-256: what was asked, and what will be created."""

from hashlib import sha256
from typing import Any

import rfc8785

from mcp_agentspawn.core.model import Caller, Grant, Request

MOST_INTEGER = 2**53 - 1
"""The largest that canonical JSON can hold exactly."""


def canonical(value: Any) -> str:
    """The one JSON text of a value (RFC 8785)."""
    return rfc8785.dumps(value).decode()


def digest_of(value: Any) -> str:
    """The hash of a value's canonical JSON."""
    return hash_of(rfc8785.dumps(value))


def hash_of(content: bytes) -> str:
    """`sha256:` and the SHA-256 of some bytes."""
    return f"sha256:{sha256(content).hexdigest()}"


def request_digest(caller: Caller, request: Request, template_hash: str) -> str:
    """What finds the same request again: who asks, for what, of which version of the template."""
    return digest_of(
        {
            "root": caller.root.name,
            "home": caller.root.home,
            "parent": caller.agent,
            "template": template_hash,
            "name": request.template,
            "purpose": request.purpose,
            "parameters": dict(request.parameters),
            "tools": list(request.tools),
            "model": request.model,
            "lifetime": int(request.lifetime.total_seconds()),
        }
        | ({"entry": request.entry} if request.entry else {})
    )


def proposal_digest(manifest: str, grant: Grant) -> str:
    """What an approval and an apply are bound to: the bytes that will be created, name included, and the grant.

    `manifest` is canonical JSON, as a proposal holds it; with it the text below is that of `{"grant", "manifest"}`.
    """
    document = f'{{"grant":{canonical(grant_document(grant))},"manifest":{manifest}}}'
    return hash_of(document.encode())


def grant_document(grant: Grant) -> dict[str, Any]:
    """The grant as it is stored and hashed; the lifetime in seconds."""
    return {
        "tools": list(grant.tools),
        "models": list(grant.models),
        "lifetimeSeconds": int(grant.lifetime.total_seconds()),
        "depth": grant.depth,
        "askFirst": list(grant.ask_first),
        "parameters": dict(grant.parameters),
    } | ({"singleTask": True} if grant.single_task else {})
