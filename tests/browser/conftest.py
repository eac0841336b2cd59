"""Where the scripts of these tests run."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.certificates import TRUSTED, identity
from tests.support.chromium import Chromium, find_chromium, running_chromium
from tests.support.javascript import Engine, InChromium, Node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="package")
def chromium() -> Iterator[Chromium]:
    """One browser for the tests of this folder, since its start takes seconds."""
    if find_chromium() is None:
        pytest.skip("Chromium is not installed")
    certificate = x509.load_pem_x509_certificate(identity()[0])
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    with running_chromium(f"--ignore-certificate-errors-spki-list={pin}") as browser:
        yield browser


@pytest.fixture(params=["node", "chromium"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Node, and a page of Chromium."""
    if request.param == "chromium":
        return InChromium(request.getfixturevalue("chromium"))
    authority = tmp_path / "ca.pem"
    authority.write_bytes(TRUSTED)
    return Node(NODE_EXTRA_CA_CERTS=str(authority))
