/** What is wired together: a picture -> its faces and what the model says of them. */

import { cropFace } from "./align.js";
import type { Detection } from "./boxes.js";
import { AffectKitError } from "./errors.js";
import { Mtcnn, WINDOW_PX } from "./mtcnn.js";
import { Runtime, type RunNetwork } from "./network.js";
import type { Raster } from "./raster.js";
import * as readout from "./readout.js";
import { parseSpec } from "./spec.js";
import { Tracker } from "./tracking.js";
import type { Face, ImageInput, LoadOptions, ModelSpec } from "./types.js";

/** How a predictor is made, filled in. */
interface Settings {
  readonly maxFaces: number;
  readonly minFacePx: number;
  readonly prior: "natural" | "balanced";
}

/** Finds faces in frames, follows them, and tells what a model says of each. All of it runs where the module runs. */
export class Predictor {
  private readonly detector: Mtcnn;
  private tracker: Tracker;
  private canvas: OffscreenCanvas | null = null;
  private queue: Promise<unknown> = Promise.resolve();

  private constructor(
    /** What the model answers. */
    readonly spec: ModelSpec,
    /** Threads that compute; 1 unless the page is isolated from others. */
    readonly threads: number,
    private readonly network: RunNetwork,
    detectors: readonly RunNetwork[],
    private readonly settings: Settings,
    private readonly closing: readonly (() => Promise<void>)[],
  ) {
    this.detector = new Mtcnn(detectors[0], detectors[1], detectors[2], settings.minFacePx);
    this.tracker = new Tracker(this.detector, settings.maxFaces);
  }

  /**
   * Load the networks, about 18 MB from the folder `base`, and get ready.
   *
   * @throws {AffectKitError} the browser lacks WebAssembly SIMD, a file is missing or is not the one that belongs there.
   * @throws {RangeError} an option is out of range.
   */
  static async load(options: LoadOptions = {}): Promise<Predictor> {
    const { maxFaces = Infinity, minFacePx = 20, prior = "natural" } = options;
    if (!(maxFaces >= 1)) throw new RangeError(`maxFaces must be at least 1, got ${maxFaces}`);
    if (!(minFacePx >= WINDOW_PX)) throw new RangeError(`minFacePx must be at least ${WINDOW_PX}, got ${minFacePx}`);
    const base = folderOf(options.base);
    const runtime = await Runtime.load(`${base}runtime/`, options.threads);
    const where = `${base}model/model.json`;
    const spec = parseSpec(await fetched(where, (answer) => answer.json()), where);
    if (prior === "balanced" && !spec.prior) {
      throw new RangeError(`${spec.name} does not state how common expressions were in training: there is no balance`);
    }
    const bytes = (file: string) => fetched(`${base}${file}`, (answer) => answer.arrayBuffer());
    const names = ["pnet", "rnet", "onet"];
    const [frame, ...weights] = await Promise.all([
      bytes("model/frame.onnx"),
      ...names.map((name) => bytes(`detector/${name}.onnx`)),
    ]);
    await check(frame, spec.files["frame.onnx"], `${base}model/frame.onnx`);
    const network = await runtime.open(frame, "faces", `${base}model/frame.onnx`);
    const detectors: { run: RunNetwork; close: () => Promise<void> }[] = [];
    for (const [i, name] of names.entries()) {
      detectors.push(await runtime.open(weights[i], "images", `${base}detector/${name}.onnx`));
    }
    const closing = [network, ...detectors].map((one) => one.close);
    const runs = detectors.map((one) => one.run);
    const settings = { maxFaces, minFacePx, prior };
    const made = new Predictor(spec, runtime.threads, network.run, runs, settings, closing);
    await made.warmUp();
    return made;
  }

  /** Run everything once, so that the first real frame does not wait for what browsers compile then. */
  private async warmUp(): Promise<void> {
    const [width, height] = [320, 180];
    const image: Raster = { data: new Uint8ClampedArray(4 * width * height).fill(128), width, height, stride: 4 };
    await this.detector.detect(image);
    const five = [[130, 70], [190, 70], [160, 100], [135, 130], [185, 130]] as const;
    const face: Detection = { box: [100, 30, 120, 130], score: 1, points: five };
    await this.detector.settle(image, [face]);
    await this.read(image, [face], [0]);
  }

  /**
   * The faces of the next frame of a video, by identity. Frames are answered in the order of the calls.
   *
   * @param timeMs when the frame is shown, milliseconds; where it runs backwards, another video begins.
   * @throws {TypeError} `timeMs` is not a finite number.
   * @throws {AffectKitError} `image` shows nothing, or may not be read (it comes from another site).
   */
  predict(image: ImageInput, timeMs: number): Promise<Face[]> {
    if (!Number.isFinite(timeMs)) throw new TypeError(`timeMs must be a finite number, got ${timeMs}`);
    const pixels = this.pixelsOf(image); // at once: a video goes on while others are computed
    return this.inTurn(async () => {
      const { faces } = await this.tracker.update(pixels, timeMs / 1000);
      return this.read(pixels, faces.map((face) => face.detection), faces.map((face) => face.id));
    });
  }

  /** The faces of a single picture, in falling order of the detector's score; ids are their places. */
  predictImage(image: ImageInput): Promise<Face[]> {
    const pixels = this.pixelsOf(image);
    return this.inTurn(async () => {
      const faces = await this.detector.settle(pixels, await this.detector.detect(pixels));
      return this.read(pixels, faces, faces.map((_, i) => i));
    });
  }

  /** Forget all faces, for another video; ids begin at 0 again. */
  reset(): Promise<void> {
    return this.inTurn(async () => {
      this.tracker = new Tracker(this.detector, this.settings.maxFaces);
    });
  }

  /** Free the networks, after what was asked for is answered. */
  close(): Promise<void> {
    return this.inTurn(async () => {
      for (const close of this.closing) await close();
    });
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const answer = this.queue.then(work);
    this.queue = answer.catch(() => undefined);
    return answer;
  }

  private pixelsOf(image: ImageInput): Raster {
    if (image instanceof ImageData) return { data: image.data, width: image.width, height: image.height, stride: 4 };
    const [width, height] = sizeOf(image);
    if (!width || !height) throw new AffectKitError("input", "there is no picture to look at yet");
    if (this.canvas?.width !== width || this.canvas.height !== height) this.canvas = new OffscreenCanvas(width, height);
    const context = this.canvas.getContext("2d", { willReadFrequently: true, alpha: false })!;
    context.drawImage(image, 0, 0, width, height);
    try {
      const { data } = context.getImageData(0, 0, width, height);
      return { data, width, height, stride: 4 };
    } catch (error) {
      this.canvas = null; // it may never be read again
      throw new AffectKitError("input", `the picture may not be read: it comes from another site (${String(error)})`);
    }
  }

  /** What the network says of the faces of a picture, with those turned that are not upright. */
  private async read(image: Raster, faces: readonly Detection[], ids: readonly number[]): Promise<Face[]> {
    if (!faces.length) return [];
    const { spec } = this;
    const { size, channels } = spec.input;
    const crops = faces.map((face) => cropFace(image, face.points, spec.input));
    const outputs = await this.ask(crops);
    const affects: Face[] = [];
    for (const [i, face] of faces.entries()) {
      let [answer, place, quarters] = [outputs, i, 0];
      if (readout.mayBeTurned(outputs, i, face.score, spec)) {
        const turned = await this.ask(readout.TURNS.map((turn) => readout.rotated(crops[i], size, channels, turn)));
        const best = readout.bestTurn(turned, [0, 1, 2], spec);
        if (best >= 0) [answer, place, quarters] = [turned, best, readout.TURNS[best]];
      }
      const { size: scale, turn } = readout.placed(face, spec);
      const facts = {
        size: scale,
        sharpness: readout.sharpnessOf(crops[i], size, channels),
        turn: turn - 90 * quarters,
        inside: readout.insideOf(face.points, image.width, image.height),
      };
      const affect = readout.readOut(answer, place, spec, facts, this.settings.prior);
      affects.push({ id: ids[i], box: face.box, score: face.score, points: face.points, ...affect });
    }
    return affects;
  }

  private ask(crops: readonly Uint8ClampedArray[]): Promise<readout.Outputs> {
    const { size, channels } = this.spec.input;
    const all = new Uint8ClampedArray(crops.length * crops[0].length);
    crops.forEach((crop, i) => all.set(crop, i * crop.length));
    return this.network(all, [crops.length, size, size, channels]);
  }
}

/** The address of a folder, with a slash at its end; without one that of this module. */
function folderOf(base: string | URL | undefined): string {
  const { href } = base === undefined ? new URL("./", import.meta.url) : new URL(base, location.href);
  return href.endsWith("/") ? href : `${href}/`;
}

function sizeOf(image: Exclude<ImageInput, ImageData>): [number, number] {
  if ("videoWidth" in image) return [image.videoWidth, image.videoHeight];
  if ("naturalWidth" in image) return [image.naturalWidth, image.naturalHeight];
  if ("displayWidth" in image) return [image.displayWidth, image.displayHeight];
  return [image.width, image.height];
}

async function fetched<T>(address: string, read: (answer: Response) => Promise<T>): Promise<T> {
  let reason: string;
  try {
    const answer = await fetch(address);
    if (answer.ok) return await read(answer);
    reason = `the server answers ${answer.status}`;
  } catch (error) {
    reason = String(error);
  }
  throw new AffectKitError("missing", `${address} cannot be loaded (${reason})`);
}

/** Compare a file with its checksum, where the browser computes one (https, or this machine). */
async function check(bytes: ArrayBuffer, sha256: string, where: string): Promise<void> {
  if (!globalThis.crypto?.subtle) return;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== sha256) throw new AffectKitError("model", `${where} is damaged, or not the one that model.json lists`);
}
