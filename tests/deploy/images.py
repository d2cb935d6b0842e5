"""deploy/byo on a control plane for a while, as an operator who fills in its list, and what it lets in."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from mcp_agentspawn.localplane.install import FIELD_MANAGER
from tests.deploy.cluster import Manifest, until
from tests.deploy.objects import fresh_id, subagent
from tests.deploy.world import DEPLOY, Everybody, manifests_of

DEFAULT, OVERLAY = DEPLOY / "31-policy-shape.yaml", DEPLOY / "byo" / "31-policy-shape.yaml"
LISTED = "registry.example/acme/agent"
DIGEST = "sha256:" + "0123456789abcdef" * 4
ALSO_LISTED = ["registry.example:5000/agent", "localhost:5000/agent", "sub-domain.registry.example/a/b/c.d__e-f"]
NO_REPOSITORIES = [
    "registry.example/acme/tagged:v1",
    "registry.example/pinned@sha256:0",
    "registry.example/*",
    "registry.example/acme/",
    "registry.example/acme/../other",
    "registry.example//acme",
    "registry.example",
    "registry.example/Acme",
    "Registry.example/acme",
    "short",
    "acme/short",
    " registry.example/spaced",
    "https://registry.example/acme",
    "-registry.example/acme",
    "registry.example/-acme",
    "",
]
"""What an operator might write into the list, and what names no repository for sure."""
IMAGES = {
    "nothing": "",
    "a name": LISTED,
    "a tag": f"{LISTED}:v1",
    "a tag before the digest": f"{LISTED}:v1@{DIGEST}",
    "the latest before the digest": f"{LISTED}:latest@{DIGEST}",
    "a digest alone": DIGEST,
    "a digest of nothing": f"@{DIGEST}",
    "another repository": f"registry.example/other/agent@{DIGEST}",
    "another host": f"evil.example/acme/agent@{DIGEST}",
    "another port": f"registry.example:5001/agent@{DIGEST}",
    "no port": f"registry.example/agent@{DIGEST}",
    "a port more": f"registry.example:443/acme/agent@{DIGEST}",
    "a longer host": f"registry.example.evil.example/acme/agent@{DIGEST}",
    "a longer beginning": f"evil.example/{LISTED}@{DIGEST}",
    "a beginning without its host": f"acme/agent@{DIGEST}",
    "the folder above": f"registry.example/acme@{DIGEST}",
    "a longer name": f"{LISTED}-evil@{DIGEST}",
    "a folder below": f"{LISTED}/evil@{DIGEST}",
    "a way up": f"{LISTED}/../evil@{DIGEST}",
    "a way up and back": f"registry.example/acme/../acme/agent@{DIGEST}",
    "a way that goes nowhere": f"registry.example/./acme/agent@{DIGEST}",
    "two slashes": f"registry.example//acme/agent@{DIGEST}",
    "a slash at the end": f"{LISTED}/@{DIGEST}",
    "a slash at the beginning": f"/{LISTED}@{DIGEST}",
    "a scheme": f"https://{LISTED}@{DIGEST}",
    "a user": f"user@{LISTED}@{DIGEST}",
    "a percent sign": f"registry.example/acme%2Fagent@{DIGEST}",
    "a point at the end of the host": f"registry.example./acme/agent@{DIGEST}",
    "capitals": f"registry.example/acme/Agent@{DIGEST}",
    "capitals in the host": f"REGISTRY.example/acme/agent@{DIGEST}",
    "a letter that looks like another": f"registry.example/\N{CYRILLIC SMALL LETTER A}cme/agent@{DIGEST}",
    "a slash that looks like one": f"registry.example\N{DIVISION SLASH}acme/agent@{DIGEST}",
    "a letter as wide as two": f"registry.example/\N{FULLWIDTH LATIN SMALL LETTER A}cme/agent@{DIGEST}",
    "what is not seen": f"{LISTED}\N{ZERO WIDTH SPACE}@{DIGEST}",
    "a space before": f" {LISTED}@{DIGEST}",
    "a space after": f"{LISTED}@{DIGEST} ",
    "a space within": f"{LISTED} @{DIGEST}",
    "a line after": f"{LISTED}@{DIGEST}\n",
    "a line before": f"\n{LISTED}@{DIGEST}",
    "a second line": f"{LISTED}@{DIGEST}\nevil.example/x",
    "a second image": f"{LISTED}@{DIGEST},evil.example/x",
    "an end of all strings": f"{LISTED}@{DIGEST}\0",
    "a digest in capitals": f"{LISTED}@{DIGEST.upper()}",
    "hex in capitals": f"{LISTED}@sha256:{'A' * 64}",
    "no hex": f"{LISTED}@sha256:{'g' * 64}",
    "digits of another script": f"{LISTED}@sha256:{chr(0x660) * 64}",
    "a digest too short": f"{LISTED}@{DIGEST[:-1]}",
    "a digest too long": f"{LISTED}@{DIGEST}0",
    "an empty digest": f"{LISTED}@sha256:",
    "a digest without its kind": f"{LISTED}@{DIGEST.removeprefix('sha256:')}",
    "a longer digest": f"{LISTED}@sha512:{'0' * 128}",
    "a weaker digest": f"{LISTED}@md5:{'0' * 32}",
    "two digests": f"{LISTED}@{DIGEST}@{DIGEST}",
    "a tag after the digest": f"{LISTED}@{DIGEST}:v1",
    "a very long one": f"registry.example{'/a' * 400_000}@{DIGEST}",
}


def from_image(name: str, image: str = f"{LISTED}@{DIGEST}") -> Manifest:
    """A subagent that is an image."""
    agent = subagent(name)
    agent["spec"] = {"type": "BYO", "description": "Researches", "byo": {"deployment": {"image": image}}}
    return agent


def overlay(*repositories: str) -> list[Manifest]:
    """The overlay with these repositories in its list."""
    policy, *bindings = manifests_of(OVERLAY)
    policy["spec"]["variables"] = [{"name": "repositories", "expression": str(list(repositories))}]
    return [policy, *bindings]


@asynccontextmanager
async def images_allowed(everyone: Everybody, *repositories: str) -> AsyncIterator[None]:
    """Inside, images of these repositories are let in, the listed one among them; seen to be over afterwards."""
    await put(everyone, overlay(LISTED, *repositories), lets_in=True)
    try:
        yield
    finally:
        await put(everyone, manifests_of(DEFAULT), lets_in=False)


async def put(everyone: Everybody, manifests: Sequence[Manifest], *, lets_in: bool) -> None:
    """Apply a shape as the installation does, and wait until it lets the listed image in, or does no longer."""

    async def acts() -> bool:
        name = fresh_id()
        answer = await everyone.root(name).create(from_image(name), dryRun="All", fieldValidation="Strict")
        return (answer.status == 201) is lets_in

    for manifest in manifests:
        answer = await everyone.administrator.apply(manifest, fieldManager=FIELD_MANAGER)
        assert answer.status == 200, answer.message
    assert await until(acts), "the shape does not act"
