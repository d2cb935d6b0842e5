"""Subagents are known again by the credentials that this server gave them; so many are looked up at a time."""

from hashlib import sha256

from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.familiar import Familiar
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.operations.credentials import caller_of
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.server.slowing import Turns

LOOKUPS_AT_A_TIME = 8
MOST_WAITING = 256
MOST_FAMILIAR = 1024
NEW = ""


class Subagents:
    """Looks each credential up afresh, and remembers only the hashes of those that were good.

    Each of those has turns of its own, so that whoever makes credentials up keeps none of them waiting.
    """

    def __init__(self, services: Services, turns: Turns | None = None) -> None:
        self.services = services
        self._turns = turns or Turns(LOOKUPS_AT_A_TIME, most_waiting=MOST_WAITING)
        self._familiar = Familiar(MOST_FAMILIAR)

    async def caller(self, token: str) -> Caller | None:
        """The subagent whose it is; `None` when it is nobody's. Raises `Unavailable` when too many are looked up."""
        digest = sha256(token.encode()).digest()
        async with self._turns.turn(digest.hex() if digest in self._familiar else NEW) as its_turn:
            if not its_turn:
                raise Unavailable("Too many credentials are looked up.")
            caller = await caller_of(self.services, token)
        self._familiar.note(digest, good=caller is not None)
        return caller
