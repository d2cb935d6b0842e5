"""Do the values fit the template's JSON Schema, the size bounds, and can a person see all of them?"""

from collections.abc import Iterator

from pydantic import Field

from mcp_agentspawn.core.digest import canonical
from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import Asked, RequestGuard, verdict_of
from mcp_agentspawn.core.render import FENCE_MARKS, holds_fence_mark
from mcp_agentspawn.core.text import hidden_characters
from mcp_agentspawn.core.verdict import Reason, Verdict

MOST_PURPOSE_CHARACTERS = 500


class ParametersGuard(RequestGuard):
    """All names and values together take at most `most_bytes` in UTF-8, the purpose included."""

    most_bytes: int = Field(default=16384, ge=0, le=65536)

    async def check(self, asked: Asked, facts: Facts) -> Verdict:  # noqa: ARG002 - the values alone decide
        """Deny for every value that is too large, repeated, unknown, of the wrong kind, or not plain to see."""
        too_large = list(self._size(asked))
        return verdict_of(too_large or [*_repeated(asked), *_purpose(asked), *_hidden(asked), *_schema(asked)])

    def _size(self, asked: Asked) -> Iterator[Reason]:
        size = sum(_bytes(name) + _bytes(value) for name, value in asked.request.parameters.items())
        if size + _bytes(asked.request.purpose) > self.most_bytes:
            yield Reason("parameters.too_large", f"All values together may take {self.most_bytes} bytes.", "parameters")


def _bytes(value: object) -> int:
    return len(str(value).encode("utf-8", "surrogatepass"))


def _repeated(asked: Asked) -> Iterator[Reason]:
    for name in asked.repeated:
        yield Reason("parameters.repeated", "Each parameter may be given once.", f"parameters.{name[:64]}")


def _purpose(asked: Asked) -> Iterator[Reason]:
    purpose = asked.request.purpose
    if not purpose.strip() or len(purpose) > MOST_PURPOSE_CHARACTERS:
        message = f"Say in 1 to {MOST_PURPOSE_CHARACTERS} characters what the subagent is for."
        yield Reason("parameters.purpose", message, "purpose")
    yield from _unseen(purpose, "purpose", lines=False)


def _hidden(asked: Asked) -> Iterator[Reason]:
    for name, value in asked.request.parameters.items():
        field = f"parameters.{name[:64]}"
        if isinstance(value, str):
            yield from _unseen(value, field, lines=True)
            if holds_fence_mark(value):
                message = f"A value may not contain {' or '.join(FENCE_MARKS)}: they mark where data begins and ends."
                yield Reason("parameters.fence", message, field)


def _unseen(text: str, field: str, *, lines: bool) -> Iterator[Reason]:
    if hidden := hidden_characters(text, lines=lines):
        message = f"Characters that nobody can see are refused: {', '.join(hidden[:5])}."
        yield Reason("parameters.hidden_characters", message, field)


def _schema(asked: Asked) -> Iterator[Reason]:
    if asked.template is None:
        yield Reason("parameters.unknown_template", "Without a template no value can be checked.", "template")
        return
    for error in asked.template.validator.iter_errors(dict(asked.request.parameters)):
        where = ".".join(str(part)[:64] for part in ("parameters", *error.absolute_path))
        rule = (
            canonical({str(error.validator): error.validator_value}) if error.validator_value is not False else "known"
        )
        yield Reason("parameters.invalid", f"The value does not fit the template's schema: {rule[:200]}.", where)
