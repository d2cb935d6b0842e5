"""What can fail. A refusal is a value (`verdict`); these are for what could not be done or not be known.

AgentSpawnError
├── ConfigError            a file or a setting is wrong; every problem is listed
└── Upstream               the world behind a port said no or said nothing
    ├── Unavailable        no answer, or none in time: nothing was changed
    ├── UnknownOutcome     a change was sent and its answer was lost: it may have happened
    ├── Refused            a definite no: nothing was changed
    ├── Missing            there is no such object
    └── Conflict           it exists already, or is not in the state that was expected
"""

from collections.abc import Sequence


class AgentSpawnError(Exception):
    """The root of everything this package raises on purpose."""


class ConfigError(AgentSpawnError):
    """Files or settings that can not be used; `problems` lists all of them, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Upstream(AgentSpawnError):
    """The world behind a port did not do what it was asked."""


class Unavailable(Upstream):
    """No answer, or none in time. Nothing was changed."""


class UnknownOutcome(Upstream):
    """A change was sent and its answer was lost. It may have happened: never undo on a guess."""


class Refused(Upstream):
    """A definite no, for example by RBAC or an admission policy. `code` is a stable word, never a body."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Missing(Upstream):
    """There is no such object."""


class Conflict(Upstream):
    """It exists already, or it is not in the state that was expected."""
