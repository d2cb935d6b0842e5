"""Moments: as text (RFC 3339 in UTC), and whether something has lasted long enough."""

from datetime import UTC, datetime, timedelta


def to_the_microsecond(moment: datetime) -> str:
    """As stored and recorded: always with microseconds (`metav1.MicroTime`)."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def to_the_second(moment: datetime) -> str:
    """As callers read it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_over(now: datetime, since: datetime | None, most: timedelta) -> bool:
    """Whether so much time has passed; never since nobody knows when."""
    return since is not None and since + most <= now
