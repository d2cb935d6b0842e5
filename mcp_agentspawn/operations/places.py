"""How a place in a ledger becomes free: only when nothing of its agent is left, its own credential included."""

from mcp_agentspawn.core.ledger import Head, Ledger
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.operations.services import Services


async def close(services: Services, root: str, proposal: str, head: Head) -> None:
    """Free the place of an open proposal; one that is free already stays so."""
    await services.ledgers.change(root, lambda ledger: (ledger.closed(proposal).anchored(head), None))


async def release(services: Services, root: Root, agent: str, head: Head, *, depth: int, nonce: str = "") -> bool:
    """Free the place of an agent that is gone; with a `nonce`, only if it is still that very reservation.

    Returns whether this freed it: of many who do it at once, one hears so.
    `depth` is what the agent had left: with any, its credential goes first, so that a crash leaves the place taken.
    """
    if depth > 0:
        await services.keyring.remove(root.home, agent)

    def released(ledger: Ledger) -> tuple[Ledger, bool]:
        freed = ledger.released(agent, nonce)
        return (ledger, False) if freed is ledger else (freed.anchored(head), True)

    return await services.ledgers.change(root.name, released)
