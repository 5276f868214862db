/* affectkit in the browser. MIT. Built of web/ in affectkit's repository, sources 36914d52c3f2c7ed. */

// src/page.ts
import { AffectKitError as AffectKitError2, Predictor, Table } from "./affectkit.js";

// src/labels.ts
var UNIT_TITLES = {
  AU01: "Inner brow raiser",
  AU02: "Outer brow raiser",
  AU04: "Brow lowerer",
  AU05: "Upper lid raiser",
  AU06: "Cheek raiser",
  AU07: "Lid tightener",
  AU09: "Nose wrinkler",
  AU10: "Upper lip raiser",
  AU11: "Nasolabial deepener",
  AU12: "Lip corner puller",
  AU13: "Sharp lip puller",
  AU14: "Dimpler",
  AU15: "Lip corner depressor",
  AU16: "Lower lip depressor",
  AU17: "Chin raiser",
  AU18: "Lip pucker",
  AU20: "Lip stretcher",
  AU22: "Lip funneler",
  AU23: "Lip tightener",
  AU24: "Lip pressor",
  AU25: "Lips part",
  AU26: "Jaw drop",
  AU27: "Mouth stretch",
  AU28: "Lip suck",
  AU43: "Eyes closed",
  AU45: "Blink",
  AU46: "Wink"
};
var IDENTITIES = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#78aaff", "#aadc78"];
function colourOf(id) {
  return IDENTITIES[id % IDENTITIES.length];
}
function share(value) {
  const text = value.toFixed(2);
  return text.startsWith("0") ? text.slice(1) : "1.0";
}

// src/overlay.ts
var Overlay = class {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
  }
  canvas;
  context;
  /** Show a picture with the faces that were found in it. */
  draw(picture, width, height, faces, mirrored) {
    const { canvas, context } = this;
    const scale = Math.max(1, 960 / width);
    const size = [Math.round(width * scale), Math.round(height * scale)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    context.save();
    if (mirrored) {
      context.translate(canvas.width, 0);
      context.scale(-1, 1);
    }
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    context.restore();
    for (const face of faces) this.drawFace(face, scale, mirrored);
    const taken = [];
    for (const face of faces) this.drawChip(face, scale, mirrored, taken);
  }
  drawFace(face, scale, mirrored) {
    const { context, canvas } = this;
    const [left, top, width, height] = face.box.map((side) => side * scale);
    const x = mirrored ? canvas.width - left - width : left;
    const colour = colourOf(face.id);
    const line = Math.max(2, canvas.width / 400);
    context.lineWidth = line;
    context.strokeStyle = colour;
    context.strokeRect(x, top, width, height);
    context.fillStyle = colour;
    for (const [px, py] of face.points) {
      const place = (px + 0.5) * scale;
      context.beginPath();
      context.arc(mirrored ? canvas.width - place : place, (py + 0.5) * scale, line, 0, 2 * Math.PI);
      context.fill();
    }
  }
  /** Number and expression over the box; the number alone where another face's text stands there already. */
  drawChip(face, scale, mirrored, taken) {
    const { context, canvas } = this;
    const [left, top, width, height] = face.box.map((side) => side * scale);
    const x = mirrored ? canvas.width - left - width : left;
    const type = Math.round(canvas.width / 50);
    const tall = 1.5 * type;
    const y = top > 1.1 * tall ? top - tall : Math.min(top + height, canvas.height - tall);
    context.font = `600 ${type}px system-ui, sans-serif`;
    const said = face.expression ? `  ${face.expression} ${share(face.expressions[face.expression] ?? 0)}` : face.visibility ? "  cannot be seen" : "";
    const chips = [`${face.id}${said}`, String(face.id)].map((text) => {
      const wide = context.measureText(text).width + type;
      return { text, x: Math.min(Math.max(0, x), canvas.width - wide), y, wide, tall };
    });
    const chip = taken.some((other) => overlap(other, chips[0])) ? chips[1] : chips[0];
    taken.push(chip);
    context.fillStyle = colourOf(face.id);
    context.fillRect(chip.x, chip.y, chip.wide, chip.tall);
    context.fillStyle = "#10151c";
    context.fillText(chip.text, chip.x + type / 2, chip.y + 1.08 * type);
  }
};
function overlap(a, b) {
  return a.x < b.x + b.wide && b.x < a.x + a.wide && a.y < b.y + b.tall && b.y < a.y + a.tall;
}

// src/spec.ts
var REGIONS = ["brows", "eyes", "mouth"];
function hiddenRegions(affect, spec) {
  const { visibility } = affect;
  return visibility && spec.visibilityThresholds ? REGIONS.filter((region, i) => !(visibility[region] >= spec.visibilityThresholds[i])) : [];
}

// src/panel.ts
var MOST_PANELS = 3;
function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
var Bar = class {
  row = element("div", "bar");
  track = element("div", "track");
  fill = element("div", "fill");
  value = element("span", "value");
  constructor(name, title, threshold) {
    const label = element("span", "name", name);
    if (title) label.append(" ", element("small", "", title));
    this.track.setAttribute("role", "meter");
    this.track.setAttribute("aria-label", title ? `${name}, ${title}` : name);
    this.track.setAttribute("aria-valuemin", "0");
    this.track.setAttribute("aria-valuemax", "1");
    this.track.append(this.fill);
    if (threshold !== void 0) {
      const mark = element("div", "threshold");
      mark.style.left = `${100 * threshold}%`;
      mark.title = `threshold ${share(threshold)}`;
      this.track.append(mark);
    }
    this.row.append(label, this.track, this.value);
  }
  show(value, active) {
    this.row.classList.toggle("active", active);
    this.row.classList.toggle("hidden-part", value === null);
    this.fill.style.width = `${100 * (value ?? 0)}%`;
    this.value.textContent = value === null ? "not seen" : share(value);
    this.track.setAttribute("aria-valuenow", (value ?? 0).toFixed(2));
    this.track.setAttribute("aria-valuetext", value === null ? "not seen" : `${share(value)}${active ? ", active" : ""}`);
  }
};
var Circle = class {
  figure = element("figure", "circle");
  dot = element("div", "dot");
  caption = element("figcaption");
  constructor() {
    const plane = element("div", "plane");
    plane.append(element("span", "east", "valence"), element("span", "north", "arousal"), this.dot);
    plane.setAttribute("aria-hidden", "true");
    this.figure.append(plane, this.caption);
  }
  show(valence, arousal) {
    this.dot.hidden = valence === null || arousal === null;
    if (valence === null || arousal === null) {
      this.caption.textContent = "not seen";
      return;
    }
    this.dot.style.left = `${50 + 50 * valence}%`;
    this.dot.style.top = `${50 - 50 * arousal}%`;
    const signed = (value) => (value < 0 ? "−" : "+") + share(Math.abs(value));
    this.caption.textContent = `valence ${signed(valence)}, arousal ${signed(arousal)}`;
  }
};
var Panel = class {
  constructor(spec) {
    this.spec = spec;
    this.expressions = new Map(spec.expressions.map((name) => [name, new Bar(name, "")]));
    this.units = new Map(
      spec.actionUnits.map((name, i) => [name, new Bar(name, UNIT_TITLES[name] ?? "", spec.thresholds[i])])
    );
    this.circle = spec.vaBins ? new Circle() : null;
    this.section.append(this.title, this.note);
    const first = element("div", "beside");
    if (this.expressions.size) first.append(group("Expression", this.expressions));
    if (this.circle) first.append(this.circle.figure);
    this.section.append(first);
    if (this.units.size) this.section.append(group("Action units", this.units));
  }
  spec;
  section = element("section", "panel");
  title = element("h3");
  note = element("p", "note");
  expressions;
  units;
  circle;
  show(face) {
    this.title.textContent = `Face ${face.id}`;
    this.section.style.setProperty("--identity", colourOf(face.id));
    const hidden = hiddenRegions(face, this.spec);
    const quality = face.quality === null ? "" : `quality ${share(face.quality)}`;
    const turned = face.pose ? `head ${turn(face.pose.yaw)}, ${nod(face.pose.pitch)}` : "";
    const unseen = hidden.length ? `${hidden.join(", ")} not seen` : "";
    this.note.textContent = [quality, turned, unseen].filter(Boolean).join(" · ");
    for (const [name, bar] of this.expressions) bar.show(face.expressions[name], name === face.expression);
    for (const [name, bar] of this.units) bar.show(face.units[name].probability, face.units[name].active);
    this.circle?.show(face.valence, face.arousal);
  }
};
var turn = (yaw) => Math.abs(yaw) < 5 ? "straight" : `turned ${Math.abs(Math.round(yaw))}°`;
var nod = (pitch) => Math.abs(pitch) < 5 ? "level" : `tilted ${Math.abs(Math.round(pitch))}°`;
function group(title, bars) {
  const made = element("div", "group");
  made.append(element("h4", "", title), ...[...bars.values()].map((bar) => bar.row));
  return made;
}
var Panels = class {
  constructor(place, spec) {
    this.place = place;
    this.spec = spec;
  }
  place;
  spec;
  panels = [];
  more = element("p", "note");
  show(faces) {
    const area = (face) => face.box[2] * face.box[3];
    const largest = [...faces].sort((a, b) => area(b) - area(a)).slice(0, MOST_PANELS).sort((a, b) => a.id - b.id);
    if (this.panels.length !== largest.length) {
      while (this.panels.length < largest.length) this.panels.push(new Panel(this.spec));
      this.panels.length = largest.length;
      this.place.replaceChildren(...this.panels.map((panel) => panel.section), this.more);
    }
    this.place.dataset["faces"] = String(faces.length);
    largest.forEach((face, i) => this.panels[i].show(face));
    const others = faces.length - largest.length;
    this.more.textContent = faces.length ? others ? `and ${others} more in the picture and the table` : "" : "no face";
  }
};

// src/sources.ts
var SourceProblem = class extends Error {
};
function needFrames(video2) {
  if (!("requestVideoFrameCallback" in video2)) {
    throw new SourceProblem("This browser does not tell which frame it shows: use Chrome, Edge, Safari, or Firefox 132.");
  }
}
async function openCamera(video2) {
  needFrames(video2);
  const devices = navigator.mediaDevices;
  if (!devices) {
    throw new SourceProblem("Browsers give a camera only to pages with https, or at localhost. A video file works here.");
  }
  let stream;
  try {
    stream = await devices.getUserMedia({ audio: false, video: { width: { ideal: 640 }, height: { ideal: 480 } } });
  } catch (error) {
    throw new SourceProblem(cameraProblem(error));
  }
  video2.srcObject = stream;
  await video2.play();
  return stream;
}
function cameraProblem(error) {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "The camera was not allowed. Allow it for this page, at the left of the address, and try again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "There is no camera here. Connect one and try again, or open a video file.";
    case "NotReadableError":
    case "AbortError":
      return "The camera is in use by another program, or does not answer. Close the other program and try again.";
    default:
      return `The camera cannot be used (${String(error)}).`;
  }
}
async function openVideo(video2, file) {
  needFrames(video2);
  video2.srcObject = null;
  video2.src = URL.createObjectURL(file);
  await new Promise((done, failed) => {
    video2.onloadeddata = () => done();
    video2.onerror = () => {
      failed(
        new SourceProblem(
          `This browser cannot decode ${file.name}. MP4 with H.264 and WebM play everywhere; affectkit on the command line reads the others. (${video2.error?.message || "it gives no reason"})`
        )
      );
    };
  });
  if (!video2.videoWidth) throw new SourceProblem(`${file.name} has no picture in it.`);
}
async function openPicture(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new SourceProblem(`This browser cannot decode the picture ${file.name}. JPEG, PNG and WebP work everywhere.`);
  }
}
function dropped(video2) {
  return video2.getVideoPlaybackQuality().droppedVideoFrames;
}
async function start(video2) {
  try {
    await video2.play();
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
  }
}
var Running = class {
  constructor(video2, live) {
    this.video = video2;
    this.live = live;
    this.dropped = dropped(video2);
    video2.playbackRate = 1;
  }
  video;
  live;
  presented = 0;
  dropped;
  startedMs = -1;
  stopped = false;
  held = false;
  wake = null;
  next() {
    const { video: video2 } = this;
    if (this.stopped || video2.ended) return Promise.resolve(null);
    return new Promise((answer, failed) => {
      const end = () => {
        video2.cancelVideoFrameCallback(handle);
        video2.removeEventListener("ended", end);
        this.wake = null;
        answer(null);
      };
      const handle = video2.requestVideoFrameCallback((now, frame) => {
        video2.removeEventListener("ended", end);
        this.wake = null;
        if (this.startedMs < 0) this.startedMs = now;
        const gone = dropped(video2);
        const passed = this.presented ? Math.max(0, frame.presentedFrames - this.presented - 1) : 0;
        const missed = passed + Math.max(0, gone - this.dropped);
        [this.presented, this.dropped] = [frame.presentedFrames, gone];
        answer({ timeS: this.live ? (now - this.startedMs) / 1e3 : frame.mediaTime, missed });
      });
      this.wake = end;
      video2.addEventListener("ended", end);
      if (!this.live && video2.paused && !this.held) start(video2).catch(failed);
    });
  }
  pause() {
    this.held = true;
    this.video.pause();
  }
  resume() {
    this.held = false;
    void start(this.video);
  }
  stop() {
    this.stopped = true;
    this.wake?.();
  }
};
var SAME_S = 1e-4;
var SETTLED = 30;
var LITTLE_S = 1e-3;
var USUAL_S = 1 / 60;
var WITHIN = 0.2718;
var SLOWEST = 0.25;
var EveryFrame = class {
  constructor(video2) {
    this.video = video2;
    video2.pause();
    video2.playbackRate = 1;
  }
  video;
  /** Of the last frame that was given. */
  lastS = -1;
  /** What the browser calls the time of the frame that it shows. */
  toldS = -1;
  /** The shortest time from one frame to the next so far, between frames whose own time is known. */
  stepS = Infinity;
  /** A frame that has been seen while there may be others before it. */
  aheadS = null;
  /** How far apart these are. */
  searchS = Infinity;
  /** Whether frames have their own times after a seek. */
  ownTimes = true;
  /** Up to the frame that is shown; NaN: the browser did not tell of it. */
  presented = NaN;
  dropped = 0;
  stopped = false;
  wake = null;
  held = null;
  release = null;
  async next() {
    if (this.held) await this.held;
    if (this.stopped) return null;
    if (this.lastS < 0) return this.first();
    if (this.aheadS === null) {
      const shown = await this.play();
      if (this.stopped) return null;
      if (shown?.missed) this.video.playbackRate = Math.max(SLOWEST, 0.8 * this.video.playbackRate);
      if (!this.ownTimes) return shown && { ...this.give(shown.timeS), missed: shown.missed || 0 };
      const timeS = shown === null ? await this.end() : shown.timeS;
      if (timeS === null || timeS <= this.lastS + SAME_S) return null;
      const gapS = timeS - this.lastS;
      const known = shown?.missed === 0 && this.stepS < Infinity;
      const whole = known && (gapS < 1.5 * this.stepS || !await this.lies(timeS));
      if (shown !== null && whole) {
        if (this.stopped) return null;
        this.stepS = Math.min(this.stepS, gapS);
        return this.give(timeS);
      }
      if (this.stopped) return null;
      this.aheadS = timeS;
      const countedS = shown?.missed ? gapS / (shown.missed + 1) : USUAL_S;
      this.searchS = Math.min(this.stepS, countedS, 2 * USUAL_S);
    }
    const foundS = await this.between(this.aheadS, this.searchS);
    if (foundS !== null) this.stepS = Math.min(this.stepS, foundS - this.lastS);
    return this.give(foundS);
  }
  async first() {
    const timeS = await this.seek(0);
    const given = this.give(timeS);
    if (timeS !== null) this.ownTimes = await this.seek(timeS + LITTLE_S) !== timeS + LITTLE_S;
    return this.stopped ? null : given;
  }
  /** Whether a frame lies between the last one and that at `aheadS`: the browser's counts come late on busy machines. */
  async lies(aheadS) {
    const beforeS = await this.seek(aheadS - 0.4 * this.stepS);
    if (beforeS === null || beforeS > this.lastS + SAME_S) return true;
    await this.seek(aheadS + WITHIN * this.stepS);
    return false;
  }
  give(timeS) {
    if (timeS === null) return null;
    if (this.aheadS !== null && timeS >= this.aheadS - SAME_S) this.aheadS = null;
    this.lastS = timeS;
    return { timeS, missed: 0 };
  }
  /** The first frame after the last one, up to the one at `aheadS`, of frames `stepS` apart; the film stands there. */
  async between(aheadS, stepS) {
    for (let afterS = stepS; this.lastS + afterS < aheadS - 0.5 * stepS; afterS += stepS) {
      const targetS = this.lastS + afterS + WITHIN * stepS;
      const timeS = await this.seek(targetS);
      if (timeS === null || timeS > this.lastS + SAME_S) return timeS;
    }
    return await this.seek(aheadS + WITHIN * stepS) === null ? null : aheadS;
  }
  /** Whether there is a frame after the last one when the film has ended, which comes without a word of it: the last. */
  async end() {
    const { duration } = this.video;
    if (!Number.isFinite(duration)) return null;
    return this.seek(duration, true);
  }
  /** The next frame that is shown while the film runs; null: it has ended, or was stopped. */
  play() {
    const { video: video2 } = this;
    if (video2.ended) return Promise.resolve(null);
    return new Promise((answer, failed) => {
      const end = () => {
        video2.cancelVideoFrameCallback(handle);
        video2.removeEventListener("ended", end);
        this.wake = null;
        answer(null);
      };
      const look2 = (_, frame) => {
        if (frame.mediaTime <= this.toldS + SAME_S) {
          this.note(frame);
          handle = video2.requestVideoFrameCallback(look2);
          return;
        }
        video2.pause();
        video2.removeEventListener("ended", end);
        this.wake = null;
        const missed = frame.presentedFrames - this.presented - 1 + dropped(video2) - this.dropped;
        this.note(frame);
        answer({ timeS: frame.mediaTime, missed: Math.max(0, missed) });
      };
      let handle = video2.requestVideoFrameCallback(look2);
      this.wake = end;
      video2.addEventListener("ended", end);
      start(video2).catch(failed);
    });
  }
  /**
   * The time of the frame that is shown at a time; null: stopped.
   *
   * `patient`: what is shown before the film has come there may be an earlier frame at the same place.
   */
  seek(targetS, patient = false) {
    const { video: video2 } = this;
    return new Promise((answer) => {
      this.presented = NaN;
      let handle = 0;
      let otherS = Math.max(0, this.lastS);
      let waited = 0;
      const done = (timeS) => {
        waited = SETTLED;
        video2.cancelVideoFrameCallback(handle);
        video2.removeEventListener("seeked", wait);
        this.wake = null;
        if (timeS !== null) this.toldS = timeS;
        answer(timeS);
      };
      const look2 = (_, frame) => {
        this.note(frame);
        if (!patient && frame.mediaTime <= targetS + SAME_S) return done(frame.mediaTime);
        otherS = frame.mediaTime;
        handle = video2.requestVideoFrameCallback(look2);
      };
      const wait = () => {
        if (waited < SETTLED && ++waited === SETTLED) done(otherS);
        else if (waited < SETTLED) requestAnimationFrame(wait);
      };
      handle = video2.requestVideoFrameCallback(look2);
      this.wake = () => done(null);
      video2.addEventListener("seeked", wait, { once: true });
      video2.currentTime = Math.min(targetS, video2.duration);
    });
  }
  note(frame) {
    [this.presented, this.dropped, this.toldS] = [frame.presentedFrames, dropped(this.video), frame.mediaTime];
  }
  pause() {
    this.held ??= new Promise((release) => this.release = release);
  }
  resume() {
    this.release?.();
    this.held = this.release = null;
  }
  stop() {
    this.stopped = true;
    this.resume();
    this.wake?.();
  }
};

// src/page.ts
var PANEL_MS = 100;
function byId(id) {
  return document.getElementById(id);
}
var video = byId("video");
var still = document.createElement("canvas");
var overlay = new Overlay(byId("picture"));
var buttons = {
  camera: byId("camera"),
  open: byId("open"),
  pause: byId("pause"),
  stop: byId("stop"),
  save: byId("save")
};
var picker = byId("file");
var mirror = byId("mirror");
var every = byId("every");
var predictor;
var panels;
var running = null;
var paused = false;
var table = null;
var tableName = "affectkit";
var panelsAt = -Infinity;
function say(text, problem = false) {
  const line = byId("status");
  line.textContent = text;
  line.classList.toggle("problem", problem);
}
function attempt(work) {
  work().catch((error) => {
    const known = error instanceof SourceProblem || error instanceof AffectKitError2;
    say(known ? error.message : `Something went wrong: ${String(error)}`, true);
    if (!known) console.error(error);
    enable();
  });
}
function enable() {
  if (!predictor) return;
  const live = running !== null;
  for (const button of [buttons.camera, buttons.open]) button.disabled = false;
  buttons.pause.disabled = buttons.stop.disabled = !live;
  buttons.save.disabled = !table?.frames;
  buttons.pause.textContent = paused ? "Go on" : "Pause";
  document.body.dataset["state"] = live ? "running" : "ready";
}
function show(faces, mirrored) {
  overlay.draw(still, still.width, still.height, faces, mirrored);
  const now = performance.now();
  if (now - panelsAt < PANEL_MS) return;
  panelsAt = now;
  panels.show(faces);
}
function keep(picture, width, height) {
  if (still.width !== width || still.height !== height) [still.width, still.height] = [width, height];
  const context = still.getContext("2d", { willReadFrequently: true, alpha: false });
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, width, height);
}
async function stop() {
  const was = running;
  if (!was) return;
  was.frames.stop();
  await was.over;
}
async function begin(name) {
  await predictor.reset();
  tableName = name;
  table = new Table(predictor.spec, name);
  byId("stage").classList.add("showing");
  panelsAt = -Infinity;
  return table;
}
async function startCamera() {
  await stop();
  byId("counter").textContent = "";
  say("Waiting for the camera …");
  const stream = await openCamera(video);
  const rows = await begin("camera");
  follow(rows, stream, true);
}
async function openFile(file) {
  await stop();
  byId("counter").textContent = "";
  say(`Opening ${file.name} …`);
  if (file.type.startsWith("image/")) {
    const picture = await openPicture(file);
    const rows2 = await begin(file.name);
    const faces = await predictor.predictImage(keep(picture, picture.width, picture.height));
    rows2.add(faces, NaN);
    show(faces, false);
    say(`${file.name}: ${count(faces.length, "face")}`);
    enable();
    return;
  }
  await openVideo(video, file);
  const rows = await begin(file.name);
  follow(rows, null, false);
}
var count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;
function follow(rows, stream, live) {
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
async function look(frames, rows, live) {
  const name = tableName;
  say(live ? "The camera runs." : `Looking at ${name} …`);
  let missed = 0;
  let perSecond = 0;
  let last = performance.now();
  for (let shown = await frames.next(); shown !== null; shown = await frames.next()) {
    const pixels = keep(video, video.videoWidth, video.videoHeight);
    missed += shown.missed;
    const faces = await predictor.predict(pixels, 1e3 * shown.timeS);
    rows.add(faces, 1e3 * shown.timeS);
    show(faces, live && mirror.checked);
    const now = performance.now();
    perSecond += 0.1 * (1e3 / (now - last) - perSecond);
    last = now;
    const left = live ? "" : `, ${missed} left out`;
    byId("counter").textContent = `${count(rows.frames, "frame")}${left}, ${perSecond.toFixed(0)} a second, ${count(faces.length, "face")}`;
    buttons.save.disabled = false;
  }
  const note = live ? "" : missed ? `; ${count(missed, "frame")} left out` : "; none left out";
  say(`${name}: done, ${count(rows.frames, "frame")} in the table${note}`);
}
function save() {
  if (!table) return;
  const address = URL.createObjectURL(new Blob([table.toCsv()], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = `${tableName.replace(/\.[^.]*$/, "")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1e4);
}
function togglePause() {
  if (!running) return;
  paused = !paused;
  if (paused) running.frames.pause();
  else running.frames.resume();
  enable();
}
function listen() {
  buttons.camera.addEventListener("click", () => attempt(startCamera));
  buttons.open.addEventListener("click", () => picker.click());
  buttons.pause.addEventListener("click", togglePause);
  buttons.stop.addEventListener("click", () => attempt(stop));
  buttons.save.addEventListener("click", save);
  picker.addEventListener("change", () => {
    const file = picker.files?.[0];
    picker.value = "";
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
async function start2() {
  say("Loading the model from this site …");
  predictor = await Predictor.load();
  const { spec, threads } = predictor;
  panels = new Panels(byId("panels"), spec);
  byId("model").textContent = `${spec.name} ${spec.version}, ${spec.precision}`;
  byId("licence").textContent = spec.licence;
  byId("threads").textContent = threads > 1 ? `${threads} threads` : "one thread (the server does not send the headers that allow more)";
  listen();
  say("Ready. Start the camera, or open a video or a picture.");
  enable();
}
attempt(start2);
