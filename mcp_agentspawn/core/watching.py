"""What the reconciler asks of the world: what is seen of it without asking, who leads, and how a subagent is cut off.

What is seen may be old: it says where to look, and nothing is done before it was read afresh.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Protocol

from mcp_agentspawn.core.expiry import Seen
from mcp_agentspawn.core.model import Subagent


class Observer(Protocol):
    """The world as it was last seen, kept by watching it. Records are slim: no manifests, only their fingerprints."""

    changed: asyncio.Event
    """Set when something was seen that was not so before; whoever waits for it clears it."""

    def in_sync(self) -> bool:
        """Whether everything was seen at least once, and is being watched."""
        ...

    def roots(self) -> Collection[str]:
        """The names of all roots of whom anything is there."""
        ...

    def take_changed(self) -> Collection[str]:
        """The roots of whom something has changed since this was last called; all, after all was read again."""
        ...

    def seen(self, root: str) -> Seen:
        """What is there of one root. Never changed afterwards."""
        ...


class Leadership(Protocol):
    """One replica acts at a time, to save work; nothing rests on it that it is only one."""

    async def held(self) -> bool:
        """Whether it is this one, now; takes what is free and renews what is held. Never raises."""
        ...

    async def release(self) -> None:
        """Let another one have it at once. Never raises."""
        ...


class Announcements(Protocol):
    """What people see beside a subagent when they look at it with the cluster's own tools (Events)."""

    async def tell(self, agent: Subagent, reason: str, message: str, *, warning: bool = False) -> None:
        """Say it; `reason` is one CamelCase word. Raises `Upstream` kinds; nothing rests on its being heard."""
        ...


class Cordon(Protocol):
    """Cuts subagents off from everything, and everything from them."""

    async def cut_off(self, agent: Subagent) -> None:
        """Let nothing reach it, and it reach nothing; once more is the same. Raises `Upstream` kinds.

        `Refused("cordon.incomplete", …)`: all was done that can be; a rule of somebody else leaves a way.
        """
        ...

    async def lift(self, home: str, agent: str) -> None:
        """Remove what cut it off; nothing there is success. Raises `Unavailable` as long as a pod of it is there."""
        ...

    async def standing(self, home: str) -> Mapping[str, str]:
        """The agents of this namespace that are cut off, by id, with the uid that each had."""
        ...
