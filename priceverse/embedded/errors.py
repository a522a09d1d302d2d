"""Why private servers cannot be had; each text is one line for a person: what, where, what to do.

EmbeddedError
├── StateDirBusy     another process runs on the same state directory
├── ServersMissing   no usable server program on this machine
└── ServerFailed     a server program was found, but does not come up
"""


class EmbeddedError(Exception):
    """A private server cannot be provided."""


class StateDirBusy(EmbeddedError):  # noqa: N818 - reads as the state it reports
    """The state directory belongs to a running process."""


class ServersMissing(EmbeddedError):  # noqa: N818 - reads as the state it reports
    """No program of the needed kind and version is installed."""


class ServerFailed(EmbeddedError):  # noqa: N818 - reads as the state it reports
    """A server did not start, or not in time."""
