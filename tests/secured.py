"""A real Kafka with a door for each kind of lock, and what one needs to get in.

One broker of `chatkit.local` listens on several ports. Certificates are made on the fly, users and
their rights by its admin client.
"""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from pydantic import SecretStr

from chatkit.doctor import Check, examine
from chatkit.local import LocalStack
from chatkit.local.folder import Layout, free_ports
from chatkit.settings import Settings

PASSWORD = "correct-horse-battery"
"""Of every user; must never be seen in any text."""

# Name of the listener -> what it speaks. Each has its port; clients see it under ``advertised``.
LISTENERS = {
    "PLAINTEXT": "PLAINTEXT",
    "SCRAM": "SASL_PLAINTEXT",
    "TOKENS": "SASL_PLAINTEXT",
    "TLS": "SSL",
    "MUTUAL": "SSL",
    "SECURE": "SASL_SSL",
    "EXPIRED": "SSL",
    "ELSEWHERE": "SSL",
    "LOST": "PLAINTEXT",
    "NAMELESS": "PLAINTEXT",
}
NOBODY = "127.0.0.1:1"
"""Where nothing listens."""


def environment(settings: Settings) -> dict[str, str]:
    """Variables that give a process the same settings."""
    env = {**os.environ, "PYTHONUTF8": "1"}
    for name, value in settings:
        if value is not None and name not in ("java_home", "kafka_home"):
            env[f"CHATKIT_{name.upper()}"] = str(
                value.get_secret_value() if isinstance(value, SecretStr) else value
            )
    return env


def doctor_on(name: str, settings: Settings) -> Check:
    """Return what doctor says of one thing, without going further."""
    checks = examine(settings, local=False)
    try:
        return next(check for check in checks if check.name == name)
    finally:
        checks.close()


class Certificates:
    """An authority, what it signed for a server, and an authority that nobody trusts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority = trustme.CA()
        self.authority = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(self.authority)
        self._stranger = trustme.CA()
        self.stranger = folder / "stranger.pem"
        self._stranger.cert_pem.write_to_path(self.stranger)

    def issue(self, name: str, *hosts: str, trusted: bool = True, **more: Any) -> tuple[Path, Path]:
        """Return the files of a certificate and of its key, which is as Java wants it."""
        authority = self._authority if trusted else self._stranger
        certificate = authority.issue_cert(*hosts, common_name=name, **more)
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        files[0].write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files

    def expired(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """Return the files of a certificate that was valid until yesterday."""
        now = datetime.now(UTC)
        return self.issue(
            name, *hosts, not_before=now - timedelta(days=9), not_after=now - timedelta(days=1)
        )


class SecuredKafka:
    """One broker with all listeners, and a mongod that needs no password."""

    def __init__(self, folder: Path) -> None:
        self.certificates = Certificates(folder)
        self.ports = free_ports(
            ["mongod", "broker-1", "controller", *(LISTENERS.keys() - {"PLAINTEXT"})], {}
        )
        self.ports["PLAINTEXT"] = self.ports["broker-1"]
        # A folder that has been used: so its ports are known before it starts.
        data = folder / "data"
        data.mkdir()
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        layout = Layout(brokers=1, cluster_id=cluster, ports=self.ports)
        (data / "layout.json").write_bytes(msgspec.json.encode(layout))
        self.client_certificate = self.certificates.issue("ana", "ana@example.org")
        self.stack = LocalStack(
            Settings(data_dir=data), kafka_properties=self._properties(), progress=print
        )
        self.stack.start()
        self.add_user("root")

    def _properties(self) -> dict[str, str]:
        at = {name: f"127.0.0.1:{self.ports[name]}" for name in LISTENERS}
        advertised = {**at, "LOST": NOBODY, "NAMELESS": "broker.invalid:9092"}
        server = self.certificates.issue("server", "127.0.0.1", "localhost")
        properties = {
            "listeners": ",".join(
                [
                    *(f"{name}://{where}" for name, where in at.items()),
                    f"CONTROLLER://127.0.0.1:{self.ports['controller']}",
                ]
            ),
            "advertised.listeners": ",".join(f"{n}://{where}" for n, where in advertised.items()),
            "listener.security.protocol.map": ",".join(
                f"{name}:{protocol}"
                for name, protocol in {**LISTENERS, "CONTROLLER": "PLAINTEXT"}.items()
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:root",
            "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
            "listener.name.secure.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.scram.plain.sasl.jaas.config": (
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'user_root="{PASSWORD}" user_ana="{PASSWORD}";'
            ),
            "listener.name.tokens.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.tokens.oauthbearer.sasl.jaas.config": (
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
                'unsecuredLoginStringClaim_sub="root";'
            ),
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
        }
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        for name, mechanism in (
            ("scram", "scram-sha-256"),
            ("scram", "scram-sha-512"),
            ("secure", "scram-sha-512"),
        ):
            properties[f"listener.name.{name}.{mechanism}.sasl.jaas.config"] = scram
        certificates = {
            "tls": server,
            "mutual": server,
            "secure": server,
            "expired": self.certificates.expired("expired", "127.0.0.1"),
            "elsewhere": self.certificates.issue("elsewhere", "kafka.example.org"),
        }
        for name, (chain, key) in certificates.items():
            prefix = f"listener.name.{name}.ssl"
            properties[f"{prefix}.keystore.type"] = "PEM"
            properties[f"{prefix}.keystore.certificate.chain"] = chain.read_text()
            properties[f"{prefix}.keystore.key"] = key.read_text()
            properties[f"{prefix}.truststore.type"] = "PEM"
            properties[f"{prefix}.truststore.location"] = str(self.certificates.authority)
        return properties

    def stop(self) -> None:
        self.stack.stop()

    def settings(self, listener: str, **more: Any) -> Settings:
        """Return what leads through one of the doors: address, protocol and authority."""
        protocol = LISTENERS[listener]
        fields: dict[str, Any] = {
            "bootstrap_servers": f"127.0.0.1:{self.ports[listener]}",
            "security_protocol": protocol,
        }
        if "SSL" in protocol:
            fields["ssl_cafile"] = self.certificates.authority
        if listener == "MUTUAL":
            fields["ssl_certfile"], fields["ssl_keyfile"] = self.client_certificate
        if protocol.startswith("SASL"):
            fields |= {"sasl_username": "root", "sasl_password": PASSWORD}
        return self.stack.settings.replace(**{**fields, **more})

    def admin(self) -> KafkaAdminClient:
        """Return an admin client that may do everything."""
        return KafkaAdminClient(bootstrap_servers=self.stack.kafka.address)

    def add_topic(self, name: str, **configs: str) -> None:
        """Make a topic as whoever runs Kafka might, with ``_`` for the dots of its configs."""
        named = {config.replace("_", "."): value for config, value in configs.items()}
        wanted = {"num_partitions": 1, "replication_factor": 1, "configs": named}
        admin = self.admin()
        try:
            admin.create_topics({name: wanted}, wait_for_metadata=True)
        finally:
            admin.close()

    def add_user(self, name: str, rights: Iterable[tuple[str, str, str]] = ()) -> None:
        """Make a user with `PASSWORD`, for both kinds of SCRAM, and some rights."""
        admin = self.admin()
        try:
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                credential = UserScramCredentialUpsertion(name, mechanism, PASSWORD)
                problems = admin.alter_user_scram_credentials([credential])
                assert problems == {name: None}
        finally:
            admin.close()
        if rights:
            self.allow(name, rights)

    def allow(self, user: str, rights: Iterable[tuple[str, str, str]]) -> None:
        """Give a user rights: topic or group, beginning of its name, operation."""
        admin = self.admin()
        try:
            made = admin.create_acls(
                [
                    ACL(
                        f"User:{user}",
                        "*",
                        ACLOperation[operation.upper()],
                        ACLPermissionType.ALLOW,
                        ResourcePattern(
                            ResourceType[kind.upper()], name, ACLResourcePatternType.PREFIXED
                        ),
                    )
                    for kind, name, operation in rights
                ]
            )
        finally:
            admin.close()
        assert not made["failed"]
