"""What is known of credentials that were good."""

from mcp_agentspawn.core.familiar import Familiar


def test_what_was_good_is_familiar_until_it_is_no_longer() -> None:
    known = Familiar(2)
    known.note(b"a", good=True)
    known.note(b"b", good=False)
    assert (b"a" in known, b"b" in known) == (True, False)

    known.note(b"a", good=False)

    assert (b"a" in known, len(known)) == (False, 0)


def test_the_one_that_was_good_longest_ago_goes_first() -> None:
    known = Familiar(2)
    for digest in (b"a", b"b", b"a", b"c"):
        known.note(digest, good=True)

    assert [digest in known for digest in (b"a", b"b", b"c")] == [True, False, True]
    assert len(known) == 2
