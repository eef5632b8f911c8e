"""nginx with the example configuration, on ports and with a certificate of its own."""

import datetime as dt
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.deploy.places import DEPLOY, program
from tests.servers import Server, free_port

CONFIGURATION = DEPLOY / "nginx" / "tickhub.conf"

_AROUND = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/tickhub.conf;
}}
"""


class NginxServer(Server):
    """The example before processes at other ports. Nothing but names, ports and paths is changed in it."""

    name = "nginx"

    def __init__(self, upstreams: Sequence[str]) -> None:
        super().__init__()
        self.plain_port = free_port()
        self._certify()
        (self.folder / "tickhub.conf").write_text(self._adapted(CONFIGURATION.read_text(), upstreams))
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(_AROUND.format(user=user, folder=self.folder))

    @property
    def place(self) -> str:
        """`host:port`, as the certificate has the host."""
        return f"localhost:{self.port}"

    @property
    def trust(self) -> ssl.SSLContext:
        """Believes this server's certificate and no other."""
        return ssl.create_default_context(cafile=self.folder / "fullchain.pem")

    def logged(self) -> str:
        """All that nginx has written to its logs."""
        return "".join(path.read_text() for path in self.folder.glob("*.log"))

    def _adapted(self, text: str, upstreams: Sequence[str]) -> str:
        servers = "\n".join(f"    server {place} max_fails=1 fail_timeout=2s;" for place in upstreams)
        text = re.sub(r"(?m)(^    server 127\.0\.0\.1:\d+ .*\n)+", servers + "\n", text)
        for old, new in (
            (r"(?m)^    listen \[::\].*\n", ""),
            (r"listen 443 ", f"listen 127.0.0.1:{self.port} "),
            (r"listen 80;", f"listen 127.0.0.1:{self.plain_port};"),
            (r"hub\.example\.com;", "localhost;"),
            (r"/etc/letsencrypt/live/hub\.example\.com/", f"{self.folder}/"),
            (r"/var/log/nginx/", f"{self.folder}/"),
        ):
            text, count = re.subn(old, new, text)
            assert count, f"the example no longer has {old}"
        return text

    def _certify(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = dt.datetime.now(dt.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        (self.folder / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (self.folder / "privkey.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def _command(self) -> list[str]:
        found = program("nginx")
        assert found is not None
        return [found, "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder)]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1):
                return True
        except OSError:
            return False
