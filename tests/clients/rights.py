"""Rights that an administrator takes away for a while."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kubernetes import client

from tests.dev_fixtures import DevServer
from tests.localplane.waiting import until


@asynccontextmanager
async def rights_withdrawn(server: DevServer, user: str) -> AsyncIterator[None]:
    """The user may create no Agents in the subagents' namespace inside; afterwards it may again."""
    administrator = server.administrator()
    roles: Any = client.RbacAuthorizationV1Api(administrator)
    bindings = [
        binding
        for binding in roles.list_namespaced_role_binding(server.namespace).items
        if user in [subject.name for subject in binding.subjects or []]
    ]
    assert bindings, f"{user} has no rights in {server.namespace}"
    for binding in bindings:
        roles.delete_namespaced_role_binding(binding.metadata.name, server.namespace)
    try:
        await until(lambda: not _may_create(administrator, server.namespace, user))
        yield
    finally:
        for binding in bindings:
            binding.metadata = client.V1ObjectMeta(name=binding.metadata.name)
            roles.create_namespaced_role_binding(server.namespace, binding)
        await until(lambda: _may_create(administrator, server.namespace, user))


def _may_create(administrator: Any, namespace: str, user: str) -> bool:
    attributes = client.V1ResourceAttributes(namespace=namespace, verb="create", group="kagent.dev", resource="agents")
    review = client.V1SubjectAccessReview(spec={"user": user, "resourceAttributes": attributes})
    reviews: Any = client.AuthorizationV1Api(administrator)
    return bool(reviews.create_subject_access_review(review).status.allowed)
