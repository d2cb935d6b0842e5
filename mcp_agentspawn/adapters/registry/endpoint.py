"""One registry: where it is and within which bounds it is read, as plain data that a worker can be handed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MOST_BYTES = 64 * 1024 * 1024
MOST_ENTRIES = 20_000
TIMEOUT_SECONDS = 10.0
REFRESH_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A registry by name. `timeout` (one request) and `refresh` are in seconds; `""` is no file.

    `most_bytes` and `most_entries` are of a whole reading. It holds the place of a credential, never the credential.
    """

    name: str
    url: str
    credential_file: str = ""
    ca_file: str = ""
    private_addresses: bool = False
    timeout: float = TIMEOUT_SECONDS
    refresh: float = REFRESH_SECONDS
    most_bytes: int = MOST_BYTES
    most_entries: int = MOST_ENTRIES

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Endpoint":
        """The endpoint that was written as this."""
        return cls(**document)

    def document(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)
