"""A file of the folder `registries/`: one registry, named like the file."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from mcp_agentspawn.adapters.files import examine
from mcp_agentspawn.adapters.files.folder import yaml_files
from mcp_agentspawn.adapters.registry.addresses import is_literal, objection
from mcp_agentspawn.adapters.registry.endpoint import (
    MOST_BYTES,
    MOST_ENTRIES,
    REFRESH_SECONDS,
    TIMEOUT_SECONDS,
    Endpoint,
)
from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.core.names import LABEL
from mcp_agentspawn.core.registry import TEMPLATE_SOURCE
from mcp_agentspawn.core.strict import Strict
from mcp_agentspawn.core.template import Duration

MOST_TIMEOUT = timedelta(minutes=1)
LEAST_REFRESH, MOST_REFRESH = timedelta(seconds=10), timedelta(days=1)
VERSIONED = re.compile(r"/v0(\.1)?(/|\Z)")
SCHEMES = ("https", "http")
REGISTRY_NAME = re.compile(rf"{LABEL}\Z")
WORD_OF_A_HOST = re.compile(r"[a-z0-9_](?:[-a-z0-9_]{0,61}[a-z0-9_])?\Z")
MOST_HOST_CHARACTERS = 253


def _absolute(path: str) -> str:
    if not PurePosixPath(path).is_absolute():
        raise ValueError("must be an absolute path")
    return path


AbsolutePath = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_absolute)]


class Source(Strict):
    """Where a registry is, and within which bounds it is read.

    Plain HTTP is for registries in a private network: it needs `private_addresses` and then reaches private addresses
    only, so that a credential never crosses the internet in the clear. `ca_file` replaces the system's authorities.
    `timeout` is of one request; `most_bytes` and `most_entries` are of a whole reading.
    """

    private_addresses: bool = False
    url: Annotated[str, StringConstraints(max_length=2048)]
    credential_file: AbsolutePath = ""
    ca_file: AbsolutePath = ""
    timeout: Duration = timedelta(seconds=TIMEOUT_SECONDS)
    refresh: Duration = timedelta(seconds=REFRESH_SECONDS)
    most_bytes: int = Field(default=MOST_BYTES, ge=64 * 1024, le=1024**3)
    most_entries: int = Field(default=MOST_ENTRIES, ge=1, le=100_000)

    def endpoint(self, name: str) -> Endpoint:
        """The same as plain data, for whoever reads the registry."""
        return Endpoint(
            name,
            self.url,
            self.credential_file,
            self.ca_file,
            self.private_addresses,
            self.timeout.total_seconds(),
            self.refresh.total_seconds(),
            self.most_bytes,
            self.most_entries,
        )

    @field_validator("url")
    @classmethod
    def _reachable(cls, url: str, info: ValidationInfo) -> str:
        parts = _parts(url)
        private, plain = info.data.get("private_addresses", True), parts.scheme == "http"
        if plain and not private:
            raise ValueError("http is for private networks only: write https, or private_addresses: true")
        host = parts.hostname or ""
        if is_literal(host) and (why := objection(host, private=private, plain=plain)):
            raise ValueError(f"{host} {why}")
        if VERSIONED.search(parts.path):
            raise ValueError("the address of the registry, without /v0 and what follows: that is added")
        return url

    @field_validator("timeout")
    @classmethod
    def _short(cls, timeout: timedelta) -> timedelta:
        if timeout > MOST_TIMEOUT:
            raise ValueError("at most 60s")
        return timeout

    @field_validator("refresh")
    @classmethod
    def _seldom(cls, refresh: timedelta) -> timedelta:
        if not LEAST_REFRESH <= refresh <= MOST_REFRESH:
            raise ValueError("at least 10s, at most 1d")
        return refresh

    @model_validator(mode="after")
    def _well_named(self, info: ValidationInfo) -> Self:
        name = (info.context or {}).get("name", "")
        if name == TEMPLATE_SOURCE:
            raise ValueError(f"no registry is called {TEMPLATE_SOURCE}: rename the file")
        if name and not REGISTRY_NAME.match(name):
            raise ValueError("a registry's name does not end in a dash: rename the file")
        return self


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in SCHEMES and _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        whole = None
    if not whole or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be a URL with https or http and a host, as in https://registry.example")
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise ValueError("no user, query or fragment can stand here; a credential has its own file")
    return parts


def _is_host(host: str) -> bool:
    """Whether it is an address, or a name that a resolver takes."""
    name = host.removesuffix(".")
    return is_literal(host) or (len(name) <= MOST_HOST_CHARACTERS and all(map(WORD_OF_A_HOST.match, name.split("."))))


def endpoints(folder: Path | None) -> Mapping[str, Endpoint]:
    """The registries of a folder, by name; none without one or in an empty one. Raises ConfigError."""
    if folder is None or _is_empty(folder):
        return {}
    read = examine(folder, Source)
    if read.problems:
        raise ConfigError([str(problem) for problem in read.problems])
    return {name: source.endpoint(name) for name, source in read.values.items()}


def _is_empty(folder: Path) -> bool:
    """Whether it names no registry: what is mounted from an optional ConfigMap that is not there is such a folder."""
    with suppress(OSError):
        return not any(yaml_files(folder))
    return False
