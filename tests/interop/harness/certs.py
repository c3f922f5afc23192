# SPDX-License-Identifier: Apache-2.0
"""Certificates for the TLS tests, made by the openssl command in a temporary folder."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """A key (PKCS#8 PEM) and the certificate for it."""

    key: Path
    cert: Path

    def keystore(self) -> Path:
        """Both in one PEM file, as Kafka's ssl.keystore.type=PEM reads them."""
        both = self.key.with_suffix(".pem")
        both.write_text(self.key.read_text() + self.cert.read_text())
        return both


class Authority:
    """A certificate authority of its own, valid for a day."""

    def __init__(self, folder: Path, name: str = "test-ca"):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.identity = Identity(folder / f"{name}.key", folder / f"{name}.crt")
        _openssl(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "1",
            "-subj",
            f"/CN={name}",
            "-keyout",
            str(self.identity.key),
            "-out",
            str(self.identity.cert),
        )

    @property
    def cert(self) -> Path:
        return self.identity.cert

    def issue(self, name: str, san: str = "IP:127.0.0.1,DNS:localhost", days: int = 1) -> Identity:
        """A certificate for `san`; a negative `days` gives an expired one."""
        key, csr, crt = (self.folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
        ext = self.folder / f"{name}.ext"
        ext.write_text(f"subjectAltName={san}\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl(
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            f"/CN={name}",
            "-keyout",
            str(key),
            "-out",
            str(csr),
        )
        _openssl(
            "x509",
            "-req",
            "-in",
            str(csr),
            "-CA",
            str(self.cert),
            "-CAkey",
            str(self.identity.key),
            "-CAcreateserial",
            "-days",
            str(days),
            "-extfile",
            str(ext),
            "-out",
            str(crt),
        )
        return Identity(key, crt)


def _openssl(*args: str) -> None:
    done = subprocess.run(["openssl", *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {args[0]}: {done.stderr}")
