/**
 * Squares cut out of a picture along an affine map: the arithmetic of `affectkit/warping.py`. Places are rounded to
 * 32nds of a pixel and sampled bilinearly in whole numbers, so that crops are those of Python, to the last bit.
 */

import { averaged, channelsOf, cutOut, lumaOf, rint, type Raster } from "./raster.js";

/** Six numbers a, b, x, c, d, y: (u, v) goes to (a u + b v + x, c u + d v + y). */
export type Affine = readonly [number, number, number, number, number, number];

/** Pixels of the picture for one of the square, up to which bilinear sampling sees every one of them. */
const SHARP_STEP = 2;
/** What a square looks at begins and ends at multiples of it. */
const WHOLE_PX = 4;

/** The inverse of an affine map. */
export function inverted(map: Affine): Affine {
  const [a, b, x, c, d, y] = map;
  const determinant = a * d - b * c;
  if (!Number.isFinite(determinant) || determinant === 0) {
    throw new RangeError("the map has no inverse: it maps the picture to a line or a point");
  }
  const [p, q, r, s] = [d / determinant, -b / determinant, -c / determinant, a / determinant];
  return [p, q, -(p * x + q * y), r, s, -(r * x + s * y)];
}

function bounds(first: number, across: number, down: number, cell: number, length: number): [number, number] {
  const low = first + Math.min(0, across) + Math.min(0, down) - 2 * cell;
  const high = first + Math.max(0, across) + Math.max(0, down) + 2 * cell;
  // Cells lie where they lie in the picture, not in the square: as it moves they stay.
  const whole = Math.max(cell, WHOLE_PX);
  const start = Math.floor(Math.trunc(Math.min(Math.max(low, 0), length - 1)) / whole) * whole;
  const end = Math.ceil(Math.trunc(Math.min(Math.max(high + 1, 1), length)) / whole) * whole;
  return [start, Math.min(Math.max(end, start + 1), length)];
}

/** Places in 32nds of a pixel, x and y by turns; rounded from float32, as OpenCV does. */
function places(size: number, map: Affine): Int32Array {
  const [a, b, x, c, d, y] = map;
  const found = new Int32Array(2 * size * size);
  const of = (step: number, first: number) => Float32Array.from({ length: size }, (_, i) => i * step + first);
  const [acrossX, downX, acrossY, downY] = [of(a, 0), of(b, x), of(c, 0), of(d, y)];
  let to = 0;
  for (let v = 0; v < size; v++) {
    for (let u = 0; u < size; u++) {
      found[to++] = rint(Math.fround(downX[v] + acrossX[u]) * 32);
      found[to++] = rint(Math.fround(downY[v] + acrossY[u]) * 32);
    }
  }
  return found;
}

/** A picture sampled at places in 32nds; `outside` -1: beyond the picture its border continues, else the value there. */
function sampled(image: Raster, at: Int32Array, outside: number, out: Uint8ClampedArray, first: number): void {
  const channels = channelsOf(image);
  const { data, width, height, stride } = image;
  const lastX = width - 1;
  const lastY = height - 1;
  let to = first;
  for (let i = 0; i < at.length; i += 2) {
    const x = at[i] >> 5;
    const y = at[i + 1] >> 5;
    const right = at[i] & 31;
    const low = at[i + 1] & 31;
    const inside = x >= 0 && y >= 0 && x < lastX && y < lastY;
    const x0 = inside ? x : clamp(x, lastX);
    const x1 = inside ? x + 1 : clamp(x + 1, lastX);
    const y0 = inside ? y : clamp(y, lastY);
    const y1 = inside ? y + 1 : clamp(y + 1, lastY);
    for (let c = 0; c < channels; c++) {
      let a = data[(y0 * width + x0) * stride + c];
      let b = data[(y0 * width + x1) * stride + c];
      let d = data[(y1 * width + x0) * stride + c];
      let e = data[(y1 * width + x1) * stride + c];
      if (!inside && outside >= 0) {
        if (x !== x0 || y !== y0) a = outside;
        if (x + 1 !== x1 || y !== y0) b = outside;
        if (x !== x0 || y + 1 !== y1) d = outside;
        if (x + 1 !== x1 || y + 1 !== y1) e = outside;
      }
      out[to++] = ((a * (32 - right) + b * right) * (32 - low) + (d * (32 - right) + e * right) * low + 512) >> 10;
    }
  }
}

function clamp(value: number, last: number): number {
  return value < 0 ? 0 : value > last ? last : value;
}

/** Cut a square; see {@link square}. */
function cutSquare(
  image: Raster,
  toPicture: Affine,
  size: number,
  outside: number,
  luma: boolean,
  out: Uint8ClampedArray,
  first: number,
): void {
  const [a, b, x, c, d, y] = toPicture;
  const level = Math.log2(Math.max(1, Math.max(Math.hypot(a, c), Math.hypot(b, d)) / SHARP_STEP));
  const cell = 2 ** Math.floor(level);
  const share = rint(256 * (level % 1));
  const cells = share ? [cell, 2 * cell] : [cell];
  const last = size - 1;
  const coarsest = cells[cells.length - 1];
  const [left, right] = bounds(x, a * last, b * last, coarsest, image.width);
  const [top, bottom] = bounds(y, c * last, d * last, coarsest, image.height);
  const region = luma ? lumaOf(image, left, top, right, bottom) : cutOut(image, left, top, right, bottom);
  const count = size * size * region.stride;
  const cuts = cells.map((side) => {
    // The middle of cell i lies at side * i + (side - 1) / 2 of the region.
    const half = (side - 1) / 2;
    const map: Affine = [a / side, b / side, (x - left - half) / side, c / side, d / side, (y - top - half) / side];
    const cut = new Uint8ClampedArray(count);
    sampled(averaged(region, side), places(size, map), outside, cut, 0);
    return cut;
  });
  for (let i = 0; i < count; i++) {
    out[first + i] = cuts.length === 1 ? cuts[0][i] : (cuts[0][i] * (256 - share) + cuts[1][i] * share + 128) >> 8;
  }
}

/**
 * A square of `size` px along a map square -> picture, averaged where it is smaller than what it shows; beyond the
 * picture its border continues. One channel: luma.
 */
export function square(image: Raster, toPicture: Affine, size: number, channels: 1 | 3): Uint8ClampedArray {
  const out = new Uint8ClampedArray(size * size * channels);
  cutSquare(image, toPicture, size, -1, channels === 1 && image.stride !== 1, out, 0);
  return out;
}

/** Where a square with sides along those of the picture begins, and how far it goes with each pixel, px. */
export interface Upright {
  readonly x: number;
  readonly y: number;
  readonly stepX: number;
  readonly stepY: number;
}

/**
 * Bilinear squares (N, size, size, 3) with sides along those of the picture; grey `outside` of it.
 *
 * @param average what is larger than the square is averaged, not only sampled.
 */
export function uprightPatches(
  image: Raster,
  squares: readonly Upright[],
  size: number,
  outside: number,
  average: boolean,
): Uint8ClampedArray {
  const channels = channelsOf(image);
  const each = size * size * channels;
  const out = new Uint8ClampedArray(squares.length * each);
  if (average && squares.some((one) => Math.max(one.stepX, one.stepY) > SHARP_STEP)) {
    squares.forEach((one, k) => {
      cutSquare(image, [one.stepX, 0, one.x, 0, one.stepY, one.y], size, outside, false, out, k * each);
    });
    return out;
  }
  const at = new Int32Array(2 * size * size);
  squares.forEach((one, k) => {
    let to = 0;
    for (let v = 0; v < size; v++) {
      const y = limited(rint((one.y + one.stepY * v) * 32));
      for (let u = 0; u < size; u++) {
        at[to++] = limited(rint((one.x + one.stepX * u) * 32));
        at[to++] = y;
      }
    }
    sampled(image, at, outside, out, k * each);
  });
  return out;
}

/** Far outside is outside, and in the range of 32-bit numbers. */
function limited(place: number): number {
  return Math.min(Math.max(place, -(2 ** 26)), 2 ** 26);
}
