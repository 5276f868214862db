/**
 * What is remembered of pictures: what a face looks like, where the picture has changed since it was searched, and
 * whether it cuts to another shot. As in `affectkit/faces/appearance.py`, `changes.py` and `shots.py`.
 */

import { centre } from "./boxes.js";
import type { Region } from "./mtcnn.js";
import { cutOut, lumaOfPixel, resized, type Raster } from "./raster.js";
import type { Box } from "./types.js";

const APPEARANCE_PX = 8;
const LENGTH = 3 * APPEARANCE_PX ** 2;

/** A small picture of a face, of mean 0 and length 1; all 0 where there is nothing to see. */
export function appearanceOf(image: Raster, box: Box): Float32Array {
  const [x, y] = centre(box);
  const half = Math.max(box[2], box[3]) / 2;
  const inside = (side: number, length: number) => Math.trunc(Math.min(Math.max(0, side), length));
  const [left, right] = [inside(x - half, image.width), inside(x + half + 1, image.width)];
  const [top, bottom] = [inside(y - half, image.height), inside(y + half + 1, image.height)];
  if (right - left < 2 || bottom - top < 2) return new Float32Array(LENGTH);
  const small = resized(cutOut(image, left, top, right, bottom), APPEARANCE_PX, APPEARANCE_PX, "area");
  const values = Float32Array.from(small.data);
  const mean = values.reduce((sum, value) => sum + value, 0) / LENGTH;
  for (let i = 0; i < LENGTH; i++) values[i] -= mean;
  const flat = values.reduce((sum, value) => sum + Math.abs(value), 0) < 2 * LENGTH;
  return flat ? new Float32Array(LENGTH) : unit(values);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

const isKnown = (values: Float32Array) => values.some((value) => value !== 0);

/** Correlation of two appearances, -1..1; 1 where one of them is unknown, since nothing speaks against it. */
export function similarity(a: Float32Array, b: Float32Array): number {
  const product = dot(a, b);
  return product !== 0 || (isKnown(a) && isKnown(b)) ? product : 1;
}

export function unit(values: Float32Array): Float32Array {
  const length = Math.sqrt(dot(values, values));
  return length > 0 ? values.map((value) => value / length) : values;
}

/** An average that moves a tenth of the way to what is seen now. */
export function learned(average: Float32Array, now: Float32Array): Float32Array {
  return isKnown(average) ? unit(average.map((value, i) => value + 0.1 * (now[i] - value))) : now;
}

const [COLUMNS, ROWS] = [48, 27];
const NOTICED = 5;
const KNOWN_MARGIN = 0.25;

/** Brightness of every cell of a grid when it was last searched for faces. */
export class ChangeDetector {
  private before: Uint8Array | null = null;

  /** The whole picture has been searched. */
  note(image: Raster): void {
    this.before = brightness(image);
  }

  /** What has to be searched now, and counts as searched from here on; null: nothing. */
  changed(image: Raster, known: readonly Box[]): Region | null {
    const now = brightness(image);
    const { width, height } = image;
    if (this.before === null) {
      this.before = now;
      return [0, 0, width, height];
    }
    // Of cells that are not searched the old brightness is kept: what changes little by little is noticed at last.
    const before = this.before.slice();
    const cells = now.map((value, i) => (Math.abs(value - before[i]) >= NOTICED ? 1 : 0));
    for (const [x, y, w, h] of known) {
      const cell = (place: number, side: number, count: number) => (place / side) * count;
      const left = Math.max(0, Math.trunc(cell(x - KNOWN_MARGIN * w, width, COLUMNS)));
      const right = Math.max(0, Math.ceil(cell(x + (1 + KNOWN_MARGIN) * w, width, COLUMNS)));
      const top = Math.max(0, Math.trunc(cell(y - KNOWN_MARGIN * h, height, ROWS)));
      const bottom = Math.max(0, Math.ceil(cell(y + (1 + KNOWN_MARGIN) * h, height, ROWS)));
      for (let row = top; row < Math.min(bottom, ROWS); row++) {
        for (let column = left; column < Math.min(right, COLUMNS); column++) {
          cells[row * COLUMNS + column] = 0;
          before[row * COLUMNS + column] = now[row * COLUMNS + column];
        }
      }
    }
    this.before = before;
    let [first, last, high, low] = [COLUMNS, -1, ROWS, -1];
    cells.forEach((changed, i) => {
      if (!changed) return;
      const [column, row] = [i % COLUMNS, Math.floor(i / COLUMNS)];
      [first, last] = [Math.min(first, column), Math.max(last, column)];
      [high, low] = [Math.min(high, row), Math.max(low, row)];
    });
    if (last < 0) return null;
    for (let row = high; row <= low; row++) {
      for (let column = first; column <= last; column++) before[row * COLUMNS + column] = now[row * COLUMNS + column];
    }
    // A cell more on every side, and half of it: a face's edges may not have changed much.
    const [across, down] = [width / COLUMNS, height / ROWS];
    return [
      Math.max(0, Math.trunc((first - 1.5) * across)),
      Math.max(0, Math.trunc((high - 1.5) * down)),
      Math.min(width, Math.trunc((last + 2.5) * across) + 1),
      Math.min(height, Math.trunc((low + 2.5) * down) + 1),
    ];
  }
}

function brightness(image: Raster): Uint8Array {
  const { data } = resized(image, COLUMNS, ROWS, "area");
  return Uint8Array.from({ length: COLUMNS * ROWS }, (_, i) =>
    lumaOfPixel(data[3 * i], data[3 * i + 1], data[3 * i + 2]),
  );
}

const [THUMB_WIDTH, THUMB_HEIGHT] = [32, 18];
const SHOTS_REMEMBERED = 12;
/** Mean change of a thumbnail's pixels, as a fraction of the range, that counts as a cut. */
const CUT_DIFFERENCE = 0.25;
/** Difference of thumbnails up to which a shot is one that was shown before. */
const SAME_SHOT = 0.08;

function thumbnail(image: Raster): Uint8Array {
  const found = new Uint8Array(3 * THUMB_WIDTH * THUMB_HEIGHT);
  let to = 0;
  for (let row = 0; row < THUMB_HEIGHT; row++) {
    const y = Math.trunc(((row + 0.5) * image.height) / THUMB_HEIGHT);
    for (let column = 0; column < THUMB_WIDTH; column++) {
      const x = Math.trunc(((column + 0.5) * image.width) / THUMB_WIDTH);
      for (let c = 0; c < 3; c++) found[to++] = image.data[(y * image.width + x) * image.stride + c];
    }
  }
  return found;
}

function change(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i] - b[i]);
  return sum / a.length / 255;
}

/** Compares every picture with the one before, and keeps who was in which shot. */
export class Shots<T> {
  private shots: { last: Uint8Array; tracks: readonly T[] }[] = [];
  private last: Uint8Array | null = null;
  private size: readonly [number, number] | null = null;

  /** Who is expected in a shot that begins with this picture; null: it belongs to the shot before. */
  cutTo(image: Raster, tracks: readonly T[], backwards: boolean): readonly T[] | null {
    const small = thumbnail(image);
    const before = this.last;
    this.last = small;
    const resizedTo = this.size !== null && (this.size[0] !== image.width || this.size[1] !== image.height);
    this.size = [image.width, image.height];
    if (before === null || !(change(small, before) > CUT_DIFFERENCE || resizedTo || backwards)) return null;
    if (resizedTo) {
      this.shots = [];
      return [];
    }
    this.shots = [...this.shots, { last: before, tracks }].slice(-SHOTS_REMEMBERED);
    const nearest = this.shots.reduce((a, b) => (change(small, b.last) < change(small, a.last) ? b : a));
    if (change(small, nearest.last) > SAME_SHOT) return [];
    this.shots = this.shots.filter((shot) => shot !== nearest);
    return nearest.tracks;
  }
}
