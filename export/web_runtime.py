"""ONNX Runtime Web, which runs files in browsers and node: an installed copy, or one from the npm registry.

It is not part of this package. A bundle contains two of its files, with their licence.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime
from platformdirs import user_cache_path

from compress.errors import UsageError, first_line
from compress.storage.files import whole_file
from compress.storage.untrusted import plain_json, read_bytes

NAME, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Checksum of the package in the registry."""
CODE, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
LIMITS = {CODE: 2_000_000, WASM: 60_000_000, "package.json": 100_000}
"""Largest files in bytes."""
SECONDS = 120
"""Time limit for npm."""
NOTICES = ("LICENSE", "ThirdPartyNotices.txt")
"""Files of the Python package onnxruntime, which has the same source; the npm package has neither."""


@dataclass(frozen=True)
class WebRuntime:
    """An installed package."""

    folder: Path
    version: str

    @property
    def code(self) -> bytes:
        """The JavaScript module."""
        return read_bytes(self.folder / "dist" / CODE, LIMITS[CODE])

    @property
    def wasm(self) -> bytes:
        """The WebAssembly that the module runs."""
        return read_bytes(self.folder / "dist" / WASM, LIMITS[WASM])


def web_runtime(*, fetch: bool) -> WebRuntime:
    """The package in a `node_modules` of the working directory or its parents, in npm's global one, or in the cache.

    With `fetch`, npm downloads version `VERSION` into the cache if there is none. Raises `UsageError` with the reason
    if it is not available.
    """
    for folder in _candidates():
        if all((folder / "dist" / name).is_file() for name in (CODE, WASM)):
            return WebRuntime(folder, _version(folder))
    if not fetch:
        raise UsageError(f"{NAME} is not installed: run `npm install {NAME}` in this folder")
    _fetch(_cached())
    return WebRuntime(_cached(), VERSION)


def notices() -> dict[str, bytes]:
    """The licence of the runtime and the notices of what is in it, by file name."""
    folder = Path(onnxruntime.__file__).parent
    return {name: (folder / name).read_bytes() for name in NOTICES if (folder / name).is_file()}


def _cached() -> Path:
    return user_cache_path("compress-kd") / f"{NAME}-{VERSION}"


def _candidates() -> Iterator[Path]:
    current = Path.cwd()
    roots = [folder / "node_modules" for folder in (current, *current.parents)]
    roots += [Path(entry) for entry in os.environ.get("NODE_PATH", "").split(os.pathsep) if entry]
    if npm := shutil.which("npm"):
        roots.append(Path(npm).parent.parent / "lib" / "node_modules")
    yield from (root / NAME for root in roots)
    yield _cached()


def _version(folder: Path) -> str:
    content = plain_json(read_bytes(folder / "package.json", LIMITS["package.json"]))
    number = content.get("version") if isinstance(content, dict) else None
    return number if isinstance(number, str) and re.fullmatch(r"[\w.+-]{1,40}", number) else "of an unknown version"


def _fetch(target: Path) -> None:
    """Download the package with npm, check it, and keep the files that are needed."""
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError(f"{NAME} is not installed, and neither is npm to fetch it: install node with npm")
    with TemporaryDirectory() as folder:
        command = [npm, "pack", f"{NAME}@{VERSION}", "--pack-destination", folder, "--silent"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=SECONDS, cwd=folder)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            raise UsageError(
                f"npm cannot fetch {NAME} {VERSION}: {first_line(error, 120)}; "
                f"run `npm install {NAME}` in this folder where there is a network"
            ) from error
        _unpack(next(Path(folder).glob("*.tgz")), target)


def _unpack(archive: Path, target: Path) -> None:
    if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != SHA512:
        raise UsageError(f"the package that npm fetched is not {NAME} {VERSION}: its SHA-512 differs; it is not used")
    with tarfile.open(archive) as packed:
        for name in LIMITS:
            member = f"package/{name}" if name == "package.json" else f"package/dist/{name}"
            stream = packed.extractfile(member)
            assert stream is not None  # the checksum guarantees the archive's content
            file = target / Path(member).relative_to("package")
            with whole_file(file) as unfinished:
                unfinished.write_bytes(stream.read())
