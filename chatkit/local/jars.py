"""Kafka's jars: fetched from a Maven repository once and kept, or an unpacked Kafka's own."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import msgspec

from chatkit.errors import LocalServiceError
from chatkit.local.folder import lock_file, write_whole
from chatkit.settings import Settings

__all__ = ["check_versions", "fetch_kafka", "kafka_jars"]

KAFKA = "4.3.1"
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA}",
    f"org.apache.kafka:kafka-tools:{KAFKA}",
    "org.slf4j:slf4j-simple:1.7.36",
)
LOCK_TIMEOUT = 600.0
"""Seconds to wait while another process fetches."""
_AT_ONCE = 8
_KAFKA_JAR = re.compile(r"(?:kafka_\d+\.\d+|(?:kafka|connect)-[a-z-]+)-(\d.*)\.jar")

logger = logging.getLogger(__name__)


def kafka_jars(settings: Settings, progress: Callable[[str], None]) -> list[Path]:
    """Return the jars to run Kafka with, fetched if they are not there.

    Parameters
    ----------
    settings : Settings
        Names ``kafka_home``, ``cache_dir`` and ``maven_url``.
    progress : callable
        Told in a line of text how the fetching goes.

    Returns
    -------
    list of Path
        The class path.

    Raises
    ------
    LocalServiceError
        They can't be fetched, or are not of one version.
    """
    if settings.kafka_home is None:
        return fetch_kafka(settings, progress)
    libs = settings.kafka_home.expanduser().absolute() / "libs"
    jars = sorted(libs.glob("*.jar"))
    if not jars:
        raise LocalServiceError(
            f"KAFKA_HOME is {settings.kafka_home}, but there is no Kafka: {libs} has no jars. "
            "Unpack Apache Kafka's binary release there, or unset KAFKA_HOME to have it fetched."
        )
    check_versions(jar.name for jar in jars)
    return jars


def fetch_kafka(settings: Settings, progress: Callable[[str], None]) -> list[Path]:
    """Return Kafka's jars in the cache; fetch what is missing or damaged.

    Every file is compared with its checksum each time. Processes that fetch at the same time wait
    for each other; one that was interrupted is continued by the next.

    Parameters
    ----------
    settings : Settings
        Names ``cache_dir`` and ``maven_url``.
    progress : callable
        Told in a line of text how the fetching goes.

    Returns
    -------
    list of Path
        The class path.

    Raises
    ------
    LocalServiceError
        The repository did not answer, or the cache can't be written.
    """
    cache = settings.cache_dir / f"kafka-{KAFKA}"
    kept = _kept(cache)
    if kept is not None:
        return kept
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = _wait_for_lock(cache / "lock", progress)
        try:
            kept = _kept(cache)
            return _fetch(cache, settings, progress) if kept is None else kept
        finally:
            os.close(lock)
    except OSError as error:  # requests' errors are OSErrors too
        raise LocalServiceError(_advice(settings, error)) from error


def check_versions(names: Iterable[str]) -> None:
    """Make sure that all of Kafka's own jars have one version.

    A dependency resolver can pick an older kafka-clients; the broker then dies much later, of a
    missing method.

    Parameters
    ----------
    names : iterable of str
        File names of jars.

    Raises
    ------
    LocalServiceError
        They have several versions, one is older than 4.0, or there is none.
    """
    found = {name: match[1] for name in sorted(names) if (match := _KAFKA_JAR.fullmatch(name))}
    versions = set(found.values())
    if len(versions) == 1 and int(versions.pop().split(".")[0]) >= 4:
        return
    shown = ", ".join(found) or "none"
    raise LocalServiceError(
        f"Kafka's jars must all have one version, 4.0 or newer; found: {shown}. Remove the folder "
        "that holds them (the cache, or what KAFKA_HOME names) and fetch them again."
    )


def _kept(cache: Path) -> list[Path] | None:
    """Return the jars of a finished, undamaged fetch."""
    try:
        checksums = msgspec.json.decode((cache / "jars.json").read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    jars = [cache / name for name in checksums]
    if all(_sha1(jar) == checksum for jar, checksum in zip(jars, checksums.values(), strict=True)):
        return jars
    return None


def _fetch(cache: Path, settings: Settings, progress: Callable[[str], None]) -> list[Path]:
    progress(f"Fetching Apache Kafka {KAFKA} (some 60 MB, once) into {cache}")
    repository = cache / "maven"
    _drop_damaged(repository)
    artifacts = _resolve(repository, settings, progress)
    jars: list[Path] = []
    size = 0
    told = time.monotonic()
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        for done in as_completed([pool.submit(artifact.resolve) for artifact in artifacts]):
            jars.append(done.result())
            size += jars[-1].stat().st_size
            if time.monotonic() - told > 0.5 or len(jars) == len(artifacts):
                told = time.monotonic()
                progress(f"{len(jars)} of {len(artifacts)} jars, {size / 1e6:.0f} MB")
    finally:
        pool.shutdown(cancel_futures=True)
    check_versions(jar.name for jar in jars)
    checksums = {str(jar.relative_to(cache)): _sha1(jar) for jar in sorted(jars)}
    write_whole(cache / "jars.json", msgspec.json.format(msgspec.json.encode(checksums)))
    return [cache / name for name in checksums]


def _resolve(repository: Path, settings: Settings, progress: Callable[[str], None]) -> list[Any]:
    """Return jgo's artifacts for everything that Kafka needs, reading only descriptions."""
    try:
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext, PythonResolver
    except ImportError:
        raise LocalServiceError(
            'Kafka can\'t be fetched without jgo: do `pip install "chatkit[local]"`, or set '
            "KAFKA_HOME to an unpacked Apache Kafka."
        ) from None
    import requests

    descriptions = 0

    class WholeFiles(PythonResolver):
        """jgo's resolver, except that a file is in place only when it is whole and checked."""

        def download(self, artifact: Any) -> Path:
            nonlocal descriptions
            path: Path = artifact.cached_path
            url = f"{base}/{artifact.component.path_prefix.as_posix()}/{artifact.filename}"
            if path.suffix == ".pom":
                descriptions += 1
                if descriptions % 25 == 0:
                    progress(f"{descriptions} descriptions of packages read")
            content = _get(session, url).content
            checksum = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            published = _get(session, f"{url}.sha1").text.split()
            if not published or published[0].lower() != checksum:
                raise OSError(f"{url} does not agree with its published checksum")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path.with_name(f"{path.name}.sha1"), checksum.encode())
            write_whole(path, content)
            return path

    base = (settings.maven_url or MAVEN_CENTRAL_URL).rstrip("/")
    session = requests.Session()
    session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=_AT_ONCE, max_retries=3))
    context = MavenContext(
        repo_cache=repository, remote_repos={"repository": base}, resolver=WholeFiles()
    )
    dependencies = [context.create_dependency(name) for name in COORDINATES]
    wanted, transitive = context.resolver.resolve(dependencies)
    return [dependency.artifact for dependency in (*wanted, *transitive)]


def _get(session: Any, url: str) -> Any:
    answer = session.get(url, timeout=(10, 60))
    answer.raise_for_status()
    return answer


def _drop_damaged(repository: Path) -> None:
    for path in sorted(repository.rglob("*")):
        if path.name.startswith("."):  # being written when its writer was killed
            path.unlink()
        elif path.suffix in (".jar", ".pom"):
            checksum = path.with_name(f"{path.name}.sha1")
            if not checksum.is_file() or checksum.read_text() != _sha1(path):
                logger.info("%s is damaged and is fetched again", path)
                path.unlink()


def _sha1(path: Path) -> str:
    try:
        return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return "missing"


def _wait_for_lock(path: Path, progress: Callable[[str], None]) -> int:
    end = time.monotonic() + LOCK_TIMEOUT
    told = False
    while (lock := lock_file(path)) is None:
        if not told:
            progress("Another process is fetching Kafka: waiting for it")
            told = True
        if time.monotonic() > end:
            raise OSError(f"another process has been fetching for {LOCK_TIMEOUT:.0f} s")
        time.sleep(0.1)
    return lock


def _advice(settings: Settings, error: OSError) -> str:
    text = (
        f"Kafka's jars could not be fetched from {settings.maven_url or 'Maven Central'} into "
        f"{settings.cache_dir}: {error}. Run it again: what is whole is kept. Behind a firewall "
        "set CHATKIT_MAVEN_URL to a mirror or KAFKA_HOME to an unpacked Apache Kafka."
    )
    return re.sub(r"//[^/@\s]*@", "//", text)  # a mirror's user and password
