"""The command lines of the three components: loopback only, quick, and with the controllers that the lock rests on."""

from collections.abc import Sequence
from pathlib import Path

from mcp_agentspawn.localplane.certificates import Certificates

ISSUER = "https://kubernetes.default.svc"
LOOPBACK = "127.0.0.1"
CONTROLLERS = (
    "clusterrole-aggregation-controller",  # fills the built-in roles edit and admin
    "deployment-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "validatingadmissionpolicy-status-controller",  # type-checks the expressions of policies
)


def etcd(binary: Path, folder: Path, certificates: Certificates, client_port: int, peer_port: int) -> list[str]:
    """Keep state in memory's speed: nothing of it is meant to survive, so it never waits for the disk."""
    client, peer = f"https://{LOOPBACK}:{client_port}", f"https://{LOOPBACK}:{peer_port}"
    pair, authority = certificates.server, certificates.authority
    return [
        str(binary),
        "--name=local",
        f"--data-dir={folder / f'etcd-{client_port}'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=local={peer}",
        f"--cert-file={pair.certificate}",
        f"--key-file={pair.key}",
        f"--trusted-ca-file={authority}",
        "--client-cert-auth",
        f"--peer-cert-file={pair.certificate}",
        f"--peer-key-file={pair.key}",
        f"--peer-trusted-ca-file={authority}",
        "--peer-client-cert-auth",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server(
    binary: Path, folder: Path, certificates: Certificates, *, port: int, etcd_url: str, extra: Sequence[str]
) -> list[str]:
    """Serve the Kubernetes API on loopback, with RBAC, to certificates of our authority and tokens of our file.

    The ServiceAccount admission plugin is off because no kubelet would mount what it adds to pods.
    """
    pair = certificates.server
    return [
        str(binary),
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={folder}",
        f"--tls-cert-file={pair.certificate}",
        f"--tls-private-key-file={pair.key}",
        f"--client-ca-file={certificates.authority}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--anonymous-auth=false",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
        f"--etcd-servers={etcd_url}",
        f"--etcd-cafile={certificates.authority}",
        f"--etcd-certfile={pair.certificate}",
        f"--etcd-keyfile={pair.key}",
        f"--service-account-issuer={ISSUER}",
        f"--api-audiences={ISSUER}",
        f"--service-account-key-file={certificates.service_account_key}",
        f"--service-account-signing-key-file={certificates.service_account_key}",
        "--service-cluster-ip-range=10.0.0.0/24",
        *extra,
    ]


def controller_manager(binary: Path, kubeconfig: Path, certificates: Certificates) -> list[str]:
    """Run the controllers, each as its own service account: the lock exempts the garbage collector by that name."""
    return [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={certificates.service_account_key}",
        f"--root-ca-file={certificates.authority}",
        "--leader-elect=false",
        "--secure-port=0",
        "--resource-quota-sync-period=5s",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]
