"""The language model behind subagents on this machine: one from the environment, or else a scripted stand-in."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from mcp_agentspawn.localplane.agents import Endpoint
from mcp_agentspawn.localplane.agents.scripted_model import scripted_model

KEY, URL, MODEL = "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"
"""As OpenAI's own clients call them. The model's name is that of the ModelConfig where `OPENAI_MODEL` is not set."""
USUAL_URL = "https://api.openai.com/v1"
SCRIPTED = "scripted"
"""What the model is called where none is configured."""
NO_KEY = "none"
"""What is sent where no key is needed."""


def configured(environment: Mapping[str, str]) -> Endpoint | None:
    """The OpenAI-compatible endpoint that the environment names; None when it names neither a key nor an address."""
    key, url = environment.get(KEY, ""), environment.get(URL, "")
    if not key and not url:
        return None
    return Endpoint(url or USUAL_URL, key or NO_KEY, environment.get(MODEL, ""))


@asynccontextmanager
async def model(environment: Mapping[str, str]) -> AsyncIterator[Endpoint]:
    """The endpoint for all subagents, until the block ends."""
    found = configured(environment)
    if found is not None:
        yield found
        return
    async with scripted_model() as url:
        yield Endpoint(url, NO_KEY, SCRIPTED)
