"""A service around affectkit: a clip is uploaded and its table comes back as JSON; a browser sends its camera's frames.

    pip install -r requirements.txt      # beside affectkit[cpu]
    uvicorn app:app --host 127.0.0.1     # then open http://127.0.0.1:8000

There are *lanes*: a thread each with a predictor of its own, so that requests do not wait for each other. They are made
when the service starts. Nothing is made at import, so it does not matter whether the server forks
its workers before or after (``uvicorn --workers 4``, ``gunicorn --preload``). Every number that a stranger can make
large has a limit.
"""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse
from PIL import Image

from affectkit import AffectKitError, Predictor, open_source

MODEL = os.environ.get("AFFECTKIT_MODEL", "lite")
LANES = int(os.environ.get("AFFECTKIT_LANES", "1"))
"""Clips that are worked on at once, by one thread each; as many as there are cores to spare."""
CAMERAS = int(os.environ.get("AFFECTKIT_CAMERAS", "1"))
"""Cameras at once; each keeps a lane of its own for as long as it is connected."""
MAX_BYTES = int(os.environ.get("AFFECTKIT_MAX_BYTES", str(50_000_000)))
MAX_SECONDS = float(os.environ.get("AFFECTKIT_MAX_SECONDS", "120"))
MAX_PIXELS = 3840 * 2160
MAX_FRAME_BYTES = 2_000_000
IDLE_S = 30.0
"""How long a camera may send nothing before its lane goes to another."""
WAIT_S = float(os.environ.get("AFFECTKIT_WAIT_S", "10"))
"""How long an upload waits for a lane before it is sent away."""


class Lane:
    """A thread, and the predictor that only it uses."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._predictor: Predictor | None = None

    async def run(self, work: Callable[[Predictor], Any]) -> Any:
        """What ``work`` makes of the predictor, in the lane's thread; the event loop goes on meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)

    def _do(self, work: Callable[[Predictor], Any]) -> Any:
        if self._predictor is None:
            self._predictor = Predictor(MODEL, threads=1)
        return work(self._predictor)

    async def close(self) -> None:
        """End the thread once it is done, and free the networks."""
        if self._predictor is not None:
            await self.run(Predictor.close)
        self._thread.shutdown()


@asynccontextmanager
async def lanes(app: FastAPI) -> AsyncIterator[None]:
    """Lanes live as long as the service, each in a queue of those that are free."""
    made = [Lane() for _ in range(LANES + CAMERAS)]
    app.state.for_clips, app.state.for_cameras = asyncio.Queue(), asyncio.Queue()
    for k, lane in enumerate(made):
        await lane.run(lambda predictor: predictor.describe())  # loaded before the first request waits for it
        (app.state.for_clips if k < LANES else app.state.for_cameras).put_nowait(lane)
    yield
    for lane in made:
        await lane.close()


app = FastAPI(title="affectkit", lifespan=lanes)


@app.get("/", include_in_schema=False)
def page() -> FileResponse:
    """The page with the browser's camera."""
    return FileResponse(Path(__file__).with_name("page.html"))


@app.get("/health")
async def health() -> dict[str, Any]:
    """Whether it is up, and how many lanes are free."""
    return {"clips": app.state.for_clips.qsize(), "cameras": app.state.for_cameras.qsize()}


@app.post("/predict")
async def predict(request: Request, every: int = 1) -> JSONResponse:
    """The body is a video or a picture; the answer holds a row a frame and face, and who was seen.

    curl --data-binary @clip.mp4 'http://127.0.0.1:8000/predict?every=5'
    """
    if not 1 <= every <= 1000:
        raise HTTPException(422, "every is 1 to 1000")
    with tempfile.TemporaryDirectory() as folder:  # nothing of an upload stays
        path = Path(folder) / "upload"
        await _received(request, path)
        try:
            lane = await asyncio.wait_for(app.state.for_clips.get(), WAIT_S)
        except TimeoutError:
            raise HTTPException(503, "busy; try again later", {"Retry-After": "30"}) from None
        try:
            answer = await lane.run(lambda predictor: _answer(predictor, path, every))
        except AffectKitError as error:
            raise HTTPException(422, error.reason) from error  # the path of a temporary file is not for strangers
        finally:
            app.state.for_clips.put_nowait(lane)
    return JSONResponse(answer)


async def _received(request: Request, path: Path) -> None:
    """Write the body as it comes, and stop where it is too long."""
    length = 0
    with path.open("wb") as file:
        async for chunk in request.stream():
            length += len(chunk)
            if length > MAX_BYTES:
                raise HTTPException(413, f"at most {MAX_BYTES} bytes")
            file.write(chunk)


def _answer(predictor: Predictor, path: Path, every: int) -> dict[str, Any]:
    source = open_source(path, max_pixels=MAX_PIXELS)
    table = predictor.predict(source, end_s=MAX_SECONDS, every=every)
    rows = [{**row, "input": "upload"} for row in table.records()]  # None, never NaN, which JSON does not know
    return {"model": table.meta["model"]["name"], "frames": table.meta["frames"], "rows": rows}


@app.websocket("/camera")
async def camera(socket: WebSocket) -> None:
    """A frame as JPEG or PNG comes in, its faces go out, one after the other: who sends faster than that waits."""
    await socket.accept()
    if app.state.for_cameras.empty():
        await socket.close(1013, "all cameras are taken; try again later")
        return
    lane = app.state.for_cameras.get_nowait()
    session = await lane.run(lambda predictor: predictor.session())
    try:
        while True:
            try:
                data = await asyncio.wait_for(socket.receive_bytes(), IDLE_S)
            except TimeoutError:
                await socket.close(1001, f"no frame for {IDLE_S:g} seconds")
                return
            if len(data) > MAX_FRAME_BYTES:
                await socket.close(1009, "the frame is too large")
                return
            try:
                results = await lane.run(lambda _, data=data: session.push(_pixels(data), time.monotonic()))
            except (OSError, ValueError, Image.DecompressionBombError):
                await socket.close(1003, "a frame is a JPEG or PNG")
                return
            await socket.send_json([result.to_dict() for result in results])
    except WebSocketDisconnect:
        pass
    finally:
        app.state.for_cameras.put_nowait(lane)


def _pixels(data: bytes) -> np.ndarray:
    """RGB (H, W, 3) of a picture that is small enough to be decoded."""
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError("too many pixels")
        return np.asarray(picture.convert("RGB"))
