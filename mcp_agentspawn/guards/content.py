"""Does any text of the request hold a credential, an injection, a way out for data, or characters that nobody sees?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import Field, field_validator

from mcp_agentspawn.content import Match, rules, scan
from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import Asked, RequestGuard, verdict_of
from mcp_agentspawn.core.verdict import Reason, Verdict

MOST_REASONS = 20
MOST_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Passage:
    """A text of the request; `name` is a parameter's own, which a caller may have written, too."""

    field: str
    text: str
    name: str = ""

    @property
    def whole(self) -> str:
        """Everything of it that a caller wrote."""
        return f"{self.name}:\n{self.text}" if self.name else self.text


class ContentGuard(RequestGuard):
    """All texts together take at most `most_bytes` in UTF-8; 0 means none. Rules in `ignore` are not asked."""

    most_bytes: int = Field(default=65536, ge=0, le=65536)
    ignore: tuple[str, ...] = Field(default=(), strict=False)

    @field_validator("ignore")
    @classmethod
    def _are_rules(cls, ignore: tuple[str, ...]) -> tuple[str, ...]:
        if not set(ignore) <= rules().keys():
            raise ValueError("each must be the id of a rule, as a refusal names it")
        return ignore

    async def check(self, asked: Asked, facts: Facts) -> Verdict:  # noqa: ARG002 - the texts alone decide
        """Deny for every rule that a text falls under, without a word of that text."""
        passages = list(_passages(asked))
        if sum(len(passage.whole.encode("utf-8", "surrogatepass")) for passage in passages) > self.most_bytes:
            message = f"All texts together may take {self.most_bytes} bytes."
            return verdict_of([Reason("content.too_large", message, "parameters")])
        return verdict_of(list(dict.fromkeys(self._reasons(passages)))[:MOST_REASONS])

    def _reasons(self, passages: Sequence[Passage]) -> Iterator[Reason]:
        """Half by half, so that the number of scans grows with what is found and not with the number of texts."""
        found = self._matches("\n".join(passage.whole for passage in passages))
        if not found:
            return
        if len(passages) == 1:
            yield from (_reason(match, self._field(passages[0])) for match in found)
            return
        middle = len(passages) // 2
        apart = [*self._reasons(passages[:middle]), *self._reasons(passages[middle:])]
        yield from apart or [_reason(match, "parameters") for match in found]

    def _matches(self, text: str) -> Sequence[Match]:
        return [match for match in scan(text) if match.rule not in self.ignore]

    def _field(self, passage: Passage) -> str:
        """Where it stands; a name that itself falls under a rule is not said."""
        if not passage.name or self._matches(passage.name):
            return passage.field
        return f"{passage.field}.{passage.name[:MOST_NAME_CHARACTERS]}"


def _passages(asked: Asked) -> Iterator[Passage]:
    request = asked.request
    yield Passage("purpose", request.purpose)
    for name, value in request.parameters.items():
        yield Passage("parameters", value if isinstance(value, str) else "", name)
    yield Passage("model", request.model)
    yield Passage("tools", "\n".join(request.tools))


def _reason(match: Match, field: str) -> Reason:
    hidden = " It is hidden by an encoding." if match.encoded else ""
    return Reason(f"content.{match.group}", f"{match.reason}{hidden} (rule {match.rule})", field)
