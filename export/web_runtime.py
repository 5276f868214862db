"""The WebAssembly build of ONNX Runtime that a web page computes with: where it comes from, and that it is the one.

It is not in the package: 14 MB, 3.7 MB compressed, of the 20 that a wheel may have. It is taken from a folder or an
archive that is given, from the cache, or from npm's registry by npm, once; in every case it is compared with checksums
that stand here, so that a page holds what was tested, whoever delivered it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from affectkit.engines.plans import cache_folder
from affectkit.errors import SourceError
from affectkit.outputs.files import explain_os_error, write_whole

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
"""web/package.json names the same, and tests/test_web.py compares them."""

FILES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""What a page needs of it, with sha256."""

ARCHIVE = f"https://registry.npmjs.org/{PACKAGE}/-/{PACKAGE}-{VERSION}.tgz"

NPM_S = 600.0
"""Seconds that npm is given for 33 MB."""


def runtime_files(given: Path | None) -> dict[str, bytes]:
    """The runtime's files, by name.

    Args:
        given: npm's archive, an unpacked copy of it (``node_modules/onnxruntime-web``), or a folder with the files;
            None: the cache, else npm.

    Raises:
        SourceError: what is given is not there, or is another version; none is given or cached, and npm is not
            installed or cannot get it.
        OutputError: the cache cannot be written.
    """
    if given is not None:
        return _checked(_of_archive(given) if given.is_file() else _of_folder(given), given)
    cached = cache_folder() / f"{PACKAGE}-{VERSION}"
    if all((cached / name).is_file() for name in FILES):
        return _checked(_of_folder(cached), cached)
    files = _of_npm()
    _keep(files, cached)
    return files


def _checked(files: dict[str, bytes], where: Path) -> dict[str, bytes]:
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != FILES[name]:
            raise SourceError(f"{where}: its {name} is not that of {PACKAGE} {VERSION}; get it from {ARCHIVE}")
    return files


def _of_folder(folder: Path) -> dict[str, bytes]:
    places = (folder, folder / "dist", folder / "node_modules" / PACKAGE / "dist")
    for place in places:
        if all((place / name).is_file() for name in FILES):
            return {name: (place / name).read_bytes() for name in FILES}
    what = f"holds no {PACKAGE}" if folder.is_dir() else "no such file or folder"
    raise SourceError(f"{folder}: {what}; give {ARCHIVE}, downloaded, or a folder with {', '.join(FILES)}")


def _of_archive(path: Path) -> dict[str, bytes]:
    """The files out of npm's archive; nothing is unpacked to the disk, whatever it holds."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.removeprefix("package/dist/")
                if name in FILES and (data := archive.extractfile(member)) is not None:
                    files[name] = data.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SourceError(f"{path}: cannot be read as an archive ({error}); get it from {ARCHIVE}") from error
    missing = [name for name in FILES if name not in files]
    if missing:
        raise SourceError(f"{path}: has no {missing[0]}; get it from {ARCHIVE}")
    return files


def _of_npm() -> dict[str, bytes]:
    """Ask npm, which knows the user's registry and proxies."""
    instead = f"download {ARCHIVE} and give it with --runtime FILE"
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError(f"{PACKAGE} {VERSION}: npm, which would get it, is not installed; {instead}")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", folder, "--silent"]
        try:
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=NPM_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise SourceError(f"{PACKAGE} {VERSION}: npm did not get it in {NPM_S:.0f} s; {instead}") from error
        found = list(Path(folder).glob("*.tgz"))
        if run.returncode or not found:
            reason = (run.stderr.strip().splitlines() or ["it says nothing"])[0]
            raise SourceError(f"{PACKAGE} {VERSION}: npm cannot get it ({reason}); {instead}")
        return _checked(_of_archive(found[0]), found[0])


def _keep(files: dict[str, bytes], folder: Path) -> None:
    """Put the files into the cache, for the next page; each whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(folder, error) from error
    for name, data in files.items():
        write_whole(folder / name, data)
