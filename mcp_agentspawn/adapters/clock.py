"""The time of this machine."""

from datetime import UTC, datetime


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """See `core.ports.Clock.now`."""
        return datetime.now(UTC)
