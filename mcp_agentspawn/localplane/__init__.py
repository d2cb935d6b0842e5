"""A real Kubernetes control plane on this machine: etcd, kube-apiserver, controllers; for `make run` and the tests."""

from mcp_agentspawn.localplane.binaries import Binaries, find_or_build
from mcp_agentspawn.localplane.connection import Connection
from mcp_agentspawn.localplane.errors import ControlPlaneFailed, ControlPlaneUnavailable, InstallFailed
from mcp_agentspawn.localplane.install import install
from mcp_agentspawn.localplane.plane import ControlPlane

__all__ = [
    "Binaries",
    "Connection",
    "ControlPlane",
    "ControlPlaneFailed",
    "ControlPlaneUnavailable",
    "InstallFailed",
    "find_or_build",
    "install",
]
