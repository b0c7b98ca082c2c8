"""Why Kafka does not answer: name, port, TLS, login, and where it sends its clients.

kafka-python tries again and again, and says only that the time is over. This goes the same way
once, with the same settings, and stops at the first step that fails. It changes nothing on Kafka.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from kafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    NoError,
    UnsupportedSaslMechanismError,
    for_code,
)
from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.metadata import ApiVersionsRequest, MetadataRequest
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from chatkit.errors import SettingsError
from chatkit.settings import Settings

__all__ = ["Finding", "diagnose", "tls_context"]

SECONDS = 2.0
"""For all of it."""
STEP_SECONDS = 1.0
"""For one answer."""
TOPIC_IDS = 10
"""The first version of Kafka's Metadata that tells a topic's id: Kafka 2.8."""
OUR_MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")
"""In OpenSSL's reasons where it is our certificate that is not as the other side wants it."""
NO_TLS = (
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNEXPECTED_EOF_WHILE_READING",
    "WRONG_VERSION_NUMBER",
)
"""OpenSSL's reasons where the other side does not seem to know TLS at all."""


class Finding(msgspec.Struct, frozen=True):
    """What is wrong on the way to Kafka."""

    text: str
    """What it is, and what to do, as sentences without the last full stop."""
    lasting: bool = False
    """Whether it stays until somebody changes a setting, so that trying again is of no use."""


class _Found(Exception):
    """Ends the way: what is wrong, what to do, and whether that is all that helps."""

    def __init__(self, what: str, advice: str, *, lasting: bool = True) -> None:
        self.what = what
        self.finding = Finding(f"{what}: {advice}", lasting)


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return what TLS to Kafka is made with; None where there is none.

    Raises
    ------
    SettingsError
        A file can't be read, or is no certificate or key; names the variable.
    """
    if "SSL" not in settings.security_protocol:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = settings.ssl_check_hostname
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        path = getattr(settings, name)
        if path is not None:
            try:
                path.open("rb").close()
            except OSError as error:
                raise SettingsError(
                    f"CHATKIT_{name.upper()}: {path} can't be read: {error.strerror}"
                ) from error
    if settings.ssl_cafile is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(settings.ssl_cafile)
        except ssl.SSLError as error:
            raise SettingsError(
                f"CHATKIT_SSL_CAFILE: {settings.ssl_cafile} holds no certificate in PEM format"
            ) from error
    if settings.ssl_certfile is not None:
        try:
            # With no password, OpenSSL would ask for one on the terminal, and wait.
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, password="")
        except ssl.SSLError as error:
            reason = "one of them is not in PEM format, the key is missing, or has a passphrase"
            if error.reason == "KEY_VALUES_MISMATCH":
                reason = "the key is not that of the certificate"
            raise SettingsError(
                f"CHATKIT_SSL_CERTFILE ({settings.ssl_certfile}) and CHATKIT_SSL_KEYFILE "
                f"({settings.ssl_keyfile or 'the same file'}) can't be used: {reason}"
            ) from error
    return context


def diagnose(settings: Settings, seconds: float = SECONDS) -> Finding | None:
    """Return what is wrong on the way to Kafka, or None if nothing is.

    Parameters
    ----------
    settings : Settings
        Where Kafka is, and how to get in.
    seconds : float, default 2
        How long it may take.

    Raises
    ------
    SettingsError
        A certificate or key can't be used.
    """
    context = tls_context(settings)
    found: list[Finding | None] = []
    end = time.monotonic() + seconds

    def look() -> None:
        found.append(_look(settings, context, end))

    # Looking up a name can't be bounded.
    thread = threading.Thread(target=look, name="chatkit-diagnosis", daemon=True)
    thread.start()
    thread.join(seconds)
    if found:
        return found[0]
    return Finding(
        f"To find out why took too long: looking up a name of CHATKIT_BOOTSTRAP_SERVERS="
        f"{settings.bootstrap_servers} may take long, or what answers there is very slow"
    )


def _look(settings: Settings, context: ssl.SSLContext | None, end: float) -> Finding | None:
    findings = []
    for address in settings.bootstrap_servers.split(","):
        host, port = _split(address.strip())
        try:
            with _Talk(settings, context, host, port, end) as talk:
                advertised = talk.log_in()
            _check_advertised(settings, context, (host, port), advertised, end)
        except _Found as stop:
            findings.append(stop.finding)
        except (OSError, KafkaError, ValueError) as error:
            findings.append(
                Finding(
                    f"What answers at {_at(host, port)} does not talk like Kafka ({error}): it is "
                    "just starting or ending, or CHATKIT_BOOTSTRAP_SERVERS is wrong"
                )
            )
        else:
            return None
    return next((one for one in findings if one.lasting), findings[0])


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _check_advertised(
    settings: Settings,
    context: ssl.SSLContext | None,
    asked: tuple[str, int],
    advertised: Sequence[tuple[str, int]],
    end: float,
) -> None:
    for host, port in advertised:
        if (host, port) == asked:
            continue
        try:
            with _Talk(settings, context, host, port, end):
                pass
        except _Found as stop:
            raise _Found(
                f"Kafka at {_at(*asked)} answered, but sends its clients on to {_at(host, port)}, "
                f"where it goes wrong. {stop.what}",
                "whoever runs it must set advertised.listeners on the broker to an address that "
                "can be reached from here, or name the listener that is meant for us, for "
                "CHATKIT_BOOTSTRAP_SERVERS",
                lasting=False,
            ) from stop


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Talk:
    """One connection to a broker, step by step; closed at the end of the block."""

    def __init__(
        self, settings: Settings, context: ssl.SSLContext | None, host: str, port: int, end: float
    ) -> None:
        self._settings = settings
        self._host = host
        self._where = _at(host, port)
        self._end = end
        self._parser = KafkaProtocol(client_id="chatkit")
        self._socket = self._connect(host, port)
        if context is not None:
            self._socket = self._secure(context)

    def __enter__(self) -> _Talk:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._socket.close()

    def _seconds(self) -> float:
        return max(0.05, min(STEP_SECONDS, self._end - time.monotonic()))

    @property
    def _protocol(self) -> str:
        return self._settings.security_protocol

    def _connect(self, host: str, port: int) -> socket.socket:
        try:
            return socket.create_connection((host, port), timeout=self._seconds())
        except (socket.gaierror, UnicodeError) as error:
            raise _Found(
                f"The name {host} is not known here ({error})",
                "check CHATKIT_BOOTSTRAP_SERVERS",
                lasting=False,
            ) from error
        except ConnectionRefusedError as error:
            raise _Found(
                f"Nothing listens at {self._where}",
                "start Kafka (on this machine: 'chatkit up'), or set CHATKIT_BOOTSTRAP_SERVERS to "
                "one that runs",
                lasting=False,
            ) from error
        except OSError as error:
            raise _Found(
                f"{self._where} can't be reached ({error})",
                "a firewall is in between, or CHATKIT_BOOTSTRAP_SERVERS is wrong",
                lasting=False,
            ) from error

    def _secure(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        self._socket.settimeout(self._seconds())
        try:
            return context.wrap_socket(self._socket, server_hostname=self._host)
        except ssl.SSLCertVerificationError as error:
            raise self._about_certificate(error) from error
        except TimeoutError as error:
            raise self._silent() from error
        except OSError as error:  # SSLError is one
            if isinstance(error, ssl.SSLError) and not _is_no_tls(error):
                raise self._about_refused_tls(error) from error
            raise _Found(
                f"{self._where} does not speak TLS",
                "set CHATKIT_SECURITY_PROTOCOL to "
                f"{self._protocol.replace('SSL', 'PLAINTEXT')} (it is {self._protocol}), or "
                "CHATKIT_BOOTSTRAP_SERVERS to the port that does",
            ) from error
        finally:
            self._socket.close()  # without effect where TLS has taken it over

    def _about_certificate(self, error: ssl.SSLCertVerificationError) -> _Found:
        text = f"The certificate of Kafka at {self._where}"
        if error.verify_code in (9, 10):
            return _Found(
                f"{text} {'has expired' if error.verify_code == 10 else 'is not valid yet'}",
                "whoever runs it must renew that, unless this machine's clock is wrong",
            )
        if error.verify_code in (62, 64):
            return _Found(
                f"{text} is not for {self._host}",
                "set CHATKIT_BOOTSTRAP_SERVERS to the name that it is for, or "
                "CHATKIT_SSL_CHECK_HOSTNAME to false if you trust it all the same",
            )
        return _Found(
            f"{text} is signed by an authority that is not trusted here ({error.verify_message})",
            "set CHATKIT_SSL_CAFILE to that authority's certificate (it is "
            f"{self._settings.ssl_cafile or 'not set: those of the system are trusted'})",
        )

    def _about_refused_tls(self, error: Exception) -> _Found:
        reason = getattr(error, "reason", None) or type(error).__name__
        if isinstance(error, ssl.SSLError) and not any(word in reason for word in CERTIFICATE):
            return _Found(
                f"TLS with Kafka at {self._where} fails ({reason})",
                "ask whoever runs it which TLS it wants, and set CHATKIT_SECURITY_PROTOCOL and "
                "CHATKIT_BOOTSTRAP_SERVERS to where it has TLS 1.2 or newer",
            )
        if self._settings.ssl_certfile is None:
            return _Found(
                f"Kafka at {self._where} demands a certificate from us ({reason})",
                "set CHATKIT_SSL_CERTFILE and CHATKIT_SSL_KEYFILE to one that it trusts",
            )
        return _Found(
            f"Kafka at {self._where} does not accept our certificate ({reason})",
            f"it has expired, or is signed by an authority that Kafka does not trust; set "
            f"CHATKIT_SSL_CERTFILE to another (it is {self._settings.ssl_certfile})",
        )

    def _silent(self) -> _Found:
        return _Found(
            f"{self._where} takes connections, but answers nothing",
            "Kafka there is frozen or very busy, or it is no Kafka; start it again (on this "
            "machine: 'chatkit down', 'chatkit up'), or set CHATKIT_BOOTSTRAP_SERVERS to another",
            lasting=False,
        )

    def _ask(self, request: Any) -> Any:
        """Return the answer to a request; OSError if the connection ends before it is there."""
        self._parser.send_request(request)
        end = time.monotonic() + self._seconds()
        self._socket.settimeout(self._seconds())
        self._socket.sendall(self._parser.send_bytes())
        while True:
            self._socket.settimeout(max(0.05, end - time.monotonic()))
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError("it closed the connection")
            for _, answer in self._parser.receive_bytes(data):
                return answer

    @contextlib.contextmanager
    def _failing(self, meaning: _Found) -> Iterator[None]:
        """Say what it means where the connection ends within the block."""
        try:
            yield
        except TimeoutError as error:
            raise self._silent() from error
        except OSError as error:
            raise meaning from error

    def log_in(self) -> list[tuple[str, int]]:
        """Return to which addresses it sends its clients."""
        versions = self._ask_versions()
        first, last = versions.get(MetadataRequest.API_KEY, (0, 0))
        if last < TOPIC_IDS:
            raise _Found(
                f"Kafka at {self._where} is too old",
                "chatkit needs Kafka 2.8 or newer, which tells topics' ids; set "
                "CHATKIT_BOOTSTRAP_SERVERS to one",
            )
        if self._protocol.startswith("SASL"):
            self._authenticate()
        try:
            answer = self._ask(MetadataRequest(topics=[], version=max(first, 1)))
        except TimeoutError as error:
            raise self._silent() from error
        except OSError as error:
            raise self._about_no_login() from error
        return [(broker.host, broker.port) for broker in answer.brokers]

    def _ask_versions(self) -> dict[int, tuple[int, int]]:
        try:
            answer = self._ask(ApiVersionsRequest(version=0))
        except TimeoutError as error:
            raise self._silent() from error
        except (OSError, KafkaError) as error:
            if isinstance(self._socket, ssl.SSLSocket):
                raise self._about_refused_tls(error) from error
            if not self._speaks_tls():
                raise
            raise _Found(
                f"Kafka at {self._where} speaks TLS",
                "set CHATKIT_SECURITY_PROTOCOL to "
                f"{self._protocol.replace('PLAINTEXT', 'SSL')} (it is {self._protocol}), or "
                "CHATKIT_BOOTSTRAP_SERVERS to the port that does not",
            ) from error
        return {one.api_key: (one.min_version, one.max_version) for one in answer.api_keys}

    def _speaks_tls(self) -> bool:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # nothing is said over it
        host, port = self._socket.getpeername()[:2]
        try:
            with socket.create_connection((host, port), self._seconds()) as plain:
                context.wrap_socket(plain).close()
        except OSError as error:
            return isinstance(error, ssl.SSLError) and not _is_no_tls(error)
        return True

    def _about_no_login(self) -> _Found:
        """Return what it means that it takes questions from nobody unknown."""
        secured = self._protocol.replace("PLAINTEXT", "SASL_PLAINTEXT").replace("SSL", "SASL_SSL")
        return _Found(
            f"Kafka at {self._where} wants a user and a password",
            f"set CHATKIT_SECURITY_PROTOCOL to {secured} (it is {self._protocol}), "
            "CHATKIT_SASL_USERNAME and CHATKIT_SASL_PASSWORD",
        )

    def _authenticate(self) -> None:
        mechanism = self._settings.sasl_mechanism
        with self._failing(self._about_user("it closed the connection")):
            offer = self._ask(SaslHandshakeRequest(mechanism=mechanism, version=1))
        error = for_code(offer.error_code)
        if error is IllegalSaslStateError:
            raise _Found(
                f"Kafka at {self._where} asks nobody for a password",
                f"set CHATKIT_SECURITY_PROTOCOL to {self._protocol.removeprefix('SASL_')} (it is "
                f"{self._protocol}), or CHATKIT_BOOTSTRAP_SERVERS to the port that does",
            )
        if error is UnsupportedSaslMechanismError:
            raise self._about_mechanism(offer.mechanisms)
        self._exchange(mechanism)

    def _exchange(self, mechanism: str) -> None:
        config = self._settings.kafka_config()
        exchange = get_sasl_mechanism(mechanism)(host=self._host, **config)
        with self._failing(self._about_user("it closed the connection")):
            while not exchange.is_done():
                token = exchange.auth_bytes()
                answer = self._ask(SaslAuthenticateRequest(auth_bytes=token, version=0))
                if for_code(answer.error_code) is not NoError:
                    raise self._about_user(answer.error_message or "it does not say why")
                exchange.receive(answer.auth_bytes)

    def _about_user(self, reason: str) -> _Found:
        return _Found(
            f"Kafka at {self._where} refused user {self._settings.sasl_username!r} ({reason})",
            "check CHATKIT_SASL_USERNAME and CHATKIT_SASL_PASSWORD, and whether this user is one "
            f"for CHATKIT_SASL_MECHANISM={self._settings.sasl_mechanism}",
        )

    def _about_mechanism(self, offered: Sequence[str]) -> _Found:
        ours = " or ".join(one for one in OUR_MECHANISMS if one in offered)
        return _Found(
            f"Kafka at {self._where} offers no {self._settings.sasl_mechanism}, but "
            f"{', '.join(offered) or 'nothing'}",
            f"set CHATKIT_SASL_MECHANISM to {ours}"
            if ours
            else "ask whoever runs it for a listener with one of those that chatkit has for "
            f"CHATKIT_SASL_MECHANISM, {', '.join(OUR_MECHANISMS)}",
        )


def _is_no_tls(error: ssl.SSLError) -> bool:
    """Return whether it fails since the other side knows no TLS."""
    return isinstance(error, ssl.SSLEOFError) or (error.reason or "") in NO_TLS
