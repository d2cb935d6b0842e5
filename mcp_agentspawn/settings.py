"""What an operator can set: environment variables AGENTSPAWN_* and command-line options, which win.

Absent means the default, empty means nothing. Every problem is reported at once, with the variable's name.
"""

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import DEFAULT_HOME, LABEL, SERVER_ACCOUNT, SYSTEM_NAMESPACE, may_be_home

PREFIX: Final = "AGENTSPAWN_"
ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
MOST_PORT: Final = 65535
SERVICE: Final = f"{SERVER_ACCOUNT}.{SYSTEM_NAMESPACE}"
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
ROOT = re.compile(rf"(?P<namespace>{LABEL})/(?P<account>{LABEL}(?:\.{LABEL})*)(?:@(?P<home>{LABEL}))?\Z")
HOST = re.compile(r"[A-Za-z0-9.\[\]:_-]+?(?::(?:\d+|\*))?\Z")
WRITER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")
# Kubernetes puts the addresses of a Service called agentspawn into variables of its own, AGENTSPAWN_PORT among them.
SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://")
NOT_OURS = re.compile(rf"{PREFIX}(SERVICE_|PORT_|SHARED\Z)")
LEVELS = ("debug", "info", "warning", "error")
WIRES = ("auto", "0.3", "1.0")
PLACEHOLDER = re.compile(r"\{[^{}]*\}|[{}]")
PLACES = ["{namespace}", "{name}"]
OWN_SERVICE: Final = "http://{name}.{namespace}:8080/"
"""Where kagent serves an agent by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, checked. `kubeconfig` None means in-cluster, or else the usual kubeconfig."""

    host: str
    port: int
    roots: tuple[Root, ...]
    policies: Path
    templates: Path
    registries: Path | None
    """The folder with a file for each registry; None: there are none."""
    audit_file: Path | None
    """None: audit.jsonl in the current folder; with --memory a file that goes when the server ends."""
    writer: str
    legacy_tokens: tuple[str, ...]
    """The accounts (`namespace/account`) whose legacy Secret tokens are accepted."""
    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    public_url: str
    """The MCP endpoint as callers see it; empty: where the server listens."""
    token_issuer: str
    a2a_url: str
    """Where a subagent is talked to, with `{namespace}` and `{name}`: its own Service, or kagent's controller."""
    a2a_wire: Literal["auto", "0.3", "1.0"]
    """The version of A2A that subagents speak, `0.3` or `1.0`; `auto` is what an agent's card says."""
    log_level: str
    drain_seconds: float
    kubeconfig: Path | None


def load(environment: Mapping[str, str], options: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; options are by field name, None is an option that was not given. Raises ConfigError."""
    reader = _Reader(environment, {name: str(value) for name, value in (options or {}).items() if value is not None})
    values: dict[str, Any] = {name: reader.read(name, default, parse) for name, (default, parse) in FIELDS.items()}
    roots = " ".join(root.name for root in values["roots"] or ())
    values["legacy_tokens"] = reader.read("legacy_tokens", roots, _accounts)
    reader.finish()
    values["allowed_hosts"] = (*_own_hosts(values["public_url"]), *values["allowed_hosts"])
    return Settings(**values)


class _Reader:
    """Takes one setting after the other and keeps what is wrong."""

    def __init__(self, environment: Mapping[str, str], options: Mapping[str, str]) -> None:
        self._environment = {name: text for name, text in environment.items() if name.startswith(PREFIX)}
        self._options = options
        self._problems: list[str] = []

    def read(self, name: str, default: str, parse: Callable[[str], Any]) -> Any:
        text = self._environment.pop(PREFIX + name.upper(), default)
        if SERVICE_LINK.match(text):
            text = default
        try:
            return parse(self._options.get(name, text).strip())
        except ValueError as error:
            self._problems.append(f"{PREFIX}{name.upper()}: {error}")
            return None

    def finish(self) -> None:
        """Raise ConfigError with all problems, if there are any. A name that nobody reads is a mistyped one."""
        unknown = sorted(name for name in self._environment if not NOT_OURS.match(name))
        self._problems += [f"{name}: there is no such setting" for name in unknown]
        if self._problems:
            raise ConfigError(self._problems)


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not pattern.match(text):
            raise ValueError(f"{text!r} is not {what}")
        return text

    return parse


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _list_of(pattern: re.Pattern[str], what: str) -> Callable[[str], tuple[str, ...]]:
    return lambda text: tuple(map(_matching(pattern, what), _words(text)))


def root_of(word: str) -> Root:
    """The root that this word names: `namespace/account`, or `namespace/account@home`. Raises ValueError."""
    match = ROOT.match(word)
    if match is None:
        raise ValueError(f"{word!r} is not namespace/account or namespace/account@home")
    root = Root(match["namespace"], match["account"], match["home"] or DEFAULT_HOME)
    if not may_be_home(root.home, root.namespace):
        raise ValueError(f"{root.name}: subagents can not live in {root.home}, they need a namespace of their own")
    return root


def _roots(text: str) -> tuple[Root, ...]:
    roots: dict[str, Root] = {}
    for word in _words(text):
        root = root_of(word)
        if root.name in roots:
            raise ValueError(f"{root.name} is named twice")
        roots[root.name] = root
    return tuple(roots.values())


def _accounts(text: str) -> tuple[str, ...]:
    return tuple(root.name for root in _roots(text))


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_PORT:
        raise ValueError(f"{text!r} is not a port (0 to {MOST_PORT})")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,3}(\.\d+)?", text):
        raise ValueError(f"{text!r} is not a number of seconds below 1000")
    return float(text)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment):
        raise ValueError(f"{text!r} is not an http or https URL without query and fragment")
    return text


def _a2a_url(text: str) -> str:
    if sorted(PLACEHOLDER.findall(text)) != PLACES:
        raise ValueError(f"{text!r} does not hold {{namespace}} and {{name}}, each once, and nothing else in braces")
    _url(text.replace("{", "").replace("}", ""))
    return text


def _wire(text: str) -> str:
    if text not in WIRES:
        raise ValueError(f"{text!r} is none of {', '.join(WIRES)}")
    return text


def _origins(text: str) -> tuple[str, ...]:
    for word in _words(text):
        parts = urlsplit(word)
        if not parts.scheme or not parts.netloc or parts.path:
            raise ValueError(f"{word!r} is not an origin such as https://console.example.com")
    return tuple(_words(text))


def _level(text: str) -> str:
    if text.lower() not in LEVELS:
        raise ValueError(f"{text!r} is none of {', '.join(LEVELS)}")
    return text.lower()


def _folder(text: str) -> Path:
    if not text or not Path(text).is_dir():
        raise ValueError(f"there is no folder {text!r}")
    return Path(text)


def _existing(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError(f"there is no file {text!r}")
    return Path(text)


def _file(text: str) -> Path:
    if not Path(text).absolute().parent.is_dir():
        raise ValueError(f"there is no folder to write {text!r} in")
    return Path(text)


def _if_any(parse: Callable[[str], Path]) -> Callable[[str], Path | None]:
    """The same; empty is none."""
    return lambda text: parse(text) if text else None


def _own_hosts(public_url: str) -> tuple[str, ...]:
    """The Host headers that are always ours: loopback, the Service's names, the public URL's."""
    names = [*LOOPBACK, SERVICE, f"{SERVICE}.svc", f"{SERVICE}.svc.cluster.local"]
    public = [urlsplit(public_url).netloc] if public_url else []
    return tuple([form for name in names for form in (name, f"{name}:*")] + public)


FIELDS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "host": ("127.0.0.1", _matching(HOST, "a host")),
    "port": ("8000", _port),
    "roots": ("", _roots),
    "policies": ("policies", _folder),
    "templates": ("templates", _folder),
    "registries": ("", _if_any(_folder)),
    "audit_file": ("", _if_any(_file)),
    "writer": (socket.gethostname(), _matching(WRITER, "a writer's name")),
    "allowed_hosts": ("", _list_of(HOST, "a host")),
    "allowed_origins": ("", _origins),
    "public_url": ("", _url),
    "token_issuer": (ISSUER, _url),
    "a2a_url": (OWN_SERVICE, _a2a_url),
    "a2a_wire": ("auto", _wire),
    "log_level": ("info", _level),
    "drain_seconds": ("0", _seconds),
    "kubeconfig": ("", _if_any(_existing)),
}
"""Each setting's default and how it is read. `legacy_tokens` is not here: its default is the roots."""
