from mcp_agentspawn.operations.services import random_suffix


def test_suffixes_are_never_guessed_and_fit_a_name() -> None:
    suffixes = {random_suffix() for _ in range(200)}

    assert len(suffixes) == 200
    assert all(
        len(suffix) == 10 and suffix.isalnum() and suffix.islower() for suffix in suffixes if not suffix.isdigit()
    )
