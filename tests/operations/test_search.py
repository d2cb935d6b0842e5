from collections.abc import Sequence

import pytest

from mcp_agentspawn.operations.answers import Hits, Refusal
from mcp_agentspawn.operations.search import search
from tests.builders import CALLER, ROOT, Bench, bench, template


def library() -> Bench:
    names = ["log-analyst", "researcher", "verifier"]
    setup = bench(template={"allow": names})
    setup.rules.templates |= {
        "log-analyst": template("log-analyst", description="Finds causes in logs.", keywords=["logs", "incident"]),
        "verifier": template("verifier", description="Checks a claim against sources.", keywords=["facts", "sources"]),
    }
    setup.world.access.granted |= {(ROOT, name) for name in names}
    return setup


async def hits(
    setup: Bench, query: str, *, limit: int = 10, cursor: str = "", source: str = "", labels: Sequence[str] = ()
) -> Hits:
    answer = await search(setup.services, CALLER, query, limit, cursor, source, labels)
    assert isinstance(answer, Hits), answer.reasons
    return answer


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("why did the incident happen, see the logs", "log-analyst"),
        ("RESEARCH a topic", "researcher"),
        ("verify facts", "verifier"),
        ("verifier", "verifier"),
    ],
)
async def test_the_template_that_shares_most_words_comes_first(query: str, first: str) -> None:
    found = await hits(library(), query)

    assert (found.hits[0].handle, found.hits[0].source, found.hits[0].spawnable) == (first, "template", True)
    assert found.hits[0].matched


async def test_nothing_in_common_is_no_hit() -> None:
    assert (await hits(library(), "bake bread")).hits == ()


async def test_without_a_query_everything_is_listed_by_name() -> None:
    assert [hit.name for hit in (await hits(library(), "")).hits] == ["log-analyst", "researcher", "verifier"]


async def test_pages_follow_their_cursor_to_the_end() -> None:
    setup = library()
    page = await hits(setup, "", limit=2)
    names = [hit.name for hit in page.hits]
    while page.next_cursor:
        page = await hits(setup, "", limit=2, cursor=page.next_cursor)
        names += [hit.name for hit in page.hits]

    assert names == ["log-analyst", "researcher", "verifier"]


async def test_labels_and_source_narrow_the_search() -> None:
    setup = library()

    assert [hit.name for hit in (await hits(setup, "", labels=["sources"])).hits] == ["researcher", "verifier"]
    assert len((await hits(setup, "", source="template")).hits) == 3
    assert (await hits(setup, "", source="registry")).hits == ()


async def test_what_a_caller_may_not_use_it_does_not_find() -> None:
    setup = library()
    setup.world.access.granted.discard((ROOT, "verifier"))

    assert [hit.name for hit in (await hits(setup, "")).hits] == ["log-analyst", "researcher"]


@pytest.mark.parametrize(("cursor", "policies", "code"), [("-1", 1, "search.cursor"), ("", 0, "policy.none")])
async def test_what_can_not_be_answered_is_refused(cursor: str, policies: int, code: str) -> None:
    setup = library()
    if not policies:
        setup.rules.policies.clear()
    answer = await search(setup.services, CALLER, "", 10, cursor, "", [])

    assert isinstance(answer, Refusal)
    assert [reason.code for reason in answer.reasons] == [code]
