"""What became of the mutants of the last `mutmut run`: how many were found out, and is every survivor explained?

`survivors.toml` names those that no test can tell from the original, each with why. Exit code 1: fewer than 95 %
were found out, or one that lived on is not explained.
"""

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

REPOSITORY = Path(__file__).parents[2]
MUTANTS = REPOSITORY / "mutants"
EXPLAINED = Path(__file__).with_name("survivors.toml")
LEAST_FOUND_OUT = 0.95
FOUND_OUT = frozenset({"killed", "timeout", "segfault", "caught by type check"})
ALIVE = frozenset({"survived", "no tests", "suspicious"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to one function; `path` is the mutated file's, from the repository."""

    name: str
    path: Path
    status: str

    @property
    def where(self) -> str:
        """The function, as `core.ledger.Ledger.pruned`."""
        module, _, mangled = self.name.removeprefix("mcp_agentspawn.").rpartition(".")
        function = mangled.rpartition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ")
        return f"{module}.{function.replace('ǁ', '.')}"

    @property
    def change(self) -> str:
        """The lines as the mutant has them, without their indentation."""
        lines = get_diff_for_mutant(self.name, path=self.path).splitlines()
        return "\n".join(line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++"))


def mutants() -> Iterator[Mutant]:
    """Every mutant of the last run."""
    for file in sorted(MUTANTS.rglob("*.meta")):
        path = file.relative_to(MUTANTS).with_suffix("")
        for name, code in json.loads(file.read_text(encoding="utf-8"))["exit_code_by_key"].items():
            yield Mutant(name, path, status_by_exit_code[code])


def explained() -> Mapping[tuple[str, str], str]:
    """Why a survivor may live, by where it is and what it changes."""
    entries = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["survivor"]
    return {(entry["where"], entry["change"]): entry["why"] for entry in entries}


def report(found: Sequence[Mutant], known: Mapping[tuple[str, str], str]) -> int:
    """Print what became of them; the exit code."""
    alive = [mutant for mutant in found if mutant.status in ALIVE]
    killed = sum(mutant.status in FOUND_OUT for mutant in found)
    share = killed / (killed + len(alive)) if found else 0.0
    open_questions = [mutant for mutant in alive if (mutant.where, mutant.change) not in known]
    for mutant in open_questions:
        say(f"{mutant.path}: {mutant.where}: {mutant.status}: {mutant.change}")
    told = len(alive) - len(open_questions)
    say(f"{killed} of {killed + len(alive)} mutants were found out ({share:.1%}, at least {LEAST_FOUND_OUT:.0%})")
    say(f"{len(alive)} lived on, {told} of them explained in tests/mutation/{EXPLAINED.name}")
    return int(share < LEAST_FOUND_OUT or bool(open_questions))


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(report(list(mutants()), explained()))
