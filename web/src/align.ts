/** Five points -> similarity -> crop, as in `affectkit/align.py`. */

import type { Raster } from "./raster.js";
import { templatePx } from "./spec.js";
import type { InputSpec, Point } from "./types.js";
import { inverted, square, type Affine } from "./warping.js";

/** Rotation, uniform scale and shift that bring `from` closest to `to` (Umeyama 1991, without reflection). */
export function similarity(from: readonly Point[], to: readonly Point[]): Affine {
  const count = from.length;
  const mean = (points: readonly Point[], i: 0 | 1) => points.reduce((sum, p) => sum + p[i], 0) / count;
  const [x, y, u, v] = [mean(from, 0), mean(from, 1), mean(to, 0), mean(to, 1)];
  let [energy, real, imaginary] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const [p, q, r, s] = [from[i][0] - x, from[i][1] - y, to[i][0] - u, to[i][1] - v];
    energy += p * p + q * q;
    real += p * r + q * s;
    imaginary += p * s - q * r;
  }
  if (!(energy >= 1e-12)) throw new RangeError("the points coincide, so they say nothing about scale and rotation");
  const [c, d] = [real / energy, imaginary / energy];
  return float32([c, -d, u - (c * x - d * y), d, c, v - (d * x + c * y)]);
}

function float32(map: Affine): Affine {
  return map.map(Math.fround) as unknown as Affine;
}

/** The map, picture -> crop, that brings five points to where the model wants them. */
export function faceMatrix(points: readonly Point[], spec: InputSpec): Affine {
  return spec.template === "published" ? publishedMatrix(points, spec) : similarity(points, templatePx(spec));
}

/** The eyes level; a square around the middle between eyes and mouth, twice the larger of their distances. */
function publishedMatrix(points: readonly Point[], spec: InputSpec): Affine {
  const [left, right, , mouthLeft, mouthRight] = points;
  const eyes = [(left[0] + right[0]) / 2, (left[1] + right[1]) / 2];
  const mouth = [(mouthLeft[0] + mouthRight[0]) / 2, (mouthLeft[1] + mouthRight[1]) / 2];
  const distance = Math.hypot(right[0] - left[0], right[1] - left[1]);
  if (!(distance >= 1e-6)) throw new RangeError("the eyes coincide, so they say nothing about scale and rotation");
  const [cosine, sine] = [(right[0] - left[0]) / distance, (right[1] - left[1]) / distance];
  const height = Math.abs(cosine * (mouth[1] - eyes[1]) - sine * (mouth[0] - eyes[0]));
  const factor = spec.size / (2 * Math.max(distance, height) * spec.margin);
  const [c, s] = [factor * cosine, factor * sine];
  const [x, y] = [(eyes[0] + mouth[0]) / 2, (eyes[1] + mouth[1]) / 2];
  const middle = (spec.size - 1) / 2;
  return float32([c, s, middle - (c * x + s * y), -s, c, middle - (c * y - s * x)]);
}

/** The aligned face, (S, S, C) bytes. */
export function cropFace(image: Raster, points: readonly Point[], spec: InputSpec): Uint8ClampedArray {
  return square(image, inverted(faceMatrix(points, spec)), spec.size, spec.channels);
}
