"""Who may see what is not for everybody: the roles of a request's credentials."""

from enum import StrEnum


class Role(StrEnum):
    """What credentials open; ADMIN opens everything."""

    METRICS = "metrics"
    DOCS = "docs"
    ADMIN = "admin"
