from mcp_agentspawn.core.registry import Blueprint, Route, Scope, View
from mcp_agentspawn.operations.services import Rules, random_suffix
from tests.builders import SEES_MAIN, image_template, policy, template, worker


def test_what_a_policy_shows_are_its_scopes_its_routes_and_what_stands_on_its_own() -> None:
    route = {"words": ["log"], "first": "researcher"}
    allow = {"allow": ["researcher", "registry-worker", "registry-image", "gone"]}
    shown = policy(template=allow, registry=SEES_MAIN, search={"routes": [route]})
    templates = {one.name: one for one in (template(), template("other"), worker(), image_template())}

    assert Rules(templates, {"default": shown, "nothing": policy(template={})}).views() == {
        View(
            frozenset({Scope("main", frozenset({"default"}))}),
            (Blueprint("researcher", template().description, tuple(template().keywords)),),
            (Route(("log",), "researcher"),),
        ),
        View(),
    }


def test_suffixes_are_never_guessed_and_fit_a_name() -> None:
    suffixes = {random_suffix() for _ in range(200)}

    assert len(suffixes) == 200
    assert all(
        len(suffix) == 10 and suffix.isalnum() and suffix.islower() for suffix in suffixes if not suffix.isdigit()
    )
