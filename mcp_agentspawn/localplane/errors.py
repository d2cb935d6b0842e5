"""What can go wrong with the local control plane, in sentences that its user can act on."""


class ControlPlaneUnavailable(Exception):
    """The binaries are missing and can not be built; the text says what is missing and the ways out."""


class ControlPlaneFailed(Exception):
    """A component died or did not come up in time; the text ends with the tail of its log."""


class InstallFailed(Exception):
    """The API server refused a manifest, or did not serve it in time; the text names file, object and reason."""
