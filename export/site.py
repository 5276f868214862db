"""A model -> a static page that runs it in the browser, and the module that other pages embed.

The built JavaScript lies in ``export/web/`` (its source is ``web/`` in the repository, ``make web`` builds it); nothing
here needs PyTorch, or npm where the runtime is in the cache or given.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from affectkit import models
from affectkit.errors import ModelError
from affectkit.export.folders import check_folder, put_in_place
from affectkit.export.web_runtime import PACKAGE, VERSION, runtime_files
from affectkit.faces.opening import NETWORKS, WEIGHTS
from affectkit.models import SPEC_NAME, ModelFolder
from affectkit.spec import ModelSpec
from affectkit.versions import version_of

BUILT = Path(__file__).parent / "web"
"""What ``make web`` built."""

MARK = "affectkit.js"
"""Every site has it at its top."""

MODEL, DETECTOR, RUNTIME = "model", "detector", "runtime"
"""Folders of a site."""

HEADERS = """\
/*
  Cross-Origin-Opener-Policy: same-origin
  Cross-Origin-Embedder-Policy: require-corp
  X-Content-Type-Options: nosniff
"""
"""As Netlify and Cloudflare Pages read it: with these a browser lets the page use several threads."""

README = """\
# affectkit in the browser: {name}

A page that finds faces in a camera's picture or a video and tells their action units, expression, valence and arousal.
All of it is computed on the viewer's machine. The page tells the browser to let it load its own files and nothing else.

Look at it here: `python3 -m http.server --directory THIS_FOLDER 8000`, then open localhost:8000 (a camera needs that,
or https; a file opened by a double click does not work, since browsers refuse modules there).

To publish it put the folder on any web server with https. With the headers of `_headers` (some hosts read that file)
browsers let it use several threads; without them it uses one.

To embed it in a page of your own, keep the folder as it is and:

    import {{ Predictor }} from "./affectkit.js";
    const predictor = await Predictor.load();
    const faces = await predictor.predict(video, performance.now());

`affectkit.d.ts` has the types.

| part | licence |
|---|---|
| `affectkit.js`, `page.js`, `page.css`, `index.html` | MIT, affectkit {version} |
| `model/`: {name} {model_version} | {licence} |
| `detector/`: the networks of the mtcnn package | MIT (`detector/LICENSE`) |
| `runtime/`: {runtime} {runtime_version} | MIT (`runtime/LICENSE`) |

A facial configuration is not an emotion, and no score here says what a person feels, intends or is fit for.
`model/MODEL_CARD.md` says what the model was trained on and how often it is wrong.
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A page that was written."""

    folder: Path
    spec: ModelSpec
    """Of the model that it runs."""
    bytes: int
    """Of all of its files."""


def write_site(model: str, folder: Path, *, runtime: Path | None = None, overwrite: bool = False) -> Site:
    """Write a static page with everything that it needs, offline.

    Args:
        model: name of an embedded model or a model folder, which looks at single frames.
        folder: to write: ``index.html``, the module ``affectkit.js`` with its types, ``model/``, ``detector/`` and
            ``runtime/``.
        runtime: see :func:`affectkit.export.web_runtime.runtime_files`.

    Raises:
        ModelError: the model is missing or damaged, or cannot run in a browser.
        OutputError: the folder exists, is something else, or cannot be written.
        SourceError: the runtime is missing, or another one.
    """
    check_folder(folder, overwrite=overwrite, mark=MARK, kind="web page")
    found = _for_browsers(model)
    files = runtime_files(runtime)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        partial = Path(scratch) / folder.name
        partial.mkdir()
        for path in sorted(BUILT.iterdir()):
            if path.name != "LICENSE.onnxruntime":
                shutil.copyfile(path, partial / path.name)
        _copy_model(found, partial / MODEL)
        _copy_detector(partial / DETECTOR)
        (partial / RUNTIME).mkdir()
        for name, data in files.items():
            (partial / RUNTIME / name).write_bytes(data)
        shutil.copyfile(BUILT / "LICENSE.onnxruntime", partial / RUNTIME / "LICENSE")
        _describe(found.spec, partial)
        size = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
        put_in_place(partial, folder)
    return Site(folder, found.spec, size)


def _for_browsers(model: str) -> ModelFolder:
    """The model, if a browser can run it."""
    path = Path(model)
    if path.is_dir() and not (path / SPEC_NAME).is_file() and any(path.rglob("*.pt")):
        raise ModelError(
            f"{model}: is a training run; make a model folder of it first: affectkit export {model} -o FOLDER, then "
            "affectkit export FOLDER --format web"
        )
    found = models.load(model)
    if found.spec.temporal is not None:
        raise ModelError(
            f"{model}: looks at sequences, which pages in the browser do not; take the model of its single frames"
        )
    if found.spec.precision == "fp16":
        raise ModelError(f"{model}: computes in fp16, which browsers do on no CPU; take its fp32 original, or int8")
    return found


def _copy_model(found: ModelFolder, target: Path) -> None:
    """The model folder itself: ``affectkit verify SITE/model`` works."""
    target.mkdir()
    for name in (SPEC_NAME, *found.spec.files):
        shutil.copyfile(found.path / name, target / name)


def _copy_detector(target: Path) -> None:
    target.mkdir()
    for name in NETWORKS:
        shutil.copyfile(WEIGHTS / f"{name}.onnx", target / f"{name}.onnx")
    shutil.copyfile(WEIGHTS / "LICENSE.mtcnn", target / "LICENSE")


def _describe(spec: ModelSpec, folder: Path) -> None:
    """What npm, hosts and people read."""
    version = version_of("affectkit") or "0"
    package = {
        "name": "affectkit-web",
        "version": version,
        "description": "Facial action units, expression, valence and arousal from video, in the browser",
        "license": "MIT",
        "type": "module",
        "sideEffects": False,
        "exports": {".": {"types": "./affectkit.d.ts", "default": "./affectkit.js"}},
    }
    (folder / "package.json").write_text(json.dumps(package, indent=2) + "\n", encoding="utf-8")
    (folder / "_headers").write_text(HEADERS, encoding="utf-8")
    text = README.format(
        name=spec.name,
        version=version,
        model_version=spec.version,
        licence=spec.licence,
        runtime=PACKAGE,
        runtime_version=VERSION,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
