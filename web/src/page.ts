/** The page: buttons, the loop over frames, the table to take along. All computing is in affectkit.js. */

import { AffectKitError, Predictor, Table, type Face } from "./affectkit.js";
import { Overlay } from "./overlay.js";
import { Panels } from "./panel.js";
import { EveryFrame, openCamera, openPicture, openVideo, Running, SourceProblem, type Frames } from "./sources.js";

/** Panels are brought up to date so often; the picture always. */
const PANEL_MS = 100;

function byId<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const video = byId<HTMLVideoElement>("video");
const still = document.createElement("canvas");
const overlay = new Overlay(byId<HTMLCanvasElement>("picture"));
const buttons = {
  camera: byId<HTMLButtonElement>("camera"),
  open: byId<HTMLButtonElement>("open"),
  pause: byId<HTMLButtonElement>("pause"),
  stop: byId<HTMLButtonElement>("stop"),
  save: byId<HTMLButtonElement>("save"),
};
const picker = byId<HTMLInputElement>("file");
const mirror = byId<HTMLInputElement>("mirror");
const every = byId<HTMLInputElement>("every");

let predictor: Predictor;
let panels: Panels;
/** What runs at the moment. */
let running: { frames: Frames; stream: MediaStream | null; over: Promise<void> } | null = null;
/** Whether the user wants it to wait. */
let paused = false;
let table: Table | null = null;
let tableName = "affectkit";
let panelsAt = -Infinity;

function say(text: string, problem = false): void {
  const line = byId("status");
  line.textContent = text;
  line.classList.toggle("problem", problem);
}

/** Run what a button asks for, and say what is wrong with it. */
function attempt(work: () => Promise<void>): void {
  work().catch((error: unknown) => {
    const known = error instanceof SourceProblem || error instanceof AffectKitError;
    say(known ? (error as Error).message : `Something went wrong: ${String(error)}`, true);
    if (!known) console.error(error);
    enable();
  });
}

function enable(): void {
  if (!predictor) return;
  const live = running !== null;
  for (const button of [buttons.camera, buttons.open]) button.disabled = false;
  buttons.pause.disabled = buttons.stop.disabled = !live;
  buttons.save.disabled = !table?.frames;
  buttons.pause.textContent = paused ? "Go on" : "Pause";
  document.body.dataset["state"] = live ? "running" : "ready";
}

/** Show what was found in the picture that lies in `still`. */
function show(faces: readonly Face[], mirrored: boolean): void {
  overlay.draw(still, still.width, still.height, faces, mirrored);
  const now = performance.now();
  if (now - panelsAt < PANEL_MS) return;
  panelsAt = now;
  panels.show(faces);
}

/** Keep what is shown at the moment, to be drawn with what is found in it; its pixels. */
function keep(picture: CanvasImageSource, width: number, height: number): ImageData {
  if (still.width !== width || still.height !== height) [still.width, still.height] = [width, height];
  const context = still.getContext("2d", { willReadFrequently: true, alpha: false })!;
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, width, height);
}

async function stop(): Promise<void> {
  const was = running;
  if (!was) return;
  was.frames.stop();
  await was.over;
}

async function begin(name: string): Promise<Table> {
  await predictor.reset();
  tableName = name;
  table = new Table(predictor.spec, name);
  byId("stage").classList.add("showing");
  panelsAt = -Infinity;
  return table;
}

async function startCamera(): Promise<void> {
  await stop();
  byId("counter").textContent = "";
  say("Waiting for the camera \u2026");
  const stream = await openCamera(video);
  const rows = await begin("camera");
  follow(rows, stream, true);
}

async function openFile(file: File): Promise<void> {
  await stop();
  byId("counter").textContent = "";
  say(`Opening ${file.name} \u2026`);
  if (file.type.startsWith("image/")) {
    const picture = await openPicture(file);
    const rows = await begin(file.name);
    const faces = await predictor.predictImage(keep(picture, picture.width, picture.height));
    rows.add(faces, NaN);
    show(faces, false);
    say(`${file.name}: ${count(faces.length, "face")}`);
    enable();
    return;
  }
  await openVideo(video, file);
  const rows = await begin(file.name);
  follow(rows, null, false);
}

const count = (number: number, what: string) => `${number} ${what}${number === 1 ? "" : "s"}`;

/** Look at frame after frame until the video ends or is stopped. */
function follow(rows: Table, stream: MediaStream | null, live: boolean): void {
  const frames = !live && every.checked ? new EveryFrame(video) : new Running(video, live);
  const over = look(frames, rows, live).finally(() => {
    stream?.getTracks().forEach((track) => track.stop());
    video.pause();
    if (!stream) URL.revokeObjectURL(video.src);
    running = null;
    paused = false;
    enable();
  });
  running = { frames, stream, over };
  paused = false;
  attempt(() => over);
  enable();
}

async function look(frames: Frames, rows: Table, live: boolean): Promise<void> {
  const name = tableName;
  say(live ? "The camera runs." : `Looking at ${name} \u2026`);
  let missed = 0;
  let perSecond = 0;
  let last = performance.now();
  for (let shown = await frames.next(); shown !== null; shown = await frames.next()) {
    const pixels = keep(video, video.videoWidth, video.videoHeight);
    missed += shown.missed;
    const faces = await predictor.predict(pixels, 1000 * shown.timeS);
    rows.add(faces, 1000 * shown.timeS);
    show(faces, live && mirror.checked);
    const now = performance.now();
    perSecond += 0.1 * (1000 / (now - last) - perSecond);
    last = now;
    const left = live ? "" : `, ${missed} left out`;
    byId("counter").textContent =
      `${count(rows.frames, "frame")}${left}, ${perSecond.toFixed(0)} a second, ${count(faces.length, "face")}`;
    buttons.save.disabled = false;
  }
  const note = live ? "" : missed ? `; ${count(missed, "frame")} left out` : "; none left out";
  say(`${name}: done, ${count(rows.frames, "frame")} in the table${note}`);
}

/** The table as a file; nothing leaves the machine. */
function save(): void {
  if (!table) return;
  const address = URL.createObjectURL(new Blob([table.toCsv()], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = `${tableName.replace(/\.[^.]*$/, "")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function togglePause(): void {
  if (!running) return;
  paused = !paused;
  if (paused) running.frames.pause();
  else running.frames.resume();
  enable();
}

function listen(): void {
  buttons.camera.addEventListener("click", () => attempt(startCamera));
  buttons.open.addEventListener("click", () => picker.click());
  buttons.pause.addEventListener("click", togglePause);
  buttons.stop.addEventListener("click", () => attempt(stop));
  buttons.save.addEventListener("click", save);
  picker.addEventListener("change", () => {
    const file = picker.files?.[0];
    picker.value = ""; // the same file may be opened again
    if (file) attempt(() => openFile(file));
  });
  document.addEventListener("keydown", (event) => {
    const onControl = event.target instanceof HTMLElement && event.target.closest("button, input, a") !== null;
    if (event.key === "Escape") attempt(stop);
    else if (event.key === " " && running && !onControl) {
      event.preventDefault();
      togglePause();
    }
  });
  const stage = byId("stage");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
  document.addEventListener("dragleave", () => stage.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    const file = event.dataTransfer?.files[0];
    if (file) attempt(() => openFile(file));
  });
}

async function start(): Promise<void> {
  say("Loading the model from this site \u2026");
  predictor = await Predictor.load();
  const { spec, threads } = predictor;
  panels = new Panels(byId("panels"), spec);
  byId("model").textContent = `${spec.name} ${spec.version}, ${spec.precision}`;
  byId("licence").textContent = spec.licence;
  byId("threads").textContent =
    threads > 1 ? `${threads} threads` : "one thread (the server does not send the headers that allow more)";
  listen();
  say("Ready. Start the camera, or open a video or a picture.");
  enable();
}

attempt(start);
