"""A folder of files, one thing each: the file's name is the thing's name."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from mcp_agentspawn.adapters.files.complaints import complaints
from mcp_agentspawn.adapters.files.problems import Problem, shown
from mcp_agentspawn.adapters.files.strict_yaml import Document, NotYaml, read_yaml

MOST_BYTES = 256 * 1024
NAME = re.compile(r"[a-z][a-z0-9-]{0,19}\Z")
NAME_RULE = "the file's name names what it holds: a letter, then up to 19 letters, digits or dashes, all lower case"

M = TypeVar("M", bound=BaseModel)


@dataclass(slots=True)
class Folder(Generic[M]):
    """What was read: the good values by name, where everything stands, and all problems, sorted."""

    path: Path
    values: dict[str, M] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def file(self, name: str) -> str:
        """The path of one thing's file, as it is shown."""
        return str(self.path / f"{name}.yaml")

    def problem(self, name: str, path: tuple[str | int, ...], message: str) -> Problem:
        """A problem with one part of one file."""
        document = self.documents[name]
        return Problem(self.file(name), document.line_of(path), document.key_of(path), message)


def examine(folder: Path, model: type[M]) -> Folder[M]:
    """Read all `*.yaml` of a folder and judge each; raises nothing.

    Other files are ignored, and so are names that begin with a dot (a mounted ConfigMap has such links).
    """
    read = Folder[M](folder)
    try:
        files = sorted(yaml_files(folder))
    except OSError as error:
        read.problems.append(Problem(str(folder), 1, "folder", f"can not be read: {error.strerror}"))
        return read
    for file in files:
        read.problems += _read(file, model, read)
    if not files:
        read.problems.append(Problem(str(folder), 1, "folder", "there is no *.yaml file in it"))
    read.problems.sort()
    return read


def yaml_files(folder: Path) -> Iterator[Path]:
    """The files that count. Raises `OSError`."""
    for file in folder.iterdir():
        if file.suffix.lower() in {".yaml", ".yml"} and not file.name.startswith("."):
            yield file


def content(file: Path) -> bytes:
    """A file's bytes, up to one more than are allowed. Raises `OSError`, also for what is no regular file."""
    if not file.is_file():
        raise OSError(0, "not a regular file")
    with file.open("rb") as stream:
        return stream.read(MOST_BYTES + 1)


def _read(file: Path, model: type[M], read: Folder[M]) -> Iterable[Problem]:
    wrong = _wrong_name(file)
    if wrong:
        return [Problem(str(file), 1, "file", wrong)]
    try:
        document = read_yaml(_decoded(content(file)))
    except OSError as error:
        return [Problem(str(file), 1, "file", f"can not be read: {error.strerror}")]
    except NotYaml as error:
        return [Problem(str(file), error.line, "file", str(error))]
    read.documents[file.stem] = document
    return _judged(file, document, model, read)


def _wrong_name(file: Path) -> str:
    if file.suffix != ".yaml":
        return f"rename it to {shown(file.stem)}.yaml"
    return "" if NAME.match(file.stem) else NAME_RULE


def _decoded(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise NotYaml(1, f"larger than {MOST_BYTES // 1024} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotYaml(data.count(b"\n", 0, error.start) + 1, "not UTF-8") from error


def _judged(file: Path, document: Document, model: type[M], read: Folder[M]) -> Iterable[Problem]:
    problems = [Problem(str(file), line, document.key_of(path), message) for path, line, message in document.flaws]
    try:
        value = model.model_validate(document.value, context={"name": file.stem})
    except ValidationError as error:
        return problems + list(complaints(str(file), document, model, error))
    if not problems:
        read.values[file.stem] = value
    return problems
