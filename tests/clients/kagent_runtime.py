"""Run kagent's real agent runtime; started with the Python of its own environment, not with ours.

The folder given holds `config.json` and `agent-card.json`, as kagent's controller writes them. Sessions and tasks are
kept in memory, so no controller is needed. Prints the URL it listens on as its first line.
"""

# mypy: disable-error-code="import-not-found"
# The imports below are installed in the runtime's environment only.

import json
import socket
import sys
from pathlib import Path

import uvicorn
from a2a.types import AgentCard
from kagent.adk import AgentConfig, KAgentApp

NAME = "orchestrator"


def main(folder: Path) -> None:
    config = AgentConfig.model_validate(json.loads((folder / "config.json").read_text()))
    written = json.loads((folder / "agent-card.json").read_text())
    card = AgentCard.model_validate(written)  # type: ignore[attr-defined] # its a2a is older than ours
    agent = KAgentApp(lambda: config.to_agent(NAME), card, card.url, NAME, agent_config=config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)  # noqa: T201 - for its starter
        server = uvicorn.Server(uvicorn.Config(agent.build(local=True), log_level="warning"))
        server.run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
