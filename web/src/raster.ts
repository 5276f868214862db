/** Pictures as arrays of bytes, and making them smaller with the arithmetic that affectkit uses in Python. */

/** Bytes, row by row. Only the first three of four channels are ever read: canvases hold RGBA. */
export interface Raster {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  /** Bytes from one pixel to the next: 1 luma, 3 RGB, 4 RGBA. */
  readonly stride: number;
}

/** Channels that are computed with: 1 or 3. */
export function channelsOf(image: Raster): number {
  return image.stride === 1 ? 1 : 3;
}

/** To the nearest whole number, halves to the even one, as numpy and OpenCV round. */
export function rint(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  if (rest !== 0.5) return rest < 0.5 ? down : down + 1;
  return down % 2 === 0 ? down : down + 1;
}

/** A part of a picture; its bytes are copied. Right and bottom do not belong to it. */
export function cutOut(image: Raster, left: number, top: number, right: number, bottom: number): Raster {
  const channels = channelsOf(image);
  const width = right - left;
  const height = bottom - top;
  const data = new Uint8ClampedArray(width * height * channels);
  let to = 0;
  for (let y = top; y < bottom; y++) {
    let from = (y * image.width + left) * image.stride;
    for (let x = 0; x < width; x++, from += image.stride) {
      for (let c = 0; c < channels; c++) data[to++] = image.data[from + c];
    }
  }
  return { data, width, height, stride: channels };
}

interface Shares {
  /** For each new pixel, the first old one, and one more than the last. */
  readonly first: Int32Array;
  readonly end: Int32Array;
  /** What the old ones count, new pixel by new pixel. */
  readonly weights: Float32Array;
  readonly at: Int32Array;
}

function areaShares(from: number, to: number): Shares {
  const scale = from / to;
  const first = new Int32Array(to);
  const end = new Int32Array(to);
  const at = new Int32Array(to);
  const weights: number[] = [];
  for (let i = 0; i < to; i++) {
    const low = i * scale;
    const high = Math.min(low + scale, from);
    first[i] = Math.floor(low + 1e-9);
    end[i] = Math.min(from, Math.max(first[i] + 1, Math.ceil(high - 1e-9)));
    at[i] = weights.length;
    for (let k = first[i]; k < end[i]; k++) {
      weights.push((Math.min(high, k + 1) - Math.max(low, k)) / (high - low));
    }
  }
  return { first, end, weights: Float32Array.from(weights), at };
}

function linearShares(from: number, to: number): Shares {
  const scale = from / to;
  const first = new Int32Array(to);
  const end = new Int32Array(to);
  const at = new Int32Array(to);
  const weights: number[] = [];
  for (let i = 0; i < to; i++) {
    const middle = Math.min(Math.max((i + 0.5) * scale - 0.5, 0), from - 1);
    const low = Math.floor(middle);
    first[i] = low;
    end[i] = Math.min(from, low + 2);
    at[i] = weights.length;
    weights.push(1 - (middle - low));
    if (low + 1 < from) weights.push(middle - low);
  }
  return { first, end, weights: Float32Array.from(weights), at };
}

/**
 * A picture in another size: `area` averages what each new pixel covers, `linear` blends the four nearest pixels.
 * Enlarging is always linear.
 */
export function resized(image: Raster, width: number, height: number, how: "area" | "linear"): Raster {
  const channels = channelsOf(image);
  const area = how === "area" && width <= image.width && height <= image.height;
  const shares = area ? areaShares : linearShares;
  const across = shares(image.width, width);
  const down = shares(image.height, height);
  const rows = new Map<number, Float32Array>();
  const data = new Uint8ClampedArray(width * height * channels);
  const sum = new Float32Array(width * channels);
  for (let y = 0; y < height; y++) {
    sum.fill(0);
    for (let k = down.first[y]; k < down.end[y]; k++) {
      let row = rows.get(k);
      if (row === undefined) {
        row = acrossRow(image, k, across, width, channels);
        rows.set(k, row);
      }
      const weight = down.weights[down.at[y] + k - down.first[y]];
      for (let i = 0; i < sum.length; i++) sum[i] += weight * row[i];
    }
    data.set(sum, y * sum.length); // rounds halves to even
    for (const k of rows.keys()) if (k + 1 < down.end[y]) rows.delete(k);
  }
  return { data, width, height, stride: channels };
}

function acrossRow(image: Raster, y: number, across: Shares, width: number, channels: number): Float32Array {
  const { data, stride } = image;
  const { first, end, weights } = across;
  const row = new Float32Array(width * channels);
  const begin = y * image.width * stride;
  let at = 0; // weights lie in the order of the new pixels
  if (channels === 1) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = first[x]; k < end[x]; k++) sum += weights[at++] * data[begin + k * stride];
      row[x] = sum;
    }
    return row;
  }
  let to = 0;
  for (let x = 0; x < width; x++, to += 3) {
    let red = 0;
    let green = 0;
    let blue = 0;
    for (let k = first[x]; k < end[x]; k++) {
      const weight = weights[at++];
      const from = begin + k * stride;
      red += weight * data[from];
      green += weight * data[from + 1];
      blue += weight * data[from + 2];
    }
    row[to] = red;
    row[to + 1] = green;
    row[to + 2] = blue;
  }
  return row;
}

/**
 * Each square of `cell` x `cell` pixels as one, averaged; at the far border the last pixel is repeated where a square
 * is not whole. `cell` is a power of two.
 */
export function averaged(image: Raster, cell: number): Raster {
  if (cell === 1) return image;
  const channels = channelsOf(image);
  const width = Math.ceil(image.width / cell);
  const height = Math.ceil(image.height / cell);
  const data = new Uint8ClampedArray(width * height * channels);
  const all = cell * cell;
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let j = y * cell; j < (y + 1) * cell; j++) {
          const row = Math.min(j, image.height - 1) * image.width;
          for (let i = x * cell; i < (x + 1) * cell; i++) {
            sum += image.data[(row + Math.min(i, image.width - 1)) * image.stride + c];
          }
        }
        // OpenCV rounds halves up for squares of two, and to even for larger ones.
        data[to++] = cell === 2 ? (sum + 2) >> 2 : sum / all;
      }
    }
  }
  return { data, width, height, stride: channels };
}

/** Half as large, averaged; an odd last row or column is left out. */
export function halved(image: Raster): Raster {
  const width = image.width >> 1;
  const height = image.height >> 1;
  const channels = channelsOf(image);
  const { data: old, stride } = image;
  const data = new Uint8ClampedArray(width * height * channels);
  const below = image.width * stride;
  let to = 0;
  for (let y = 0; y < height; y++) {
    let from = 2 * y * below;
    for (let x = 0; x < width; x++, from += 2 * stride) {
      for (let c = 0; c < channels; c++) {
        const i = from + c;
        data[to++] = (old[i] + old[i + stride] + old[i + below] + old[i + below + stride] + 2) >> 2;
      }
    }
  }
  return { data, width, height, stride: channels };
}

/** Luma of one pixel as OpenCV computes it of bytes (ITU-R BT.601). */
export function lumaOfPixel(red: number, green: number, blue: number): number {
  return (red * 9798 + green * 19235 + blue * 3735 + 16384) >> 15;
}

const WIDENED = Uint8ClampedArray.from({ length: 256 }, (_, i) => rint(((i - 16) * 255) / 219));

/**
 * Luma of a part of a picture, in the 220 steps that video has: what is rounded in R, G and B is then mostly the
 * video's own luma again. Right and bottom do not belong to the part.
 */
export function lumaOf(image: Raster, left: number, top: number, right: number, bottom: number): Raster {
  const width = right - left;
  const height = bottom - top;
  const data = new Uint8ClampedArray(width * height);
  const narrow = new Uint8ClampedArray(1);
  const alpha = Math.fround(219 / 255 / 256);
  let to = 0;
  for (let y = top; y < bottom; y++) {
    let from = (y * image.width + left) * image.stride;
    for (let x = 0; x < width; x++, from += image.stride) {
      const red = image.data[from];
      const green = image.data[from + 1];
      const blue = image.data[from + 2];
      const in256ths = Math.floor((256 * (red * 9798 + green * 19235 + blue * 3735) + 16384) / 32768);
      narrow[0] = in256ths * alpha + 16;
      data[to++] = WIDENED[narrow[0]];
    }
  }
  return { data, width, height, stride: 1 };
}
