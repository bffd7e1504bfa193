"""Apache Kafka with SASL_SSL and the StandardAuthorizer, its certificates, and rights.

The plain listener is for the tests themselves: who connects there may do everything. The proxied
one is the secure one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from aiokafka.errors import GroupAuthorizationFailedError
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from agents.kafka.admin import Admin, ask
from agents.kafka.rights import Right, lacking
from agents.settings import Settings
from tests.kafka import RealKafka
from tests.patience import PATIENCE_S

USER = "monitor"
PRINCIPAL = f"User:{USER}"
PASSWORD = "mellon"  # noqa: S105 - of a broker that lives as long as a test
_PATTERNS = {False: ACLResourcePatternType.LITERAL, True: ACLResourcePatternType.PREFIXED}
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_BEARER = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"


class Authority:
    """A certificate authority in a folder.

    Parameters
    ----------
    folder
        Receives the files.
    name
        Of the authority.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = name
        self.path = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        files = ["-keyout", str(self._key), "-out", str(self.path)]
        _openssl(*new, *files, "-subj", f"/CN={name}")

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return a certificate for 127.0.0.1, and its key."""
        cert, key = (self._folder / f"{self._name}-{name}.{end}" for end in ("pem", "key"))
        asked, extra = cert.with_suffix(".csr"), cert.with_suffix(".ext")
        extra.write_text("subjectAltName=IP:127.0.0.1\n")
        new = ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(asked)]
        _openssl(*new, "-subj", f"/CN={name}")
        by = ["-CA", str(self.path), "-CAkey", str(self._key), "-CAcreateserial", "-days", "2"]
        _openssl(*by_x509(asked, cert), *by, "-extfile", str(extra))
        return cert, key


def by_x509(asked: Path, cert: Path) -> list[str]:
    """Return the beginning of the command that signs."""
    return ["x509", "-req", "-in", str(asked), "-out", str(cert)]


def _openssl(*arguments: str) -> None:
    command = ["openssl", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def secure_kafka(folder: Path) -> RealKafka:
    """Return a node whose proxied listener is SASL_SSL, with PLAIN and OAUTHBEARER."""
    authority = Authority(folder)
    cert, key = authority.issue("broker")
    store = folder / "broker-store.pem"
    store.write_text(key.read_text() + cert.read_text())
    own = "listener.name.proxied"
    settings = {
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:SASL_SSL,"
        "CONTROLLER:PLAINTEXT",
        f"{own}.ssl.keystore.type": "PEM",
        f"{own}.ssl.keystore.location": str(store),
        f"{own}.sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER",
        f"{own}.plain.sasl.jaas.config": f'{_PLAIN} required user_{USER}="{PASSWORD}";',
        f"{own}.oauthbearer.sasl.jaas.config": f"{_BEARER} required "
        'unsecuredLoginStringClaim_sub="broker";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    return RealKafka(settings=settings)


def secure_settings(kafka: RealKafka, folder: Path) -> dict[str, str]:
    """Return the settings by which a user connects to `secure_kafka`."""
    return {
        "broker": f"127.0.0.1:{kafka.proxied_port}",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "username": USER,
        "password": PASSWORD,
        "tls_ca_file": str(folder / "authority.pem"),
    }


def token(subject: str = USER, lives_s: float = 300.0) -> str:
    """Return a token of which Kafka's unsecured validator takes the subject for the user."""
    now_s = time.time()  # noqa: TID251 - the broker's clock reads it
    parts = ({"alg": "none"}, {"sub": subject, "iat": now_s, "exp": now_s + lives_s})
    return ".".join([*(_base64(json.dumps(part).encode()) for part in parts), ""])


def _base64(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


async def give(kafka: RealKafka, user: Settings, rights: Sequence[Right]) -> None:
    """Give a user these rights; return once the authorizer knows."""
    await asyncio.to_thread(_create, kafka, rights)
    await _until_applied(user, rights, is_held=True)


async def take(kafka: RealKafka, user: Settings, rights: Sequence[Right]) -> None:
    """Take these rights away; return once the authorizer knows."""
    await asyncio.to_thread(_delete, kafka, rights)
    await _until_applied(user, rights, is_held=False)


async def _until_applied(user: Settings, rights: Sequence[Right], *, is_held: bool) -> None:
    """Wait: the controller acknowledges a change before the authorizer has it."""
    async with asyncio.timeout(PATIENCE_S):
        for right in rights:
            while await ask(user, partial(_holds, right=right)) is not is_held:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def _holds(admin: Admin, right: Right) -> bool:
    if right.resource == "group":
        try:
            return not lacking([right], {}, (await admin.describe_group(right.name)).operations)
        except GroupAuthorizationFailedError:
            return False
    found = await admin.describe([right.name])
    return right.name in found and not lacking([right], {right.name: found[right.name].operations})


def _create(kafka: RealKafka, rights: Iterable[Right]) -> None:
    with KafkaAdminClient(bootstrap_servers=kafka.bootstrap) as admin:
        answer = admin.create_acls([_acl(right) for right in rights])
        assert not answer["failed"]


def _delete(kafka: RealKafka, rights: Iterable[Right]) -> None:
    with KafkaAdminClient(bootstrap_servers=kafka.bootstrap) as admin:
        found = admin.delete_acls([_filter(right) for right in rights])
        assert all(matches for _, matches, _ in found)


def _acl(right: Right) -> ACL:
    pattern = ResourcePattern(
        ResourceType[right.resource.upper()], right.name, _PATTERNS[right.is_prefix]
    )
    return ACL(PRINCIPAL, "*", ACLOperation[right.operation], ACLPermissionType.ALLOW, pattern)


def _filter(right: Right) -> ACLFilter:
    pattern = ResourcePatternFilter(
        ResourceType[right.resource.upper()], right.name, _PATTERNS[right.is_prefix]
    )
    operation = ACLOperation[right.operation]
    return ACLFilter(PRINCIPAL, "*", operation, ACLPermissionType.ALLOW, pattern)


def as_env(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings as environment variables."""
    return {f"TIDEGAUGE_{name.upper()}": value for name, value in settings.items()}
