"""The simulator's TLS: a folder with a certificate for loopback, its key and the authority to tell the collectors.

The rule: the program makes no certificates. Whoever wants TLS makes a test authority once, with the command that the
refusal names; the file names are that command's.
"""

import ssl
from pathlib import Path

CERTIFICATE, KEY, AUTHORITY = "server.pem", "server.key", "client.pem"
HOW = "python -m trustme -d {folder} -i 127.0.0.1 localhost"


class CertificateMissing(Exception):  # noqa: N818 - the state it reports
    """The folder holds no usable certificate; the text says how to make one."""


def server_context(folder: Path) -> ssl.SSLContext:
    """Return a context that serves the folder's certificate. Raises CertificateMissing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(folder / CERTIFICATE, folder / KEY)
    except OSError as error:  # ssl.SSLError is one
        how = HOW.format(folder=folder)
        raise CertificateMissing(
            f"no certificate in {folder} ({error.strerror or error}); `{how}` makes {CERTIFICATE}, {KEY}, {AUTHORITY}"
        ) from error
    return context
