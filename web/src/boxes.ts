/** Boxes x, y, width, height in px, and whether two detections are of one face; as in `affectkit/faces/boxes.py`. */

import type { Box, Point } from "./types.js";

/** A face in one picture. */
export interface Detection {
  readonly box: Box;
  /** 0..1. */
  readonly score: number;
  /** Left eye, right eye, nose tip, left and right mouth corner, as seen in the picture, px. */
  readonly points: readonly Point[];
}

const SAME_POINTS = 0.15;
const RESTING = 0.002;
const STAYED = 0.1;

/** Intersection over union. */
export function iou(a: Box, b: Box): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const shared = width * height;
  return shared / (a[2] * a[3] + b[2] * b[3] - shared);
}

const longer = (box: Box) => Math.max(box[2], box[3]);

/** Whether the points of two detections are closer than those of two faces could be. */
export function sameFace(a: Detection, b: Detection): boolean {
  const away = a.points.reduce((sum, [x, y], i) => sum + Math.hypot(x - b.points[i][0], y - b.points[i][1]), 0) / 5;
  return away <= SAME_POINTS * Math.min(longer(a.box), longer(b.box));
}

export function centre(box: Box): Point {
  return [box[0] + box[2] / 2, box[1] + box[3] / 2];
}

function distance(a: Box, b: Box): number {
  const [[x, y], [u, v]] = [centre(a), centre(b)];
  return Math.hypot(x - u, y - v);
}

/** Whether two heads, which are larger than their faces, are side by side or over each other. */
export function touch(a: Box, b: Box): boolean {
  return distance(a, b) < 0.6 * (longer(a) + longer(b));
}

/** Distance of two boxes in sides of the first; null where one is more than twice as large as the other. */
export function awayFrom(expected: Box, box: Box): number | null {
  const [size, other] = [expected, box].map((b) => Math.max(1, Math.sqrt(b[2] * b[3])));
  return other / size > 0.5 && other / size < 2 ? distance(expected, box) / size : null;
}

/** Whether a face hardly moved; else one look from where it was has not yet come to rest where it is. */
export function stayed(before: Detection, now: Detection): boolean {
  const most = STAYED * longer(before.box);
  return distance(before.box, now.box) <= most && Math.abs(now.box[3] - before.box[3]) <= most;
}

/** A face that is followed: as it was, if its points moved by less than following can tell. */
export function atRest(before: Detection, now: Detection): Detection {
  let away = 0;
  now.points.forEach(([x, y], i) => {
    away = Math.max(away, Math.abs(x - before.points[i][0]), Math.abs(y - before.points[i][1]));
  });
  const share = away > 0 ? 2 - (2 * RESTING * longer(before.box)) / away : 0;
  if (share <= 0) return before;
  if (share >= 1) return now;
  const mix = (from: number, to: number) => from + share * (to - from);
  return {
    box: before.box.map((side, i) => mix(side, now.box[i])) as unknown as Box,
    score: now.score,
    points: before.points.map(([x, y], i) => [
      Math.fround(mix(x, now.points[i][0])),
      Math.fround(mix(y, now.points[i][1])),
    ]),
  };
}
