"""What MongoDB's and pymongo's errors mean to a user, and what to do.

Says nothing that may be somebody's message or a piece of a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from chatkit.errors import StoreRefusedError, StoreUnavailableError
from chatkit.settings import Settings

__all__ = ["about_uri", "explain"]

UNAUTHORIZED = 13
AUTHENTICATION_FAILED = (11, 18, 8000)
"""No such user, wrong password, and what MongoDB's own service says for both."""


WHY = (
    (
        "certificate has expired|certificate is not yet valid",
        (
            "Its certificate is not valid any more, or not yet: whoever runs it must renew that, "
            "unless this machine's clock is wrong"
        ),
        True,
    ),
    (
        "Hostname mismatch|IP address mismatch",
        "Its certificate is for another host: name that one in CHATKIT_MONGO_URI",
        True,
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        (
            "Its certificate is signed by an authority that is not trusted here: set tlsCAFile in "
            "CHATKIT_MONGO_URI to that authority's certificate"
        ),
        True,
    ),
    (
        "CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE",
        (
            "It wants a certificate of ours, or another one: set tlsCertificateKeyFile in "
            "CHATKIT_MONGO_URI"
        ),
        True,
    ),
    (
        "SSL handshake failed",
        "It does not speak TLS: take tls=true out of CHATKIT_MONGO_URI",
        True,
    ),
    (
        "connection closed.* with TLS$",
        (
            "It closes connections at once: if it wants a certificate of ours, set "
            "tlsCertificateKeyFile in CHATKIT_MONGO_URI"
        ),
        False,
    ),
    (
        "connection closed",
        "It closes connections at once: if it wants TLS, add tls=true to CHATKIT_MONGO_URI",
        False,
    ),
    (
        "refused",
        (
            "Nothing listens there: start one with 'chatkit up', or set CHATKIT_MONGO_URI to one "
            "that runs"
        ),
        False,
    ),
    (
        "not known|does not exist|name resolution",
        "No host of that name is known here: check CHATKIT_MONGO_URI",
        False,
    ),
    (
        "no server( with TLS)?$",
        (
            "It is no member of the replica set that is asked for: check replicaSet in "
            "CHATKIT_MONGO_URI"
        ),
        True,
    ),
    (
        "RSSecondary|RSGhost|RSOther",
        (
            "Its replica set has no primary: most members are down, or it was not initiated; "
            "CHATKIT_MONGO_URI should name several members"
        ),
        False,
    ),
    (
        "",
        (
            "It is frozen or very busy, or a firewall is in between: start it again (on this "
            "machine: 'chatkit down', 'chatkit up'), or set CHATKIT_MONGO_URI to one that runs"
        ),
        False,
    ),
)
"""What pymongo says where no server can be used, what it means, and whether that lasts."""


def explain(
    settings: Settings, client: MongoClient[dict[str, Any]], error: PyMongoError
) -> StoreUnavailableError:
    """Return the error that tells a user what pymongo's error means.

    Parameters
    ----------
    settings : Settings
        Where MongoDB was looked for.
    client : MongoClient
        Who met the error, and knows the state of the servers.
    error : PyMongoError
        What pymongo raised.
    """
    where = f"MongoDB at {_hosts(settings)}"
    if isinstance(error, OperationFailure):
        text = _said(error)
        if error.code in AUTHENTICATION_FAILED:
            return StoreRefusedError(
                f"{where} refused user or password ({text}): check both in CHATKIT_MONGO_URI, "
                "and authSource there, the database in which the user was made"
            )
        if error.code == UNAUTHORIZED and "authentication" in text:
            return StoreRefusedError(
                f"{where} wants a user and a password ({text}): set CHATKIT_MONGO_URI to "
                "mongodb://USER:PASSWORD@HOST/?authSource=admin"
            )
        if error.code == UNAUTHORIZED:
            return StoreRefusedError(
                f"{where} does not let the user of CHATKIT_MONGO_URI do that ({text}): it "
                f"takes the role readWrite on database {settings.database}, which "
                "CHATKIT_DATABASE names"
            )
        return StoreUnavailableError(f"{where} failed: {text}")
    why, lasting = _why(settings, client, error)
    kind = StoreRefusedError if lasting else StoreUnavailableError
    return kind(
        f"{where} did not answer within {settings.mongo_timeout:g} s "
        f"({type(error).__name__}). {why}"
    )


def about_uri(settings: Settings, error: Exception) -> str:
    """Return an error about the URI without what may be a piece of the password."""
    uri = settings.mongo_uri.get_secret_value()
    secret = uri.split("//", 1)[-1].rpartition("@")[0].partition(":")[2]
    pieces = [piece for piece in re.split("[/?#@:&=]", secret) if piece]
    if any(piece in str(error) for piece in pieces):
        return (
            "user and password must be percent-encoded there, such as %40 for @, %3A for : "
            "and %2F for /"
        )
    return str(error)


def _why(
    settings: Settings, client: MongoClient[dict[str, Any]], error: PyMongoError
) -> tuple[str, bool]:
    """Return why no server can be used and what to do, and whether that lasts."""
    servers = client.topology_description.server_descriptions().values()
    text = " ".join(str(server.error) for server in servers if server.error) or str(error)
    text += "".join(f" {server.server_type_name}" for server in servers) or " no server"
    if re.search(r"(tls|ssl)=true|\+srv:", settings.mongo_uri.get_secret_value()):
        text += " with TLS"
    return next((why, lasting) for words, why, lasting in WHY if re.search(words, text))


def _hosts(settings: Settings) -> str:
    """Return the hosts in the URI, with no user, no password and no options."""
    uri = settings.mongo_uri.get_secret_value()
    return re.split("[/?]", uri.split("//", 1)[-1].rsplit("@", 1)[-1])[0]


def _said(error: OperationFailure) -> str:
    """Return what MongoDB said, without the command or document that it was about."""
    details: Mapping[str, Any] = error.details or {}
    told = (details, *details.get("writeErrors", ()), *details.get("writeConcernErrors", ()))
    text = next((one["errmsg"] for one in told if one.get("errmsg")), f"code {error.code}")
    return str(text).split(" to execute command")[0]
