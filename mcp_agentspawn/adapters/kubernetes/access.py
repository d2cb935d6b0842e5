"""Who may use a template: verb `use` on the virtual resource `templates.agentspawn.dev`, as RBAC has it."""

import time
from collections.abc import Callable

from mcp_agentspawn.adapters.kubernetes.answers import Answers
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import ACCESS_REVIEWS
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import GROUP, SYSTEM_NAMESPACE

KNOWN_SECONDS = 5.0
MOST_ANSWERS = 4096


class KubernetesAccess:
    """Asks by SubjectAccessReview, as the root's virtual user alone; an answer is remembered for 5 seconds."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._answers = Answers[tuple[str, str], bool](KNOWN_SECONDS, MOST_ANSWERS, clock)

    async def may_use(self, root: Root, template: str) -> bool:
        """See `core.ports.Access.may_use`."""
        user = root.virtual_user
        return await self._answers.get((user, template), lambda: self._review(user, template))

    async def _review(self, user: str, template: str) -> bool:
        asked = {
            "verb": "use",
            "group": GROUP,
            "resource": "templates",
            "name": template,
            "namespace": SYSTEM_NAMESPACE,
        }
        # The one group that arrives with an impersonated user: what is granted to others is not this user's.
        spec = {"user": user, "groups": ["system:authenticated"], "resourceAttributes": asked}
        review = ACCESS_REVIEWS.object({}, spec=spec)
        answer = await self._client.request("POST", ACCESS_REVIEWS.collection(), review, as_=SERVER, asks=True)
        return read(lambda answer: answer["status"]["allowed"] is True, answer)
