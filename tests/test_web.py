"""``affectkit export --format web``: what is written, and what is refused. The page itself: tests/test_web_page.py."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from affectkit import models
from affectkit.cli.app import cli
from affectkit.errors import ModelError, OutputError, SourceError
from affectkit.export import web_runtime
from affectkit.export.site import BUILT, write_site
from affectkit.export.web_runtime import FILES, PACKAGE, VERSION, runtime_files
from affectkit.spec import TEMPLATES
from affectkit.types import AU_TITLES

ROOT = Path(__file__).parent.parent
WEB = ROOT / "web"


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the runtime, which is 14 MB and not in the repository, with checksums to match."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in list(FILES):
        data = f"// {name}\n".encode()
        (folder / name).write_bytes(data)
        monkeypatch.setitem(FILES, name, hashlib.sha256(data).hexdigest())
    monkeypatch.setenv("AFFECTKIT_CACHE", str(tmp_path / "cache"))
    return folder


class Page(HTMLParser):
    """What a page refers to, and what it forbids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.policy, self.addresses, self.inline = "", [], 0
        self.labelled: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        self.inline += "style" in given or any(name.startswith("on") for name in given)
        self.inline += tag in ("script", "style") and "src" not in given


def test_a_page_is_complete_and_names_nothing_outside(tmp_path: Path, runtime: Path) -> None:
    site = write_site("lite", tmp_path / "site", runtime=runtime)
    here = {path.relative_to(site.folder).as_posix() for path in site.folder.rglob("*") if path.is_file()}
    spec = models.load("lite").spec
    assert here == {
        *(
            "index.html",
            "page.css",
            "page.js",
            "affectkit.js",
            "affectkit.d.ts",
            "package.json",
            "LICENSE",
            "README.md",
            "_headers",
        ),
        *(f"model/{name}" for name in ("model.json", *spec.files)),
        *(f"detector/{name}" for name in ("pnet.onnx", "rnet.onnx", "onet.onnx", "LICENSE")),
        *(f"runtime/{name}" for name in (*FILES, "LICENSE")),
    }
    assert site.bytes == sum((site.folder / name).stat().st_size for name in here)
    assert models.load(site.folder / "model").spec == spec  # with all checksums
    page = Page((site.folder / "index.html").read_text())
    for address in page.addresses:
        assert address in here or address.startswith("data:"), address
    assert not page.inline  # or the policy would have to allow it
    for name in ("index.html", "page.css", "page.js", "affectkit.js", "affectkit.d.ts", "package.json", "_headers"):
        text = (site.folder / name).read_text()
        assert not re.search(r"https?:|wss?://|[\"'(]//\w|sendBeacon|XMLHttpRequest|WebSocket|EventSource", text), name
    package = json.loads((site.folder / "package.json").read_text())
    assert all((site.folder / place).is_file() for place in package["exports"]["."].values())
    assert package["type"] == "module" and spec.licence in (site.folder / "README.md").read_text()


def test_the_policy_lets_the_page_load_its_own_files_only(tmp_path: Path, runtime: Path) -> None:
    page = Page((write_site("lite", tmp_path / "site", runtime=runtime).folder / "index.html").read_text())
    rules = dict(rule.strip().split(" ", 1) for rule in page.policy.split(";"))
    assert rules["default-src"] == rules["form-action"] == rules["base-uri"] == "'none'"
    assert rules["connect-src"] == rules["style-src"] == rules["worker-src"] == "'self'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert rules["media-src"] == "blob:" and rules["img-src"] == "'self' data:"


@pytest.mark.parametrize("name", ["lite-int8", "lite-ensemble"])
def test_other_models_of_single_frames_become_pages_too(tmp_path: Path, runtime: Path, name: str) -> None:
    assert write_site(name, tmp_path / "site", runtime=runtime).spec.name == name


def test_what_is_there_is_replaced_only_if_it_is_a_page(tmp_path: Path, runtime: Path) -> None:
    site = tmp_path / "site"
    write_site("lite", site, runtime=runtime)
    (site / "mine.txt").write_text("kept")
    with pytest.raises(OutputError, match=r"exists already; give --overwrite"):
        write_site("lite", site, runtime=runtime)
    assert (site / "mine.txt").is_file()
    write_site("lite", site, runtime=runtime, overwrite=True)
    assert not (site / "mine.txt").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("kept")
    with pytest.raises(OutputError, match="is no web page, so --overwrite does not replace it"):
        write_site("lite", other, runtime=runtime, overwrite=True)
    assert (other / "thesis.txt").read_text() == "kept"
    with pytest.raises(SourceError):
        write_site("lite", site, runtime=tmp_path / "nowhere", overwrite=True)
    assert (site / "index.html").is_file()
    assert not list(tmp_path.glob(".*"))  # nothing half done is left


def test_models_that_browsers_do_not_run_are_refused(tmp_path: Path, runtime: Path) -> None:
    with pytest.raises(ModelError, match=r"lite-temporal: looks at sequences"):
        write_site("lite-temporal", tmp_path / "site", runtime=runtime)
    run = tmp_path / "run"
    run.mkdir()
    (run / "best.pt").write_bytes(b"")
    with pytest.raises(ModelError, match=rf"is a training run; .* affectkit export {re.escape(str(run))} -o FOLDER"):
        write_site(str(run), tmp_path / "site", runtime=runtime)
    half = tmp_path / "half"
    half.mkdir()
    document = json.loads((models.find("lite") / "model.json").read_text()) | {"precision": "fp16"}
    del document["digest"]
    for name in document["files"]:
        (half / name).write_bytes((models.find("lite") / name).read_bytes())
    (half / "model.json").write_text(json.dumps(document))
    with pytest.raises(ModelError, match="computes in fp16, which browsers do on no CPU"):
        write_site(str(half), tmp_path / "site", runtime=runtime)
    assert not (tmp_path / "site").exists()


def packed(runtime: Path, target: Path, names: list[str]) -> Path:
    """The runtime as npm packs it."""
    with tarfile.open(target, "w:gz") as archive:
        for name in names:
            archive.add(runtime / name, f"package/dist/{name}")
    return target


def test_the_runtime_comes_from_an_archive_a_folder_or_the_cache(tmp_path: Path, runtime: Path) -> None:
    found = runtime_files(packed(runtime, tmp_path / "r.tgz", list(FILES)))
    assert found == runtime_files(runtime) and set(found) == set(FILES)
    unpacked = tmp_path / "project" / "node_modules" / PACKAGE
    unpacked.mkdir(parents=True)
    (unpacked / "dist").symlink_to(runtime)
    assert runtime_files(tmp_path / "project") == runtime_files(unpacked) == found
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{PACKAGE}-{VERSION}").symlink_to(runtime)
    assert runtime_files(None) == found


def test_another_runtime_is_refused(tmp_path: Path, runtime: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere: no such file or folder; give https://registry.npmjs.org/onnx"):
        runtime_files(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"holds no onnxruntime-web"):
        runtime_files(tmp_path)
    with pytest.raises(SourceError, match=r"part.tgz: has no ort-wasm-simd-threaded.wasm"):
        runtime_files(packed(runtime, tmp_path / "part.tgz", list(FILES)[:2]))
    (tmp_path / "broken.tgz").write_bytes(packed(runtime, tmp_path / "r.tgz", list(FILES)).read_bytes()[:200])
    with pytest.raises(SourceError, match=r"broken.tgz: cannot be read as an archive"):
        runtime_files(tmp_path / "broken.tgz")
    (runtime / "ort.wasm.min.mjs").write_text("// of another version")
    with pytest.raises(SourceError, match=rf"its ort.wasm.min.mjs is not that of onnxruntime-web {VERSION}"):
        runtime_files(runtime)


def npm(folder: Path, script: str) -> None:
    """A program called npm that does what a script says."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)


def test_npm_gets_the_runtime_once(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(runtime, tmp_path / "r.tgz", list(FILES))
    npm(tmp_path / "bin", f'echo "$@" >> {tmp_path}/asked; cp {archive} "$4/onnxruntime-web.tgz"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert runtime_files(None) == runtime_files(runtime)
    assert runtime_files(None) == runtime_files(runtime)  # from the cache
    (line,) = (tmp_path / "asked").read_text().splitlines()
    assert line.startswith(f"pack onnxruntime-web@{VERSION} --pack-destination /")


def test_without_npm_or_network_it_says_what_to_do(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match=r"npm, which would get it, is not installed; download https.*--runtime FILE"):
        runtime_files(None)
    npm(tmp_path / "bin", 'echo "npm error code ENOTFOUND" >&2; exit 1')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(SourceError, match=r"npm cannot get it \(npm error code ENOTFOUND\); download"):
        runtime_files(None)
    npm(tmp_path / "slow", "exec sleep 5")
    monkeypatch.setenv("PATH", f"{tmp_path / 'slow'}:/usr/bin:/bin")
    monkeypatch.setattr(web_runtime, "NPM_S", 0.1)
    with pytest.raises(SourceError, match="npm did not get it"):
        runtime_files(None)
    assert not (tmp_path / "cache").exists()


def test_the_command(tmp_path: Path, runtime: Path) -> None:
    site = tmp_path / "a site"
    web = ["export", "lite", "--format", "web", "-o", str(site)]
    run = CliRunner().invoke(cli, [*web, "--runtime", str(runtime)])
    assert run.exit_code == 0, run.output
    assert re.search(
        r"lite as a page, \d MB -> .*\nlook at it: python3 -m http.server --directory '.*a site' 8000", run.output
    )
    for more in (["--precision", "int8"], ["--name", "x"], ["--faces", "x.mp4"]):
        run = CliRunner().invoke(cli, [*web, *more])
        assert run.exit_code == 2 and "--format web takes a model as it is" in run.output
    run = CliRunner().invoke(cli, ["export", "lite", "-o", str(tmp_path / "m"), "--runtime", str(runtime)])
    assert run.exit_code == 2 and "--runtime belongs to --format web" in run.output


def test_typescript_and_python_say_the_same() -> None:
    """Names and numbers that stand in both."""
    labels = (WEB / "src" / "labels.ts").read_text()
    assert dict(re.findall(r'^  (AU\d\d): "(.*)",$', labels, re.MULTILINE)) == AU_TITLES
    spec = (WEB / "src" / "spec.ts").read_text()
    for name, points in TEMPLATES.items():
        (line,) = re.findall(rf"^  {name}: (\[.*\]),$", spec, re.MULTILINE)
        assert tuple(map(tuple, json.loads(line))) == points
    package = json.loads((WEB / "package.json").read_text())
    assert package["dependencies"] == {PACKAGE: VERSION}
    locked = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert locked[f"node_modules/{PACKAGE}"]["version"] == VERSION


def test_what_is_packed_is_what_the_sources_build() -> None:
    """By a number of the sources, so that it needs no npm; `make web-test` builds again and compares every byte."""
    names = ["build.mjs", "package-lock.json", "package.json", "tsconfig.json"]
    names += [path.relative_to(WEB).as_posix() for folder in ("page", "src") for path in (WEB / folder).iterdir()]
    hashed = hashlib.sha256()
    for name in sorted(names):
        hashed.update(f"{name}\0".encode() + (WEB / name).read_bytes())
    for name in ("affectkit.js", "page.js"):
        assert f"sources {hashed.hexdigest()[:16]}." in (BUILT / name).read_text()[:200], "run make web, and commit it"
    assert (WEB / "page" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    for path in (WEB / "page").iterdir():
        assert (BUILT / path.name).read_bytes() == path.read_bytes()
