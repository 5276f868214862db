/**
 * MTCNN (Zhang et al. 2016), the arithmetic of `affectkit/faces/mtcnn.py`: P-Net over a pyramid, R-Net, O-Net; and
 * O-Net around the last points to follow a face from frame to frame.
 */

import type { Detection } from "./boxes.js";
import type { RunNetwork } from "./network.js";
import { halved, resized, rint, cutOut, type Raster } from "./raster.js";
import type { Box, Point } from "./types.js";
import { uprightPatches } from "./warping.js";

/** x1, y1, x2, y2, px; the last pixel belongs to it. */
type Corners = [number, number, number, number];
/** Left, top, right, bottom, px; right and bottom do not belong to it. */
export type Region = readonly [number, number, number, number];

const FACTOR = 0.709;
const GREY = 128;
/** What one cell of P-Net sees; no smaller face can be asked for. */
export const WINDOW_PX = 12;
const STRIDE_PX = 2;
const STRIP_PIXELS = 1 << 17;
const SIDE_IN_SPREADS = 4;
const UP_IN_SPREADS = 0.3;
const SIDE_TO_BOX = 1.4;
const SETTLING_ROUNDS = 4;
const PATCHES_AT_ONCE = 256;
const THRESHOLDS = [0.6, 0.7, 0.8] as const;
const FOLLOW_THRESHOLD = 0.7;

interface Scored {
  readonly boxes: Corners[];
  readonly scores: number[];
}

/** The cascade; keeps nothing from one picture to the next. */
export class Mtcnn {
  constructor(
    private readonly pnet: RunNetwork,
    private readonly rnet: RunNetwork,
    private readonly onet: RunNetwork,
    private readonly minFacePx: number,
  ) {}

  /** All faces, in falling order of score. */
  detect(image: Raster): Promise<Detection[]> {
    return this.search(image, [0, 0, image.width, image.height], "area", 0);
  }

  /** Faces in a part of the picture; in the whole of it those from 1.4 times the smallest size on. */
  detectIn(image: Raster, region: Region): Promise<Detection[]> {
    const whole = region[0] === 0 && region[1] === 0 && region[2] === image.width && region[3] === image.height;
    return this.search(image, region, "linear", whole ? 1 : 0);
  }

  /** Where the faces of the picture before are in this one; null for one that is lost. */
  async follow(image: Raster, faces: readonly Detection[]): Promise<(Detection | null)[]> {
    if (!faces.length) return [];
    const seen = await this.runOnet(image, faces.map(squareOf), true);
    return seen.boxes.map((box, i) => {
      const stays = seen.scores[i] >= FOLLOW_THRESHOLD && this.isLarge(box);
      return stays ? detection(box, seen.scores[i], seen.points[i]) : null;
    });
  }

  /** Detected faces with the points that following would have in the end; itself where O-Net says there is none. */
  async settle(image: Raster, faces: readonly Detection[]): Promise<Detection[]> {
    let settled = [...faces];
    for (let round = 0; round < SETTLING_ROUNDS; round++) {
      const found = await this.follow(image, settled);
      settled = settled.map((old, i) => found[i] ?? old);
    }
    return settled;
  }

  private async search(image: Raster, region: Region, how: "area" | "linear", skipped: number): Promise<Detection[]> {
    const [left, top, right, bottom] = region;
    const whole = left === 0 && top === 0 && right === image.width && bottom === image.height;
    const proposed = await this.propose(whole ? image : cutOut(image, left, top, right, bottom), how, skipped);
    const boxes = proposed.map(([a, b, c, d]): Corners => [a + left, b + top, c + left, d + top]);
    return this.finish(image, await this.refine(image, boxes));
  }

  /** P-Net over the pyramid without its `skipped` largest levels. */
  private async propose(image: Raster, how: "area" | "linear", skipped: number): Promise<Corners[]> {
    const scales = pyramid(image.height, image.width, this.minFacePx).slice(skipped);
    const halves = [image];
    const boxes: Corners[] = [];
    const scores: number[] = [];
    for (const scale of scales) {
      const halvings = Math.max(0, Math.floor(Math.log2((how === "area" ? 0.75 : 1) / scale)));
      while (halves.length <= halvings) halves.push(halved(halves[halves.length - 1]));
      const size = [Math.trunc(image.width * scale), Math.trunc(image.height * scale)] as const;
      const level = await this.searchLevel(resized(halves[halvings], ...size, how), scale);
      boxes.push(...level.boxes);
      scores.push(...level.scores);
    }
    return nms(boxes, scores, 0.7).map((i) => squared(boxes[i]));
  }

  private async searchLevel(image: Raster, scale: number): Promise<Scored> {
    const { width, height } = image;
    const windows: Corners[] = [];
    const scores: number[] = [];
    const moved: Corners[] = [];
    const cells = Math.max(1, Math.ceil((height - WINDOW_PX) / STRIDE_PX) + 1);
    const each = Math.max(1, Math.floor((STRIP_PIXELS / width - WINDOW_PX) / STRIDE_PX) + 1);
    for (let first = 0; first < cells; first += each) {
      const last = first + each;
      const end = last >= cells ? height : (last - 1) * STRIDE_PX + WINDOW_PX;
      const part = image.data.subarray(first * STRIDE_PX * width * 3, end * width * 3);
      const answer = await this.pnet(part, [1, end - first * STRIDE_PX, width, 3]);
      const probability = answer["probability"];
      const [, rows, columns] = probability.dims;
      const offsets = answer["offsets"].data;
      for (let i = 0; i < rows * columns; i++) {
        const score = probability.data[i];
        if (score < THRESHOLDS[0]) continue;
        const x = (i % columns) * STRIDE_PX;
        const y = (Math.floor(i / columns) + first) * STRIDE_PX;
        const window: Corners = [
          (x + 1) / scale,
          (y + 1) / scale,
          (x + WINDOW_PX) / scale,
          (y + WINDOW_PX) / scale,
        ];
        windows.push(window);
        scores.push(score);
        const side = (WINDOW_PX - 1) / scale;
        moved.push(window.map((edge, k) => edge + offsets[k * rows * columns + i] * side) as Corners);
      }
    }
    const best = nms(windows, scores, 0.5);
    return { boxes: best.map((i) => moved[i]), scores: best.map((i) => scores[i]) };
  }

  private async refine(image: Raster, boxes: Corners[]): Promise<Corners[]> {
    const answer = await this.runPatches(this.rnet, image, boxes, 24, false);
    const scores: number[] = [];
    const kept: Corners[] = [];
    boxes.forEach((box, i) => {
      const score = answer["probability"][i];
      if (score < THRESHOLDS[1]) return;
      scores.push(score);
      kept.push(shifted(box, answer["offsets"], 4 * i));
    });
    return nms(kept, scores, 0.7).map((i) => squared(kept[i]));
  }

  private async finish(image: Raster, boxes: Corners[]): Promise<Detection[]> {
    const seen = await this.runOnet(image, boxes, false);
    const kept = seen.boxes.flatMap((box, i) => (seen.scores[i] >= THRESHOLDS[2] && this.isLarge(box) ? [i] : []));
    const best = nms(kept.map((i) => seen.boxes[i]), kept.map((i) => seen.scores[i]), 0.7, true);
    return best.map((k) => detection(seen.boxes[kept[k]], seen.scores[kept[k]], seen.points[kept[k]]));
  }

  private async runOnet(image: Raster, boxes: Corners[], average: boolean): Promise<Scored & { points: Point[][] }> {
    const answer = await this.runPatches(this.onet, image, boxes, 48, average);
    const points = boxes.map(([x1, y1, x2, y2], i) =>
      Array.from({ length: 5 }, (_, k): Point => {
        const x = answer["points"][10 * i + k];
        const y = answer["points"][10 * i + 5 + k];
        return [x1 + x * (x2 - x1 + 1) - 1, y1 + y * (y2 - y1 + 1) - 1];
      }),
    );
    return {
      boxes: boxes.map((box, i) => shifted(box, answer["offsets"], 4 * i)),
      scores: boxes.map((_, i) => answer["probability"][i]),
      points,
    };
  }

  /** A network's answers to patches of the picture, joined. */
  private async runPatches(
    network: RunNetwork,
    image: Raster,
    boxes: Corners[],
    size: number,
    average: boolean,
  ): Promise<Record<string, number[]>> {
    const joined: Record<string, number[]> = { probability: [], offsets: [], points: [] };
    // The original hands TensorFlow boxes as fractions of the side, which TensorFlow multiplies by the side minus 1.
    const [fx, fy] = [(image.width - 1) / image.width, (image.height - 1) / image.height];
    for (let first = 0; first < boxes.length; first += PATCHES_AT_ONCE) {
      const part = boxes.slice(first, first + PATCHES_AT_ONCE);
      const squares = part.map(([x1, y1, x2, y2]) => ({
        x: x1 * fx,
        y: y1 * fy,
        stepX: (x2 * fx - x1 * fx) / (size - 1),
        stepY: (y2 * fy - y1 * fy) / (size - 1),
      }));
      const patches = uprightPatches(image, squares, size, GREY, average);
      const answer = await network(patches, [part.length, size, size, 3]);
      for (const [name, values] of Object.entries(answer)) joined[name].push(...values.data);
    }
    return joined;
  }

  private isLarge([x1, y1, x2, y2]: Corners): boolean {
    return Math.max(x2 - x1, y2 - y1) + 1 >= this.minFacePx - 0.5;
  }
}

/** Scales at which P-Net's window covers faces from the smallest to about the picture's shorter side. */
export function pyramid(height: number, width: number, minFacePx: number): number[] {
  const shorter = Math.min(height, width);
  if (shorter < minFacePx) return [];
  const count = Math.max(1, rint(Math.log(shorter / WINDOW_PX) / Math.log(1 / FACTOR) - 1));
  return Array.from({ length: count }, (_, i) => (WINDOW_PX / minFacePx) * FACTOR ** i).filter(
    (scale) => Math.trunc(shorter * scale) >= WINDOW_PX,
  );
}

/** Greedy non-maximum suppression: indices of the boxes that stay, best first. */
export function nms(boxes: Corners[], scores: number[], limit: number, overSmaller = false): number[] {
  const order = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a] || a - b);
  const area = boxes.map(([x1, y1, x2, y2]) => (x2 - x1 + 1) * (y2 - y1 + 1));
  const kept: number[] = [];
  for (const i of order) {
    const [x1, y1, x2, y2] = boxes[i];
    const stays = kept.every((k) => {
      const right = Math.min(x2, boxes[k][2]) - Math.max(x1, boxes[k][0]);
      const down = Math.min(y2, boxes[k][3]) - Math.max(y1, boxes[k][1]);
      const shared = Math.max(right + 1, 0) * Math.max(down + 1, 0);
      const whole = overSmaller ? Math.min(area[i], area[k]) : area[i] + area[k] - shared;
      return shared / whole <= limit;
    });
    if (stays) kept.push(i);
  }
  return kept;
}

/** The square in which O-Net looks for a face whose points are known: around the points, not around the box. */
function squareOf(face: Detection): Corners {
  const [left, top, width, height] = face.box;
  let x = face.points.reduce((sum, p) => sum + p[0], 0) / 5;
  let y = face.points.reduce((sum, p) => sum + p[1], 0) / 5;
  const spread = Math.sqrt(face.points.reduce((sum, p) => sum + (p[0] - x) ** 2 + (p[1] - y) ** 2, 0) / 5);
  const most = Math.max(width, height);
  if (!(left <= x && x <= left + width && top <= y && y <= top + height && spread > 0)) {
    [x, y] = [left + width / 2, top + height / 2];
    return [x - most / 2, y - most / 2, x + most / 2, y + most / 2];
  }
  const side = Math.min(Math.max(SIDE_IN_SPREADS * spread, most / SIDE_TO_BOX), most * SIDE_TO_BOX);
  const [eyeLeft, eyeRight, , mouthLeft, mouthRight] = face.points;
  const upX = eyeLeft[0] + eyeRight[0] - mouthLeft[0] - mouthRight[0];
  const upY = eyeLeft[1] + eyeRight[1] - mouthLeft[1] - mouthRight[1];
  const up = (UP_IN_SPREADS * spread) / (Math.hypot(upX, upY) || 1);
  [x, y] = [x + up * upX, y + up * upY];
  return [x - side / 2, y - side / 2, x + side / 2, y + side / 2];
}

/** A box whose corners are moved by offsets in units of its sides. */
function shifted([x1, y1, x2, y2]: Corners, offsets: ArrayLike<number>, at: number): Corners {
  const [width, height] = [x2 - x1 + 1, y2 - y1 + 1];
  return [
    x1 + offsets[at] * width,
    y1 + offsets[at + 1] * height,
    x2 + offsets[at + 2] * width,
    y2 + offsets[at + 3] * height,
  ];
}

/** The square around the same centre with the longer side. */
function squared([x1, y1, x2, y2]: Corners): Corners {
  const [width, height] = [x2 - x1, y2 - y1];
  const side = Math.max(width, height);
  const [x, y] = [x1 + width / 2 - side / 2, y1 + height / 2 - side / 2];
  return [x, y, x + side, y + side];
}

function detection([x1, y1, x2, y2]: Corners, score: number, points: Point[]): Detection {
  const box: Box = [x1, y1, x2 - x1, y2 - y1];
  return { box, score, points: points.map(([x, y]) => [Math.fround(x), Math.fround(y)]) };
}
