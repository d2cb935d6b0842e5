"""What was tried in vain is tried again later and later, and what was told is told once."""

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
        self._told: dict[str, str] = {}

    def of(self, actions: Iterable[Action], now: datetime) -> list[Action]:
        """Those of the actions whose time has come; they count as tried from now on."""
        ready = [action for action in actions if self._may(action, now)]
        for action in ready:
            times = self._tried[action].times + 1 if action in self._tried else 0
            pause = min(MOST_PAUSE, FIRST_PAUSE * 2 ** min(times, MOST_DOUBLINGS))
            self._tried[action] = _Tried(times, now + pause)
            if action.verb == "alert":
                self._told[action.uid] = action.reason
        return ready

    def forget(self, now: datetime, standing: Iterable[str]) -> None:
        """Forget what has not been tried for a while, and what was told of agents whose uids are not among these."""
        self._tried = {action: one for action, one in self._tried.items() if one.again_at + REMEMBERED_FOR > now}
        there = set(standing)
        self._told = {uid: reason for uid, reason in self._told.items() if uid in there}

    def _may(self, action: Action, now: datetime) -> bool:
        if action.verb == "alert" and self._told.get(action.uid) == action.reason:
            return False
        tried = self._tried.get(action)
        return tried is None or tried.again_at <= now
