"""Keys and certificates in files and strings: reading them, and saying what is wrong with them.

Mbed TLS has one error for all that it cannot use. This module tells apart what a user can mend:
the wrong file, the wrong format, the wrong password, a key and a certificate that do not belong
together. Python's OpenSSL checks the last two. Its answer counts only where it is certain: nothing
that Mbed TLS takes is refused because OpenSSL would not take it.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

from trionng._base.errors import InvalidOperation, NoEntry, PermissionDenied, shown

PathLike = str | os.PathLike[str]

Verdict = Literal["fits", "alien", "unreadable", "unknown"]

_LABEL: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
# What OpenSSL says when the numbers, or the kinds, of key and certificate differ.
_ALIEN: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_READABLE: Final = "libnng's TLS reads RSA and ECDSA keys, not Ed25519"


def as_paths(option: str, paths: PathLike | Iterable[PathLike] | None) -> list[PathLike]:
    """Return one path or several as a list."""
    if paths is None:
        return []
    if isinstance(paths, (str, bytes, os.PathLike)):
        return [os.fsdecode(paths)]
    try:
        several = [os.fsdecode(each) for each in paths]
    except TypeError:
        raise TypeError(f"{option}: a path is needed, or several, not {paths!r}") from None
    if not several:
        raise InvalidOperation(f"{option}: no file is named")
    return list(several)


def read_file(operation: str, path: PathLike) -> bytes:
    """Read a PEM file, or raise an exception that says why not."""
    attempted = f"{operation} {os.fsdecode(path)}"
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise NoEntry(f"{attempted}: there is no such file") from error
    except PermissionError as error:
        raise PermissionDenied(f"{attempted}: this process may not read it") from error
    except IsADirectoryError as error:
        raise InvalidOperation(
            f"{attempted}: it is a directory; name the files in it, as in "
            "sorted(Path(directory).glob('*.pem')), or a file that holds all of them"
        ) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidOperation(f"{attempted}: {why}") from error
    return as_pem(attempted, data)


def as_bytes(what: str, value: str | bytes) -> bytes:
    """Return bytes without a zero byte, which would end them in C."""
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"{shown(what)} is str or bytes, not {type(value).__name__}")
    try:
        data = value.encode() if isinstance(value, str) else value
    except UnicodeEncodeError:
        raise InvalidOperation(f"{what}: it has characters that UTF-8 has not") from None
    if b"\0" in data:
        raise InvalidOperation(f"{what}: it has a zero byte")
    return data


def as_pem(what: str, value: str | bytes) -> bytes:
    """Return bytes that may be PEM; refuse DER and empty ones."""
    if isinstance(value, bytes) and value[:1] == b"\x30" and b"-----BEGIN" not in value:
        raise InvalidOperation(
            f"{what}: it is DER, and PEM is needed: `openssl x509 -inform der -in FILE` makes it "
            "of a certificate, `openssl pkey -inform der -in FILE` of a key"
        )
    data = as_bytes(what, value)
    if not data.strip():
        raise InvalidOperation(f"{what}: it is empty")
    return data


def _labels(data: bytes) -> set[str]:
    return {label.decode() for label in _LABEL.findall(data)}


def why_no_chain(data: bytes, revoked: bytes | None = None) -> str:
    """Return what is wrong with certificates of authorities."""
    labels = _labels(data)
    if "CERTIFICATE" in labels:
        if revoked is not None and "X509 CRL" not in _labels(revoked):
            return "there is no PEM list of revoked certificates in crl"
        return "a PEM certificate in it, or the list of what is revoked, cannot be read"
    if "TRUSTED CERTIFICATE" in labels:
        return "it is OpenSSL's TRUSTED CERTIFICATE; `openssl x509 -in FILE` makes it a plain one"
    if any(label.endswith("PRIVATE KEY") for label in labels):
        return "there is no PEM certificate in it, but a private key"
    if not labels and len(data) < 4096 and b"\n" not in data.strip():
        return "there is no PEM certificate in it; a file is named with ca_files or cert_key_file"
    return "there is no PEM certificate in it"


def why_no_own(cert: bytes, key: bytes, password: bytes | None) -> str:
    """Return what is wrong with a certificate and key that Mbed TLS refused."""
    labels = _labels(key)
    has_key = any(label.endswith("PRIVATE KEY") for label in labels)
    if "CERTIFICATE" not in _labels(cert):
        if "CERTIFICATE" in labels and any("PRIVATE KEY" in each for each in _labels(cert)):
            return "certificate and key have changed places"
        return why_no_chain(cert)
    if not has_key:
        public = ", but a public key" if any("PUBLIC KEY" in each for each in labels) else ""
        return f"there is no PEM private key in it{public}; a key and its certificate are needed"
    if "OPENSSH PRIVATE KEY" in labels:
        return "the key is in OpenSSH's own format: `ssh-keygen -p -m PEM -f FILE` makes it PEM"
    if "ENCRYPTED PRIVATE KEY" not in labels and b",ENCRYPTED" not in key:
        return f"the certificate or the key cannot be read; {_READABLE}"
    if password is None:
        return "the key is encrypted: give its passwd"
    if fit(cert, key, password) == "unreadable":
        return "the key is encrypted, and passwd does not fit"
    if "ENCRYPTED PRIVATE KEY" in labels:
        return (
            "the key is encrypted in a format that libnng's TLS does not know, such as PKCS#8 with "
            "AES. Write it in the traditional one: `openssl rsa -aes256 -traditional -in OLD -out "
            "NEW`, or `openssl ec -aes256 -in OLD -out NEW`"
        )
    return f"the key is encrypted, and passwd does not fit; or {_READABLE}"


def fit(cert: bytes, key: bytes, password: bytes | None) -> Verdict:
    """Ask OpenSSL whether a key belongs to the first certificate."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with contextlib.suppress(ssl.SSLError):
            context.set_ciphers("ALL:@SECLEVEL=0")  # weak keys are accepted here
        with _as_file(cert) as cert_path, _as_file(key) as key_path:
            # An empty password, as OpenSSL would ask for it on the terminal.
            context.load_cert_chain(cert_path, key_path, password=password or b"")
    except ssl.SSLError as error:
        return "alien" if error.reason in _ALIEN else "unreadable"
    except (OSError, ValueError, AttributeError):
        return "unknown"  # no descriptor, no /proc, a long password, not Linux
    return "fits"


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """Give the path of a file in memory, which OpenSSL needs; no other process can open it."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
