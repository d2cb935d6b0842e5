import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mcp_agentspawn.adapters.files import examine
from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.guards import Policy
from tests.builders import RESEARCHER, loaded, template

POLICY = """\
callers: {namespaces: [agents]}
template:
  allow: [researcher]
quota:
  live_per_root: 3
"""

BAD = {
    "a misspelt key": ("quota:\n  max_agnets: 3\n", 2, "quota.max_agnets", "unknown key"),
    "a near miss": ("quota:\n  live_per_rot: 3\n", 2, "quota.live_per_rot", "unknown key; did you mean live_per_root?"),
    "a guard that is not there": ("crd: {}\nbudget: {}\n", 2, "budget", "unknown key"),
    "text for a number": ('quota:\n  live_per_root: "3"\n', 2, "quota.live_per_root", "must be a whole number"),
    "a fraction for a number": (
        "rate: {changes_per_minute: 1.5}\n",
        1,
        "rate.changes_per_minute",
        "must be a whole number",
    ),
    "truth for a number": (
        "rate: {changes_per_minute: true}\n",
        1,
        "rate.changes_per_minute",
        "must be a whole number",
    ),
    "a word that YAML takes for truth": (
        "template: {allow: [a, no]}\n",
        1,
        "template.allow[1]",
        "YAML reads this word as",
    ),
    "a number for text": ("template:\n  allow:\n    - a\n    - 7\n", 4, "template.allow[1]", "must be text"),
    "a word for a list": ("template: {allow: researcher}\n", 1, "template.allow", "must be a list"),
    "a mapping for a list": ("template: {allow: {a: b}}\n", 1, "template.allow", "must be a list"),
    "a list for a section": ("quota: []\n", 1, "quota", "must be keys and values"),
    "nothing for a list": ("template:\n  allow:\n", 2, "template.allow", "nothing is written here"),
    "null for a section": ("crd: null\n", 1, "crd", "nothing is written here"),
    "a tilde": ("crd: ~\n", 1, "crd", "nothing is written here"),
    "below a bound": ("quota: {live_per_root: -1}\n", 1, "quota.live_per_root", "must be 0 or more"),
    "above a bound": ("quota: {live_per_root: 501}\n", 1, "quota.live_per_root", "must be 500 or less"),
    "an octal number": (
        "quota: {live_per_root: 010}\n",
        1,
        "quota.live_per_root",
        "write a whole number in plain digits",
    ),
    "a sexagesimal number": ("quota: {live_per_root: 1:30}\n", 1, "quota.live_per_root", "write a whole number"),
    "a hexadecimal number": ("quota: {live_per_root: 0x1F}\n", 1, "quota.live_per_root", "write a whole number"),
    "an underscored number": ("quota: {live_per_root: 1_0}\n", 1, "quota.live_per_root", "write a whole number"),
    "an endless number": ("quota: {live_per_root: .inf}\n", 1, "quota.live_per_root", "write a number as in 1.5"),
    "a huge number": (f"quota: {{live_per_root: {'9' * 5000}}}\n", 1, "quota.live_per_root", "write a whole number"),
    "a huge fraction": ("quota: {live_per_root: 1.0e+999}\n", 1, "quota.live_per_root", "write a number as in 1.5"),
    "a date": ("template: {allow: [2026-11-21]}\n", 1, "template.allow[0]", "YAML reads this as something else"),
    "an equals sign": ("template: {allow: [=]}\n", 1, "template.allow[0]", "YAML reads this as something else"),
    "a key written twice": ("crd: {}\nquota: {}\ncrd: {}\n", 3, "crd", "written twice: first on line 1"),
    "a key that YAML takes for truth": ("quota:\n  on: 3\n", 2, "quota", "a key must be plain text"),
    "a number as a key": ("crd: {}\n3: x\n", 2, "document", "a key must be plain text"),
    "a list as a key": ("crd: {}\n? [a]\n: x\n", 2, "document", "a key must be plain text"),
    "a hidden key": ('crd: {}\n"a\\u200b": x\n', 2, "document", "a key must be plain text"),
    "a merge key": ("crd: {}\n<<: {}\n", 2, "document", "merge keys are not allowed"),
    "an anchor": ("crd: &a {}\n", 1, "crd", "anchors are not allowed"),
    "an alias": ("crd: &a {}\naccess: *a\n", 2, "access", "aliases are not allowed"),
    "an alias as a key": ("crd: {}\n*a : x\n", 2, "document", "aliases are not allowed"),
    "a tag": ("template: {allow: [!!str 7]}\n", 1, "template.allow[0]", "tags are not allowed"),
    "a tag that runs code": ('crd: !!python/object/apply:os.system ["true"]\n', 1, "crd", "tags are not allowed"),
    "a hidden character": (
        'template:\n  allow: ["a\\u202e"]\n',
        2,
        "template.allow[0]",
        "characters that nobody can see are refused: U+202E",
    ),
    "two documents": ("crd: {}\n---\ncrd: {}\n", 2, "file", "not YAML"),
    "no YAML": ("crd: {}\ntemplate: [\n", 3, "file", "not YAML"),
    "a control character": ("crd: {}\n\x07\n", 2, "file", "not YAML"),
    "a tab": ("crd:\n\ta: b\n", 2, "file", "not YAML"),
    "nesting without end": (f"crd: {'[' * 5000}", 1, "file", "not YAML: nested too deep"),
    "an empty file": ("", 1, "file", "the file is empty"),
    "nothing but a comment": ("# later\n", 1, "file", "the file is empty"),
    "a word alone": ("later\n", 1, "document", "must be keys and values"),
    "a list alone": ("- a\n", 1, "document", "must be keys and values"),
}


def written(folder: Path, **files: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def problems(folder: Path, model: Any = Policy) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        loaded(folder, model)
    return [problem.removeprefix(f"{folder}/") for problem in refused.value.problems]


def test_good_files_are_known_by_their_names(tmp_path: Path) -> None:
    policies = loaded(written(tmp_path, default=POLICY, strict="{}\n"), Policy)

    assert list(policies) == ["default", "strict"]
    assert policies["default"].quota.live_per_root == 3
    assert policies["strict"] == Policy()


def test_a_template_is_stamped_with_the_name_of_its_file(tmp_path: Path) -> None:
    folder = written(tmp_path, researcher=yaml.safe_dump(RESEARCHER))

    assert loaded(folder, Template) == {"researcher": template()}


@pytest.mark.parametrize(("text", "line", "key", "message"), BAD.values(), ids=BAD)
def test_a_mistake_is_named_with_file_line_and_key(
    tmp_path: Path, text: str, line: int, key: str, message: str
) -> None:
    assert any(
        problem.startswith(f"p.yaml:{line}: {key}: {message}") for problem in problems(written(tmp_path, p=text))
    )


@pytest.mark.parametrize(
    "case", sorted(set(BAD) - {"an alias", "a tag that runs code", "an alias as a key", "a list as a key"})
)
def test_one_mistake_is_one_problem(tmp_path: Path, case: str) -> None:
    assert len(problems(written(tmp_path, p=BAD[case][0]))) == 1


def test_all_mistakes_of_all_files_are_listed_by_file_and_line(tmp_path: Path) -> None:
    many = "".join(f"x{number}: {{}}\n" for number in range(12))
    found = problems(written(tmp_path, b=many, a="quota: {live_per_root: -1, live: 1}\ncrd: ~\n", c=POLICY, d="["))

    places = [problem.split(": ")[0] for problem in found]
    assert places == ["a.yaml:1", "a.yaml:1", "a.yaml:2", *(f"b.yaml:{line}" for line in range(1, 13)), "d.yaml:1"]


def test_entries_of_a_list_go_by_their_names(tmp_path: Path) -> None:
    skills = [{"id": "research", "name": "R"}, {"name": "Second", "description": 7}, {}]
    agent = RESEARCHER["agent"] | {"skills": skills}
    found = problems(written(tmp_path, t=yaml.safe_dump(RESEARCHER | {"agent": agent})), Template)

    keys = [problem.split(": ")[1] for problem in found]
    assert {"agent.skills.research.description", "agent.skills.Second.id", "agent.skills[2].id"} <= set(keys)


def test_a_misplaced_placeholder_is_named_with_its_line_in_the_text(tmp_path: Path) -> None:
    text = yaml.safe_dump({key: value for key, value in RESEARCHER.items() if key != "agent"})
    text += "agent:\n  description: Does it\n  instructions: |\n    fine\n\n    about ${topic}\n"
    line = text[: text.index("about")].count("\n") + 1

    assert problems(written(tmp_path, t=text), Template)[0].startswith(f"t.yaml:{line}: agent.instructions: ${{topic}}")


@pytest.mark.parametrize(
    ("place", "wrong", "right"),
    [
        (("tools", "web-search"), "ask_frist", "ask_first"),
        (("parameters", "properties", "topic"), "maxLenght", "maxLength"),
        (("parameters",), "requierd", "required"),
        (("agent", "compaction"), "after_token", "after_tokens"),
        ((), "keyword", "keywords"),
    ],
)
def test_a_misspelt_key_is_answered_with_the_right_one(
    tmp_path: Path, place: tuple[str, ...], wrong: str, right: str
) -> None:
    document = yaml.safe_load(yaml.safe_dump(RESEARCHER))
    inner = document
    for part in place:
        inner = inner[part]
    inner[wrong] = 1
    found = problems(written(tmp_path, t=yaml.safe_dump(document)), Template)

    assert [problem.split(": ", 1)[1] for problem in found] == [
        f"{'.'.join([*place, wrong])}: unknown key; did you mean {right}?"
    ]


@pytest.mark.parametrize(("kind", "word"), [("integer", "minLength"), ("boolean", "enum"), ("string", "maximum")])
def test_a_key_of_another_type_is_not_answered_with_itself(tmp_path: Path, kind: str, word: str) -> None:
    document = yaml.safe_load(yaml.safe_dump(RESEARCHER))
    document["parameters"]["properties"]["count"] = {"type": kind, "maxLength" if kind == "string" else "title": 1}
    document["parameters"]["properties"]["count"][word] = 1
    found = problems(written(tmp_path, t=yaml.safe_dump(document)), Template)

    assert f"parameters.properties.count.{word}: is not for type {kind}" in [one.split(": ", 1)[1] for one in found]


def test_no_message_repeats_a_value(tmp_path: Path) -> None:
    text = "\n".join(f"{key}: hunter2" for key in Policy.model_fields) + "\nmore: {hunter: [hunter2]}\nhunter2"

    assert not [problem for problem in problems(written(tmp_path, p=text)) if "hunter2" in problem]


@pytest.mark.parametrize("name", ["Default", "1st", "a_b", "a.b", "x" * 21, "-a", "ä"])
def test_a_file_has_a_name_that_its_thing_can_bear(tmp_path: Path, name: str) -> None:
    assert problems(written(tmp_path, **{name: POLICY}))[0].startswith(f"{name}.yaml:1: file: ")


@pytest.mark.parametrize("name", ["default.yml", "default.YAML", "default.YML"])
def test_an_ending_that_would_be_overlooked_is_an_error(tmp_path: Path, name: str) -> None:
    (written(tmp_path, good=POLICY) / name).write_text(POLICY)

    assert problems(tmp_path) == [f"{name}:1: file: rename it to default.yaml"]


def test_other_files_do_not_count(tmp_path: Path) -> None:
    folder = written(tmp_path, good=POLICY)
    for name in ("README.md", "good.yaml~", ".hidden.yaml", "..data"):
        (folder / name).write_text("[")
    (folder / "folder").mkdir()

    assert list(loaded(folder, Policy)) == ["good"]


def test_a_mounted_config_map_is_read_through_its_links(tmp_path: Path) -> None:
    written(tmp_path / "..2026", default=POLICY)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "default.yaml").symlink_to("..data/default.yaml")

    assert list(loaded(tmp_path, Policy)) == ["default"]


def test_what_can_not_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "dangling.yaml").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.yaml")
    written(tmp_path, latin=b"crd: {}\n# \xe4\n", large=POLICY + "#" * (256 * 1024), good=POLICY)

    places = [problem.split(": ", 2)[:2] for problem in problems(tmp_path)]
    assert places == [
        ["dangling.yaml:1", "file"],
        ["folder.yaml:1", "file"],
        ["large.yaml:1", "file"],
        ["latin.yaml:2", "file"],
        ["pipe.yaml:1", "file"],
    ]


def test_an_empty_folder_and_a_missing_one_are_errors(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigError) as refused:
            loaded(folder, Policy)
        assert refused.value.problems[0].startswith(f"{folder}:1: folder: ")


def test_the_good_files_of_a_folder_can_be_had_beside_the_problems(tmp_path: Path) -> None:
    read = examine(written(tmp_path, good=POLICY, bad="crd: &a {}\n"), Policy)

    assert (list(read.values), len(read.problems)) == (["good"], 1)
    assert str(read.problem("good", ("template", "allow", 0), "x")) == f"{tmp_path}/good.yaml:3: template.allow[0]: x"


SNIPPETS = [
    "quota:",
    "template:",
    " allow",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "!!int ",
    "<<",
    "|\n",
    "'",
    '"',
]
yamlish = st.lists(st.sampled_from([*SNIPPETS, "\n", " ", "~", "0o7", "\t", "%", "#", "yes", "1e9"])).map("".join)


@given(st.one_of(st.text(), st.binary(), yamlish))
def test_any_file_loads_or_is_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, content: str | bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    for model in (Policy, Template):
        read = examine(written(folder, any=data), model)
        assert bool(read.values) != bool(read.problems)
