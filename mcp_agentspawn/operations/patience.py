"""What was tried in vain is tried again later and later."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mcp_agentspawn.core.expiry import Action

FIRST_PAUSE = timedelta(seconds=1)
MOST_PAUSE = timedelta(minutes=1)
MOST_DOUBLINGS = 6
REMEMBERED_FOR = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Tried:
    times: int
    again_at: datetime


class Patience:
    """What one process remembers of the actions that it tried; another one begins anew, and nothing rests on it."""

    def __init__(self) -> None:
        self._tried: dict[Action, _Tried] = {}

    def of(self, actions: Iterable[Action], now: datetime) -> list[Action]:
        """Those of the actions whose time has come; they count as tried from now on."""
        ready = [action for action in actions if self._may(action, now)]
        for action in ready:
            times = self._tried[action].times + 1 if action in self._tried else 0
            pause = min(MOST_PAUSE, FIRST_PAUSE * 2 ** min(times, MOST_DOUBLINGS))
            self._tried[action] = _Tried(times, now + pause)
        return ready

    def forget(self, now: datetime) -> None:
        """Forget what has not been tried for a while."""
        self._tried = {action: one for action, one in self._tried.items() if one.again_at + REMEMBERED_FOR > now}

    def _may(self, action: Action, now: datetime) -> bool:
        tried = self._tried.get(action)
        return tried is None or tried.again_at <= now
