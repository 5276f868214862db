/* affectkit in the browser. MIT. Built of web/ in affectkit's repository, sources 36914d52c3f2c7ed. */

// src/errors.ts
var AffectKitError = class extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
    this.name = "AffectKitError";
  }
  kind;
};

// src/spec.ts
var USUAL = ["neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise"];
var TEMPLATES = {
  tight: [[0.315, 0.388], [0.685, 0.388], [0.5, 0.586], [0.348, 0.785], [0.652, 0.785]],
  arcface: [[0.3427, 0.4607], [0.6573, 0.4607], [0.5, 0.6405], [0.3697, 0.824], [0.6303, 0.824]],
  published: [[0.25, 0.25], [0.75, 0.25], [0.5, 0.52], [0.31, 0.75], [0.69, 0.75]]
};
function parseSpec(document, where) {
  try {
    return parsed(document);
  } catch (error) {
    if (error instanceof AffectKitError) throw error;
    throw new AffectKitError("model", `${where} is not a model.json of affectkit: ${String(error)}`);
  }
}
function parsed(document) {
  if (document.format_version > 2) {
    throw new AffectKitError("model", `model format ${document.format_version} is newer than this page reads`);
  }
  if (document.temporal) {
    throw new AffectKitError("model", `${document.name} looks at sequences; take a model that looks at single frames`);
  }
  const { expression, au, va, intensity, visibility, pose } = document.tasks;
  const given = expression?.labels ?? [];
  const place = (name) => USUAL.includes(name) ? USUAL.indexOf(name) : USUAL.length;
  const expressions = [...given].sort((a, b) => place(a) - place(b) || given.indexOf(a) - given.indexOf(b));
  const units = au?.labels ?? [];
  const sorted = [...units].sort((a, b) => Number(a.slice(2)) - Number(b.slice(2)));
  const { size, channels, template, margin } = document.input;
  if (!(template in TEMPLATES)) throw new AffectKitError("model", `there is no template ${template}`);
  return {
    name: document.name,
    version: document.version,
    licence: document.licence,
    precision: document.precision ?? "fp32",
    input: { size, channels, template, margin },
    members: document.members,
    ensemble: document.ensemble,
    expressions,
    expressionPlaces: expressions.map((name) => given.indexOf(name)),
    temperature: expression?.temperature ?? 1,
    prior: expression?.prior ?? null,
    balancedTemperature: expression?.balanced_temperature ?? null,
    actionUnits: sorted,
    unitPlaces: sorted.map((name) => units.indexOf(name)),
    thresholds: sorted.map((name) => au.thresholds[units.indexOf(name)]),
    vaBins: va ? va.bins : 0,
    intensity: Boolean(intensity),
    visibilityThresholds: visibility ? visibility.thresholds : null,
    pose: Boolean(pose),
    files: document.files
  };
}
function templatePx(spec) {
  const side = (part) => Math.fround(((part - 0.5) / spec.margin + 0.5) * spec.size - 0.5);
  return TEMPLATES[spec.template].map(([x, y]) => [side(x), side(y)]);
}

// src/raster.ts
function channelsOf(image) {
  return image.stride === 1 ? 1 : 3;
}
function rint(value) {
  const down = Math.floor(value);
  const rest = value - down;
  if (rest !== 0.5) return rest < 0.5 ? down : down + 1;
  return down % 2 === 0 ? down : down + 1;
}
function cutOut(image, left, top, right, bottom) {
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
function areaShares(from, to) {
  const scale = from / to;
  const first = new Int32Array(to);
  const end = new Int32Array(to);
  const at = new Int32Array(to);
  const weights = [];
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
function linearShares(from, to) {
  const scale = from / to;
  const first = new Int32Array(to);
  const end = new Int32Array(to);
  const at = new Int32Array(to);
  const weights = [];
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
function resized(image, width, height, how) {
  const channels = channelsOf(image);
  const area = how === "area" && width <= image.width && height <= image.height;
  const shares = area ? areaShares : linearShares;
  const across = shares(image.width, width);
  const down = shares(image.height, height);
  const rows = /* @__PURE__ */ new Map();
  const data = new Uint8ClampedArray(width * height * channels);
  const sum = new Float32Array(width * channels);
  for (let y = 0; y < height; y++) {
    sum.fill(0);
    for (let k = down.first[y]; k < down.end[y]; k++) {
      let row = rows.get(k);
      if (row === void 0) {
        row = acrossRow(image, k, across, width, channels);
        rows.set(k, row);
      }
      const weight = down.weights[down.at[y] + k - down.first[y]];
      for (let i = 0; i < sum.length; i++) sum[i] += weight * row[i];
    }
    data.set(sum, y * sum.length);
    for (const k of rows.keys()) if (k + 1 < down.end[y]) rows.delete(k);
  }
  return { data, width, height, stride: channels };
}
function acrossRow(image, y, across, width, channels) {
  const { data, stride } = image;
  const { first, end, weights } = across;
  const row = new Float32Array(width * channels);
  const begin = y * image.width * stride;
  let at = 0;
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
function averaged(image, cell2) {
  if (cell2 === 1) return image;
  const channels = channelsOf(image);
  const width = Math.ceil(image.width / cell2);
  const height = Math.ceil(image.height / cell2);
  const data = new Uint8ClampedArray(width * height * channels);
  const all = cell2 * cell2;
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let j = y * cell2; j < (y + 1) * cell2; j++) {
          const row = Math.min(j, image.height - 1) * image.width;
          for (let i = x * cell2; i < (x + 1) * cell2; i++) {
            sum += image.data[(row + Math.min(i, image.width - 1)) * image.stride + c];
          }
        }
        data[to++] = cell2 === 2 ? sum + 2 >> 2 : sum / all;
      }
    }
  }
  return { data, width, height, stride: channels };
}
function halved(image) {
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
        data[to++] = old[i] + old[i + stride] + old[i + below] + old[i + below + stride] + 2 >> 2;
      }
    }
  }
  return { data, width, height, stride: channels };
}
function lumaOfPixel(red, green, blue) {
  return red * 9798 + green * 19235 + blue * 3735 + 16384 >> 15;
}
var WIDENED = Uint8ClampedArray.from({ length: 256 }, (_, i) => rint((i - 16) * 255 / 219));
function lumaOf(image, left, top, right, bottom) {
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

// src/warping.ts
var SHARP_STEP = 2;
var WHOLE_PX = 4;
function inverted(map) {
  const [a, b, x, c, d, y] = map;
  const determinant = a * d - b * c;
  if (!Number.isFinite(determinant) || determinant === 0) {
    throw new RangeError("the map has no inverse: it maps the picture to a line or a point");
  }
  const [p, q, r, s] = [d / determinant, -b / determinant, -c / determinant, a / determinant];
  return [p, q, -(p * x + q * y), r, s, -(r * x + s * y)];
}
function bounds(first, across, down, cell2, length) {
  const low = first + Math.min(0, across) + Math.min(0, down) - 2 * cell2;
  const high = first + Math.max(0, across) + Math.max(0, down) + 2 * cell2;
  const whole = Math.max(cell2, WHOLE_PX);
  const start = Math.floor(Math.trunc(Math.min(Math.max(low, 0), length - 1)) / whole) * whole;
  const end = Math.ceil(Math.trunc(Math.min(Math.max(high + 1, 1), length)) / whole) * whole;
  return [start, Math.min(Math.max(end, start + 1), length)];
}
function places(size, map) {
  const [a, b, x, c, d, y] = map;
  const found = new Int32Array(2 * size * size);
  const of = (step, first) => Float32Array.from({ length: size }, (_, i) => i * step + first);
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
function sampled(image, at, outside, out, first) {
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
      out[to++] = (a * (32 - right) + b * right) * (32 - low) + (d * (32 - right) + e * right) * low + 512 >> 10;
    }
  }
}
function clamp(value, last) {
  return value < 0 ? 0 : value > last ? last : value;
}
function cutSquare(image, toPicture, size, outside, luma, out, first) {
  const [a, b, x, c, d, y] = toPicture;
  const level = Math.log2(Math.max(1, Math.max(Math.hypot(a, c), Math.hypot(b, d)) / SHARP_STEP));
  const cell2 = 2 ** Math.floor(level);
  const share = rint(256 * (level % 1));
  const cells = share ? [cell2, 2 * cell2] : [cell2];
  const last = size - 1;
  const coarsest = cells[cells.length - 1];
  const [left, right] = bounds(x, a * last, b * last, coarsest, image.width);
  const [top, bottom] = bounds(y, c * last, d * last, coarsest, image.height);
  const region = luma ? lumaOf(image, left, top, right, bottom) : cutOut(image, left, top, right, bottom);
  const count = size * size * region.stride;
  const cuts = cells.map((side) => {
    const half = (side - 1) / 2;
    const map = [a / side, b / side, (x - left - half) / side, c / side, d / side, (y - top - half) / side];
    const cut = new Uint8ClampedArray(count);
    sampled(averaged(region, side), places(size, map), outside, cut, 0);
    return cut;
  });
  for (let i = 0; i < count; i++) {
    out[first + i] = cuts.length === 1 ? cuts[0][i] : cuts[0][i] * (256 - share) + cuts[1][i] * share + 128 >> 8;
  }
}
function square(image, toPicture, size, channels) {
  const out = new Uint8ClampedArray(size * size * channels);
  cutSquare(image, toPicture, size, -1, channels === 1 && image.stride !== 1, out, 0);
  return out;
}
function uprightPatches(image, squares, size, outside, average) {
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
function limited(place) {
  return Math.min(Math.max(place, -(2 ** 26)), 2 ** 26);
}

// src/align.ts
function similarity(from, to) {
  const count = from.length;
  const mean2 = (points, i) => points.reduce((sum, p) => sum + p[i], 0) / count;
  const [x, y, u, v] = [mean2(from, 0), mean2(from, 1), mean2(to, 0), mean2(to, 1)];
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
function float32(map) {
  return map.map(Math.fround);
}
function faceMatrix(points, spec) {
  return spec.template === "published" ? publishedMatrix(points, spec) : similarity(points, templatePx(spec));
}
function publishedMatrix(points, spec) {
  const [left, right, , mouthLeft, mouthRight] = points;
  const eyes = [(left[0] + right[0]) / 2, (left[1] + right[1]) / 2];
  const mouth = [(mouthLeft[0] + mouthRight[0]) / 2, (mouthLeft[1] + mouthRight[1]) / 2];
  const distance2 = Math.hypot(right[0] - left[0], right[1] - left[1]);
  if (!(distance2 >= 1e-6)) throw new RangeError("the eyes coincide, so they say nothing about scale and rotation");
  const [cosine, sine] = [(right[0] - left[0]) / distance2, (right[1] - left[1]) / distance2];
  const height = Math.abs(cosine * (mouth[1] - eyes[1]) - sine * (mouth[0] - eyes[0]));
  const factor = spec.size / (2 * Math.max(distance2, height) * spec.margin);
  const [c, s] = [factor * cosine, factor * sine];
  const [x, y] = [(eyes[0] + mouth[0]) / 2, (eyes[1] + mouth[1]) / 2];
  const middle = (spec.size - 1) / 2;
  return float32([c, s, middle - (c * x + s * y), -s, c, middle - (c * y - s * x)]);
}
function cropFace(image, points, spec) {
  return square(image, inverted(faceMatrix(points, spec)), spec.size, spec.channels);
}

// src/mtcnn.ts
var FACTOR = 0.709;
var GREY = 128;
var WINDOW_PX = 12;
var STRIDE_PX = 2;
var STRIP_PIXELS = 1 << 17;
var SIDE_IN_SPREADS = 4;
var UP_IN_SPREADS = 0.3;
var SIDE_TO_BOX = 1.4;
var SETTLING_ROUNDS = 4;
var PATCHES_AT_ONCE = 256;
var THRESHOLDS = [0.6, 0.7, 0.8];
var FOLLOW_THRESHOLD = 0.7;
var Mtcnn = class {
  constructor(pnet, rnet, onet, minFacePx) {
    this.pnet = pnet;
    this.rnet = rnet;
    this.onet = onet;
    this.minFacePx = minFacePx;
  }
  pnet;
  rnet;
  onet;
  minFacePx;
  /** All faces, in falling order of score. */
  detect(image) {
    return this.search(image, [0, 0, image.width, image.height], "area", 0);
  }
  /** Faces in a part of the picture; in the whole of it those from 1.4 times the smallest size on. */
  detectIn(image, region) {
    const whole = region[0] === 0 && region[1] === 0 && region[2] === image.width && region[3] === image.height;
    return this.search(image, region, "linear", whole ? 1 : 0);
  }
  /** Where the faces of the picture before are in this one; null for one that is lost. */
  async follow(image, faces) {
    if (!faces.length) return [];
    const seen = await this.runOnet(image, faces.map(squareOf), true);
    return seen.boxes.map((box, i) => {
      const stays = seen.scores[i] >= FOLLOW_THRESHOLD && this.isLarge(box);
      return stays ? detection(box, seen.scores[i], seen.points[i]) : null;
    });
  }
  /** Detected faces with the points that following would have in the end; itself where O-Net says there is none. */
  async settle(image, faces) {
    let settled = [...faces];
    for (let round = 0; round < SETTLING_ROUNDS; round++) {
      const found = await this.follow(image, settled);
      settled = settled.map((old, i) => found[i] ?? old);
    }
    return settled;
  }
  async search(image, region, how, skipped) {
    const [left, top, right, bottom] = region;
    const whole = left === 0 && top === 0 && right === image.width && bottom === image.height;
    const proposed = await this.propose(whole ? image : cutOut(image, left, top, right, bottom), how, skipped);
    const boxes = proposed.map(([a, b, c, d]) => [a + left, b + top, c + left, d + top]);
    return this.finish(image, await this.refine(image, boxes));
  }
  /** P-Net over the pyramid without its `skipped` largest levels. */
  async propose(image, how, skipped) {
    const scales = pyramid(image.height, image.width, this.minFacePx).slice(skipped);
    const halves = [image];
    const boxes = [];
    const scores = [];
    for (const scale of scales) {
      const halvings = Math.max(0, Math.floor(Math.log2((how === "area" ? 0.75 : 1) / scale)));
      while (halves.length <= halvings) halves.push(halved(halves[halves.length - 1]));
      const size = [Math.trunc(image.width * scale), Math.trunc(image.height * scale)];
      const level = await this.searchLevel(resized(halves[halvings], ...size, how), scale);
      boxes.push(...level.boxes);
      scores.push(...level.scores);
    }
    return nms(boxes, scores, 0.7).map((i) => squared(boxes[i]));
  }
  async searchLevel(image, scale) {
    const { width, height } = image;
    const windows = [];
    const scores = [];
    const moved = [];
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
        const x = i % columns * STRIDE_PX;
        const y = (Math.floor(i / columns) + first) * STRIDE_PX;
        const window = [
          (x + 1) / scale,
          (y + 1) / scale,
          (x + WINDOW_PX) / scale,
          (y + WINDOW_PX) / scale
        ];
        windows.push(window);
        scores.push(score);
        const side = (WINDOW_PX - 1) / scale;
        moved.push(window.map((edge, k) => edge + offsets[k * rows * columns + i] * side));
      }
    }
    const best = nms(windows, scores, 0.5);
    return { boxes: best.map((i) => moved[i]), scores: best.map((i) => scores[i]) };
  }
  async refine(image, boxes) {
    const answer = await this.runPatches(this.rnet, image, boxes, 24, false);
    const scores = [];
    const kept = [];
    boxes.forEach((box, i) => {
      const score = answer["probability"][i];
      if (score < THRESHOLDS[1]) return;
      scores.push(score);
      kept.push(shifted(box, answer["offsets"], 4 * i));
    });
    return nms(kept, scores, 0.7).map((i) => squared(kept[i]));
  }
  async finish(image, boxes) {
    const seen = await this.runOnet(image, boxes, false);
    const kept = seen.boxes.flatMap((box, i) => seen.scores[i] >= THRESHOLDS[2] && this.isLarge(box) ? [i] : []);
    const best = nms(kept.map((i) => seen.boxes[i]), kept.map((i) => seen.scores[i]), 0.7, true);
    return best.map((k) => detection(seen.boxes[kept[k]], seen.scores[kept[k]], seen.points[kept[k]]));
  }
  async runOnet(image, boxes, average) {
    const answer = await this.runPatches(this.onet, image, boxes, 48, average);
    const points = boxes.map(
      ([x1, y1, x2, y2], i) => Array.from({ length: 5 }, (_, k) => {
        const x = answer["points"][10 * i + k];
        const y = answer["points"][10 * i + 5 + k];
        return [x1 + x * (x2 - x1 + 1) - 1, y1 + y * (y2 - y1 + 1) - 1];
      })
    );
    return {
      boxes: boxes.map((box, i) => shifted(box, answer["offsets"], 4 * i)),
      scores: boxes.map((_, i) => answer["probability"][i]),
      points
    };
  }
  /** A network's answers to patches of the picture, joined. */
  async runPatches(network, image, boxes, size, average) {
    const joined = { probability: [], offsets: [], points: [] };
    const [fx, fy] = [(image.width - 1) / image.width, (image.height - 1) / image.height];
    for (let first = 0; first < boxes.length; first += PATCHES_AT_ONCE) {
      const part = boxes.slice(first, first + PATCHES_AT_ONCE);
      const squares = part.map(([x1, y1, x2, y2]) => ({
        x: x1 * fx,
        y: y1 * fy,
        stepX: (x2 * fx - x1 * fx) / (size - 1),
        stepY: (y2 * fy - y1 * fy) / (size - 1)
      }));
      const patches = uprightPatches(image, squares, size, GREY, average);
      const answer = await network(patches, [part.length, size, size, 3]);
      for (const [name, values] of Object.entries(answer)) joined[name].push(...values.data);
    }
    return joined;
  }
  isLarge([x1, y1, x2, y2]) {
    return Math.max(x2 - x1, y2 - y1) + 1 >= this.minFacePx - 0.5;
  }
};
function pyramid(height, width, minFacePx) {
  const shorter = Math.min(height, width);
  if (shorter < minFacePx) return [];
  const count = Math.max(1, rint(Math.log(shorter / WINDOW_PX) / Math.log(1 / FACTOR) - 1));
  return Array.from({ length: count }, (_, i) => WINDOW_PX / minFacePx * FACTOR ** i).filter(
    (scale) => Math.trunc(shorter * scale) >= WINDOW_PX
  );
}
function nms(boxes, scores, limit, overSmaller = false) {
  const order = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a] || a - b);
  const area = boxes.map(([x1, y1, x2, y2]) => (x2 - x1 + 1) * (y2 - y1 + 1));
  const kept = [];
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
function squareOf(face) {
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
  const up = UP_IN_SPREADS * spread / (Math.hypot(upX, upY) || 1);
  [x, y] = [x + up * upX, y + up * upY];
  return [x - side / 2, y - side / 2, x + side / 2, y + side / 2];
}
function shifted([x1, y1, x2, y2], offsets, at) {
  const [width, height] = [x2 - x1 + 1, y2 - y1 + 1];
  return [
    x1 + offsets[at] * width,
    y1 + offsets[at + 1] * height,
    x2 + offsets[at + 2] * width,
    y2 + offsets[at + 3] * height
  ];
}
function squared([x1, y1, x2, y2]) {
  const [width, height] = [x2 - x1, y2 - y1];
  const side = Math.max(width, height);
  const [x, y] = [x1 + width / 2 - side / 2, y1 + height / 2 - side / 2];
  return [x, y, x + side, y + side];
}
function detection([x1, y1, x2, y2], score, points) {
  const box = [x1, y1, x2 - x1, y2 - y1];
  return { box, score, points: points.map(([x, y]) => [Math.fround(x), Math.fround(y)]) };
}

// src/network.ts
var SIMD_PROBE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0],
  ...[1, 5, 1, 96, 0, 1, 123],
  ...[3, 2, 1, 0],
  ...[10, 8, 1, 6, 0, 65, 0, 253, 15, 11]
  // i32.const 0, i8x16.splat
);
var Runtime = class _Runtime {
  constructor(ort, threads) {
    this.ort = ort;
    this.threads = threads;
  }
  ort;
  threads;
  /**
   * Load ONNX Runtime from `folder`.
   *
   * @param threads asked for; more than one needs a page that is isolated from others (COOP and COEP headers).
   */
  static async load(folder, threads) {
    if (typeof WebAssembly !== "object" || !WebAssembly.validate(SIMD_PROBE)) {
      throw new AffectKitError(
        "unsupported",
        "this browser lacks WebAssembly SIMD; use Chrome, Edge or Opera 91, Firefox 89, Safari 16.4, or newer"
      );
    }
    const address = `${folder}ort.wasm.min.mjs`;
    let ort;
    try {
      ort = await import(
        /* webpackIgnore: true */
        /* @vite-ignore */
        address
      );
    } catch (error) {
      throw new AffectKitError("missing", `${address} cannot be loaded (${String(error)})`);
    }
    const isolated = typeof crossOriginIsolated === "boolean" && crossOriginIsolated;
    const cores = typeof navigator === "object" ? navigator.hardwareConcurrency || 1 : 1;
    const used = isolated ? Math.max(1, threads ?? Math.min(4, cores)) : 1;
    ort.env.wasm.numThreads = used;
    ort.env.wasm.wasmPaths = folder;
    ort.env.logLevel = "error";
    return new _Runtime(ort, used);
  }
  /** Open a network; `input` is the name of what it is given. */
  async open(bytes, input, where) {
    let session;
    try {
      session = await this.ort.InferenceSession.create(new Uint8Array(bytes), {
        executionProviders: ["wasm"],
        graphOptimizationLevel: "all"
      });
    } catch (error) {
      throw new AffectKitError("model", `${where} cannot be opened (${String(error)})`);
    }
    const { Tensor } = this.ort;
    const run = async (data, dims) => {
      const plain = data instanceof Uint8Array ? data : new Uint8Array(data.buffer, data.byteOffset, data.length);
      const answer = await session.run({ [input]: new Tensor("uint8", plain, dims) });
      const found = {};
      for (const [name, tensor] of Object.entries(answer)) {
        found[name] = { data: tensor.data, dims: tensor.dims };
      }
      return found;
    };
    return { run, close: () => session.release() };
  }
};

// src/readout.ts
var sigmoid = (x) => x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
function softmax(logits) {
  const most = Math.max(...logits);
  const exponents = logits.map((x) => Math.exp(x - most));
  const sum = exponents.reduce((a, b) => a + b, 0);
  return exponents.map((x) => x / sum);
}
var mean = (rows) => rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
function rowsOf(values, face) {
  const [members, faces, width] = values.dims;
  return Array.from({ length: members }, (_, m) => {
    const first = (m * faces + face) * width;
    return Array.from(values.data.subarray(first, first + width));
  });
}
function merged(rows, spec, decode) {
  return spec.ensemble === "logits" ? decode(mean(rows)) : mean(rows.map(decode));
}
function expressionsOf(outputs, face, spec, prior) {
  const calibrated = (row) => {
    if (prior === "natural") return row.map((x) => x / spec.temperature);
    const temperature = spec.balancedTemperature || spec.temperature;
    return row.map((x, i) => (x - Math.log(spec.prior[i])) / temperature);
  };
  return merged(
    rowsOf(outputs["expression"], face).map(calibrated),
    spec,
    (row) => softmax(spec.expressionPlaces.map((place) => row[place]))
  );
}
function valenceArousal(outputs, face, spec) {
  const bins = spec.vaBins;
  const expectation = (logits) => softmax(logits).reduce((sum, p, i) => sum + p * (-1 + 2 * i / (bins - 1)), 0);
  return merged(rowsOf(outputs["va"], face), spec, (row) => [
    expectation(row.slice(0, bins)),
    expectation(row.slice(bins))
  ]);
}
function visibilityOf(outputs, face, spec) {
  return merged(rowsOf(outputs["visibility"], face), spec, (row) => row.map(sigmoid));
}
var isHidden = (visibility, spec) => visibility.map((share, i) => !(share >= spec.visibilityThresholds[i]));
var [BROWS, EYES, MOUTH] = [0, 1, 2];
var UNIT_REGIONS = new Map([
  ...[1, 2, 4].map((unit2) => [unit2, [BROWS]]),
  ...[5, 6, 7, 43, 45, 46].map((unit2) => [unit2, [EYES]]),
  [9, [EYES, MOUTH]],
  // the nose lies between the two
  ...[10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 27, 28].map((unit2) => [unit2, [MOUTH]])
]);
function regionsOf(unit2) {
  return UNIT_REGIONS.get(Number(unit2.slice(2))) ?? [BROWS, EYES, MOUTH];
}
function readOut(outputs, face, spec, facts, prior) {
  const expressions = spec.expressions.length ? expressionsOf(outputs, face, spec, prior) : [];
  const inOrder = (row) => spec.unitPlaces.map((place) => sigmoid(row[place]));
  const units = spec.actionUnits.length ? merged(rowsOf(outputs["au"], face), spec, inOrder) : [];
  const intensities = spec.intensity ? merged(rowsOf(outputs["intensity"], face), spec, inOrder) : null;
  const va = spec.vaBins ? valenceArousal(outputs, face, spec) : null;
  const pose = spec.pose ? mean(rowsOf(outputs["pose"], face)) : null;
  if (pose) pose[2] = 180 - modulo(180 - (pose[2] + facts.turn), 360);
  const visibility = spec.visibilityThresholds ? visibilityOf(outputs, face, spec).map((share, i) => share * facts.inside[i]) : null;
  const hidden = visibility ? isHidden(visibility, spec) : [false, false, false];
  const lost = hidden.every(Boolean);
  const unseen = spec.actionUnits.map((unit2) => lost || regionsOf(unit2).some((region) => hidden[region]));
  const best = expressions.indexOf(Math.max(...expressions));
  return {
    expression: lost || !expressions.length ? null : spec.expressions[best],
    expressions: named(spec.expressions, (i) => lost ? null : expressions[i]),
    units: named(spec.actionUnits, (i) => ({
      probability: unseen[i] ? null : units[i],
      active: !unseen[i] && units[i] >= spec.thresholds[i],
      intensity: unseen[i] || !intensities ? null : intensities[i]
    })),
    valence: lost || !va ? null : va[0],
    arousal: lost || !va ? null : va[1],
    pose: lost || !pose ? null : { pitch: pose[0], yaw: pose[1], roll: pose[2] },
    visibility: visibility && { brows: visibility[0], eyes: visibility[1], mouth: visibility[2] },
    quality: visibility && qualityOf(facts, visibility, pose)
  };
}
function named(names, value) {
  return Object.fromEntries(names.map((name, i) => [name, value(i)]));
}
var modulo = (value, by) => (value % by + by) % by;
function qualityOf(facts, visibility, pose) {
  let value = Math.min(facts.size, facts.sharpness) * ((visibility[0] + visibility[1] + visibility[2]) / 3);
  for (const angle of pose ? pose.slice(0, 2) : []) {
    value *= Math.min(1, Math.max(0, Math.cos(angle * Math.PI / 180)));
  }
  return value;
}
var [SOFT, SHARP] = [0.25, 0.4];
function sharpnessOf(crop, size, channels) {
  const grey = new Float32Array(size * size);
  for (let i = 0; i < grey.length; i++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += crop[i * channels + c];
    grey[i] = sum / channels;
  }
  const step = Math.max(1, Math.round(size / 32));
  const change2 = (gap, down) => {
    let sum = 0;
    let count = 0;
    for (let y = 0; y < size - (down ? gap : 0); y++) {
      for (let x = 0; x < size - (down ? 0 : gap); x++, count++) {
        const away = grey[y * size + x] - grey[down ? (y + gap) * size + x : y * size + x + gap];
        sum += away * away;
      }
    }
    return sum / Math.max(1, count);
  };
  const ratios = [true, false].map((down) => {
    const far = change2(2 * step, down);
    return far > 0 ? change2(step, down) / far : 0;
  });
  return Math.min(1, Math.max(0, (Math.min(...ratios) - SOFT) / (SHARP - SOFT)));
}
var SAMPLES = regionSamples();
function regionSamples() {
  const unitVector = (i) => Array.from({ length: 5 }, (_, k) => k === i ? 1 : 0);
  const sum = (...terms) => Array.from({ length: 5 }, (_, k) => terms.reduce((total, [factor, row]) => total + factor * row[k], 0));
  const [left, right, , mouthLeft, mouthRight] = Array.from({ length: 5 }, (_, i) => unitVector(i));
  const across = sum([1, right], [-1, left]);
  const down = sum([0.5, mouthLeft], [0.5, mouthRight], [-0.5, left], [-0.5, right]);
  const strip = (start, end, half) => [0, 0.5, 1].flatMap((along) => [-1, 0, 1].map((side) => sum([1 - along, start], [along, end], [side, half])));
  const around = (eye, up, reach, half) => strip(
    sum([1, eye], [-up, down], [-reach, across]),
    sum([1, eye], [-up, down], [reach, across]),
    sum([half, down])
  );
  return [
    [left, right].flatMap((eye) => around(eye, 0.3, 0.28, 0.13)),
    [left, right].flatMap((eye) => around(eye, 0, 0.2, 0.1)),
    strip(mouthLeft, mouthRight, sum([0.2, down]))
  ];
}
function insideOf(points, width, height) {
  return SAMPLES.map((places2) => {
    const within = places2.filter((weights) => {
      const x = weights.reduce((sum, weight, i) => sum + weight * points[i][0], 0);
      const y = weights.reduce((sum, weight, i) => sum + weight * points[i][1], 0);
      return x > -0.5 && x < width - 0.5 && y > -0.5 && y < height - 0.5;
    });
    return within.length / places2.length;
  });
}
function placed(face, spec) {
  const [a, , , c] = faceMatrix(face.points, spec.input);
  return { size: Math.min(1, 1 / Math.max(Math.hypot(a, c), 1e-9)), turn: Math.atan2(c, a) * 180 / Math.PI };
}
var FAIR_SCORE = 0.6;
var TURNS = [2, 1, 3];
function mayBeTurned(outputs, face, score, spec) {
  if (!spec.visibilityThresholds || score < FAIR_SCORE) return false;
  return isHidden(visibilityOf(outputs, face, spec), spec).every(Boolean);
}
function bestTurn(outputs, faces, spec) {
  const means = faces.map((face) => {
    const seen = visibilityOf(outputs, face, spec);
    return isHidden(seen, spec).some(Boolean) ? -1 : (seen[0] + seen[1] + seen[2]) / 3;
  });
  const most = Math.max(...means);
  return most < 0 ? -1 : means.indexOf(most);
}
function rotated(crop, size, channels, quarters) {
  const out = new Uint8ClampedArray(crop.length);
  const last = size - 1;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const [row, column] = quarters === 1 ? [x, last - y] : quarters === 2 ? [last - y, last - x] : [last - x, y];
      for (let c = 0; c < channels; c++) {
        out[(y * size + x) * channels + c] = crop[(row * size + column) * channels + c];
      }
    }
  }
  return out;
}

// src/boxes.ts
var SAME_POINTS = 0.15;
var RESTING = 2e-3;
var STAYED = 0.1;
function iou(a, b) {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const shared = width * height;
  return shared / (a[2] * a[3] + b[2] * b[3] - shared);
}
var longer = (box) => Math.max(box[2], box[3]);
function sameFace(a, b) {
  const away = a.points.reduce((sum, [x, y], i) => sum + Math.hypot(x - b.points[i][0], y - b.points[i][1]), 0) / 5;
  return away <= SAME_POINTS * Math.min(longer(a.box), longer(b.box));
}
function centre(box) {
  return [box[0] + box[2] / 2, box[1] + box[3] / 2];
}
function distance(a, b) {
  const [[x, y], [u, v]] = [centre(a), centre(b)];
  return Math.hypot(x - u, y - v);
}
function touch(a, b) {
  return distance(a, b) < 0.6 * (longer(a) + longer(b));
}
function awayFrom(expected2, box) {
  const [size, other] = [expected2, box].map((b) => Math.max(1, Math.sqrt(b[2] * b[3])));
  return other / size > 0.5 && other / size < 2 ? distance(expected2, box) / size : null;
}
function stayed(before, now) {
  const most = STAYED * longer(before.box);
  return distance(before.box, now.box) <= most && Math.abs(now.box[3] - before.box[3]) <= most;
}
function atRest(before, now) {
  let away = 0;
  now.points.forEach(([x, y], i) => {
    away = Math.max(away, Math.abs(x - before.points[i][0]), Math.abs(y - before.points[i][1]));
  });
  const share = away > 0 ? 2 - 2 * RESTING * longer(before.box) / away : 0;
  if (share <= 0) return before;
  if (share >= 1) return now;
  const mix = (from, to) => from + share * (to - from);
  return {
    box: before.box.map((side, i) => mix(side, now.box[i])),
    score: now.score,
    points: before.points.map(([x, y], i) => [
      Math.fround(mix(x, now.points[i][0])),
      Math.fround(mix(y, now.points[i][1]))
    ])
  };
}

// src/seen.ts
var APPEARANCE_PX = 8;
var LENGTH = 3 * APPEARANCE_PX ** 2;
function appearanceOf(image, box) {
  const [x, y] = centre(box);
  const half = Math.max(box[2], box[3]) / 2;
  const inside = (side, length) => Math.trunc(Math.min(Math.max(0, side), length));
  const [left, right] = [inside(x - half, image.width), inside(x + half + 1, image.width)];
  const [top, bottom] = [inside(y - half, image.height), inside(y + half + 1, image.height)];
  if (right - left < 2 || bottom - top < 2) return new Float32Array(LENGTH);
  const small = resized(cutOut(image, left, top, right, bottom), APPEARANCE_PX, APPEARANCE_PX, "area");
  const values = Float32Array.from(small.data);
  const mean2 = values.reduce((sum, value) => sum + value, 0) / LENGTH;
  for (let i = 0; i < LENGTH; i++) values[i] -= mean2;
  const flat = values.reduce((sum, value) => sum + Math.abs(value), 0) < 2 * LENGTH;
  return flat ? new Float32Array(LENGTH) : unit(values);
}
function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
var isKnown = (values) => values.some((value) => value !== 0);
function similarity2(a, b) {
  const product = dot(a, b);
  return product !== 0 || isKnown(a) && isKnown(b) ? product : 1;
}
function unit(values) {
  const length = Math.sqrt(dot(values, values));
  return length > 0 ? values.map((value) => value / length) : values;
}
function learned(average, now) {
  return isKnown(average) ? unit(average.map((value, i) => value + 0.1 * (now[i] - value))) : now;
}
var [COLUMNS, ROWS] = [48, 27];
var NOTICED = 5;
var KNOWN_MARGIN = 0.25;
var ChangeDetector = class {
  before = null;
  /** The whole picture has been searched. */
  note(image) {
    this.before = brightness(image);
  }
  /** What has to be searched now, and counts as searched from here on; null: nothing. */
  changed(image, known) {
    const now = brightness(image);
    const { width, height } = image;
    if (this.before === null) {
      this.before = now;
      return [0, 0, width, height];
    }
    const before = this.before.slice();
    const cells = now.map((value, i) => Math.abs(value - before[i]) >= NOTICED ? 1 : 0);
    for (const [x, y, w, h] of known) {
      const cell2 = (place, side, count) => place / side * count;
      const left = Math.max(0, Math.trunc(cell2(x - KNOWN_MARGIN * w, width, COLUMNS)));
      const right = Math.max(0, Math.ceil(cell2(x + (1 + KNOWN_MARGIN) * w, width, COLUMNS)));
      const top = Math.max(0, Math.trunc(cell2(y - KNOWN_MARGIN * h, height, ROWS)));
      const bottom = Math.max(0, Math.ceil(cell2(y + (1 + KNOWN_MARGIN) * h, height, ROWS)));
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
    const [across, down] = [width / COLUMNS, height / ROWS];
    return [
      Math.max(0, Math.trunc((first - 1.5) * across)),
      Math.max(0, Math.trunc((high - 1.5) * down)),
      Math.min(width, Math.trunc((last + 2.5) * across) + 1),
      Math.min(height, Math.trunc((low + 2.5) * down) + 1)
    ];
  }
};
function brightness(image) {
  const { data } = resized(image, COLUMNS, ROWS, "area");
  return Uint8Array.from(
    { length: COLUMNS * ROWS },
    (_, i) => lumaOfPixel(data[3 * i], data[3 * i + 1], data[3 * i + 2])
  );
}
var [THUMB_WIDTH, THUMB_HEIGHT] = [32, 18];
var SHOTS_REMEMBERED = 12;
var CUT_DIFFERENCE = 0.25;
var SAME_SHOT = 0.08;
function thumbnail(image) {
  const found = new Uint8Array(3 * THUMB_WIDTH * THUMB_HEIGHT);
  let to = 0;
  for (let row = 0; row < THUMB_HEIGHT; row++) {
    const y = Math.trunc((row + 0.5) * image.height / THUMB_HEIGHT);
    for (let column = 0; column < THUMB_WIDTH; column++) {
      const x = Math.trunc((column + 0.5) * image.width / THUMB_WIDTH);
      for (let c = 0; c < 3; c++) found[to++] = image.data[(y * image.width + x) * image.stride + c];
    }
  }
  return found;
}
function change(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i] - b[i]);
  return sum / a.length / 255;
}
var Shots = class {
  shots = [];
  last = null;
  size = null;
  /** Who is expected in a shot that begins with this picture; null: it belongs to the shot before. */
  cutTo(image, tracks, backwards) {
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
    const nearest = this.shots.reduce((a, b) => change(small, b.last) < change(small, a.last) ? b : a);
    if (change(small, nearest.last) > SAME_SHOT) return [];
    this.shots = this.shots.filter((shot) => shot !== nearest);
    return nearest.tracks;
  }
};

// src/tracking.ts
var DETECT_EVERY = 6;
var SETTLED_S = 0.5;
var WHOLE_S = 2;
var ENOUGH_S = 2;
var MIN_SCORE = 0.9;
var MATCH_IOU = 0.3;
var MAX_LOST_S = 3;
var SAME_SIMILARITY = 0.5;
var STAYED_SIMILARITY = 0.1;
var MOMENT_S = 0.3;
var RETURNED_SIMILARITY = 0.4;
var KNOWN_SIMILARITY = 0.6;
var TENTATIVE_SIMILARITY = 0.25;
var HIDDEN_S = 0.8;
var SLOWS_S = 1.5;
function expected(track, timeS) {
  const [x, y, width, height] = track.last.box;
  const goneS = SLOWS_S * -Math.expm1(-Math.max(0, timeS - track.seenS) / SLOWS_S);
  return [x + track.velocity[0] * goneS, y + track.velocity[1] * goneS, width, height];
}
var Schedule = class {
  constructor(detector, maxFaces) {
    this.detector = detector;
    this.maxFaces = maxFaces;
  }
  detector;
  maxFaces;
  detectedAt = -1;
  detectedS = -Infinity;
  wholeS = -Infinity;
  changes = new ChangeDetector();
  pending = null;
  uneventful = 0;
  /** Whether faces are to be detected in this frame, and whether it will do to search for new ones. */
  plan(index, timeS, known, calm) {
    let due = index - this.detectedAt >= DETECT_EVERY;
    const settled = due && calm && this.isSettled(known);
    if (settled && this.mayWait(timeS, known.length)) due = false;
    return [due, due && settled];
  }
  isSettled(known) {
    if (!this.uneventful || !known.length) return false;
    return known.every((a, i) => known.slice(i + 1).every((b) => !touch(a, b)));
  }
  mayWait(timeS, count) {
    const waitS = count >= this.maxFaces ? Math.max(ENOUGH_S, SETTLED_S) : SETTLED_S;
    const ago = timeS - this.detectedS;
    return ago >= 0 && ago < waitS - 1e-3;
  }
  /** Search for faces that are not known: in the whole picture now and then, else where it has changed. */
  async beginSearch(image, index, timeS, known) {
    let region = this.changes.changed(image, known);
    if (timeS - this.wholeS >= WHOLE_S - 1e-3) {
      region = [0, 0, image.width, image.height];
      this.wholeS = timeS;
    }
    this.pending = null;
    if (region === null) return;
    const found = await this.detector.detectIn(image, region);
    const sawNewFace = found.some((face) => known.every((box) => iou(face.box, box) < MATCH_IOU));
    this.pending = { index, sawNewFace };
  }
  /** What the last search saw; told as many frames later as in Python, where searches run beside the following. */
  newFaceCame(index, cut) {
    const { pending } = this;
    if (pending === null || !cut && index - pending.index < DETECT_EVERY) return false;
    this.pending = null;
    return !cut && pending.sawNewFace;
  }
  /** All faces of this picture were detected; `uneventful`: that was due, and brought nothing new. */
  detected(image, timeS, uneventful) {
    this.uneventful = uneventful ? this.uneventful + 1 : 0;
    this.changes.note(image);
    this.wholeS = timeS;
    this.pending = null;
  }
  asked(index, timeS) {
    this.detectedAt = index;
    this.detectedS = timeS;
  }
};
var Tracker = class {
  constructor(detector, maxFaces) {
    this.detector = detector;
    this.maxFaces = maxFaces;
    this.schedule = new Schedule(detector, maxFaces);
  }
  detector;
  maxFaces;
  tracks = [];
  shots = new Shots();
  schedule;
  nextId = 0;
  index = -1;
  timeS = -Infinity;
  /** Faces that may be lost ones, and since when. */
  tentative = [];
  /** The faces of the next frame, by identity. */
  async update(image, timeS) {
    const before = this.index++;
    const index = this.index;
    const backwards = timeS < this.timeS;
    this.timeS = timeS;
    const cut = this.beginShot(image, backwards);
    const active = cut ? [] : this.tracks.filter((t) => t.seen === before);
    this.tracks = this.tracks.filter((t) => t.seen === before || t.seenS >= timeS - MAX_LOST_S);
    const calm = !this.tentative.length && active.length === this.tracks.length;
    const [due, partly] = this.schedule.plan(index, timeS, active.map((t) => t.last.box), calm);
    let must = this.tentative.length > 0 || !active.length || due && !partly;
    must = this.schedule.newFaceCame(index, cut) || must;
    if (must || await this.follow(image, active)) {
      must = true;
      const eventful = await this.detect(image, active, before);
      this.schedule.detected(image, timeS, due && !eventful);
    } else if (partly) {
      const known = this.tracks.filter((t) => t.seen === index).map((t) => t.last.box);
      await this.schedule.beginSearch(image, index, timeS, known);
    }
    if (must || due) this.schedule.asked(index, timeS);
    const area = (t) => t.last.box[2] * t.last.box[3];
    const faces = this.tracks.filter((t) => t.seen === index).sort((a, b) => area(b) - area(a)).slice(0, this.maxFaces).sort((a, b) => a.id - b.id);
    return { faces: faces.map((t) => ({ id: t.id, detection: t.last })), cut };
  }
  beginShot(image, backwards) {
    const shown = this.shots.cutTo(image, this.tracks, backwards);
    if (shown === null) return false;
    this.tracks = shown.map((t) => ({ ...t, seenS: this.timeS, velocity: [0, 0] }));
    return true;
  }
  /** Follow the active tracks; true where one was lost. */
  async follow(image, active) {
    const found = await this.followKnown(image, active);
    let lost = false;
    active.forEach((track, i) => {
      const face = found[i];
      if (face === null || iou(face.box, track.last.box) < MATCH_IOU) {
        lost = true;
        return;
      }
      const appearance = appearanceOf(image, face.box);
      if (similarity2(appearance, track.appearance) < SAME_SIMILARITY) {
        lost = true;
        return;
      }
      this.see(track, face, appearance);
    });
    return this.dropDoubles(image) || lost;
  }
  /** Note that a track is `face` in this frame. */
  see(track, face, appearance) {
    let { appearance: average, velocity } = track;
    const stepS = this.timeS - track.seenS;
    const alone = this.tracks.every((t) => t.id === track.id || iou(t.last.box, face.box) < 0.05);
    const known = similarity2(appearance, average) >= KNOWN_SIMILARITY;
    if (alone && (known || track.seen - track.first < 5)) {
      average = learned(average, appearance);
      if (stepS > 0) {
        const [[x, y], [oldX, oldY]] = [centre(face.box), centre(track.last.box)];
        const share = Math.min(1, stepS / 0.2);
        velocity = [
          velocity[0] + share * ((x - oldX) / stepS - velocity[0]),
          velocity[1] + share * ((y - oldY) / stepS - velocity[1])
        ];
      }
    }
    const seen = { ...track, last: face, appearance: average, seen: this.index, seenS: this.timeS, velocity };
    this.tracks = this.tracks.map((t) => t.id === track.id ? seen : t);
  }
  /** Two tracks on one face: it is the one that it looks like more; the other is lost. */
  dropDoubles(image) {
    const lost = /* @__PURE__ */ new Set();
    const current = this.tracks.filter((t) => t.seen === this.index);
    current.forEach((one, i) => {
      for (const other of current.slice(i + 1)) {
        if (iou(one.last.box, other.last.box) <= 0.5 || lost.has(one.id) || lost.has(other.id)) continue;
        const seen = appearanceOf(image, one.last.box);
        const like = similarity2(seen, one.appearance);
        lost.add(like >= similarity2(seen, other.appearance) - 0.02 ? other.id : one.id);
      }
    });
    this.tracks = this.tracks.map((t) => lost.has(t.id) ? { ...t, seen: this.index - 1 } : t);
    return lost.size > 0;
  }
  /** Detect, and give every face the id of the track it continues, or a new one; whether the faces are others now. */
  async detect(image, active, before) {
    let faces = await this.detector.detect(image);
    const appearances = faces.map((face) => appearanceOf(image, face.box));
    const chosen = this.matched(faces, appearances);
    const followed = new Map([...chosen].filter(([, track]) => track.seen >= before));
    faces = await this.steadied(image, faces, followed);
    for (const [k, track] of chosen) this.see(track, faces[k], appearances[k]);
    const knownBefore = this.tentative;
    this.tentative = [];
    faces.forEach((face, k) => {
      if (chosen.has(k) || face.score < MIN_SCORE) return;
      const current = this.tracks.filter((t) => t.seen === this.index);
      if (current.some((t) => iou(face.box, t.last.box) > 0.5)) return;
      const since = knownBefore.filter((one) => iou(one.box, face.box) > 0.3).map((one) => one.sinceS);
      const sinceS = since.length ? Math.min(...since) : this.timeS;
      const crowded = faces.some((other, i) => i !== k && touch(face.box, other.box));
      const waitS = crowded ? HIDDEN_S : MOMENT_S;
      if (this.timeS - sinceS < waitS && this.mayBeLost(face, appearances[k], crowded)) {
        this.tentative.push({ box: face.box, sinceS });
        return;
      }
      const [first, seen] = [this.index, this.index];
      const id = this.nextId++;
      this.tracks.push({ id, last: face, appearance: appearances[k], first, seen, seenS: this.timeS, velocity: [0, 0] });
    });
    const now = this.tracks.filter((t) => t.seen === this.index).map((t) => t.id);
    const same = now.length === active.length && active.every((t) => now.includes(t.id));
    return this.tentative.length > 0 || !same;
  }
  /** By index of the face, the track that it continues; the likeliest pairs first. */
  matched(faces, appearances) {
    const pairs = [];
    this.tracks.forEach((track, i) => {
      faces.forEach((face, k) => {
        const score = this.match(track, face, appearances[k]);
        if (score !== null) pairs.push({ score, i, k });
      });
    });
    pairs.sort((a, b) => b.score - a.score || a.i - b.i || a.k - b.k);
    const chosen = /* @__PURE__ */ new Map();
    const used = /* @__PURE__ */ new Set();
    for (const { i, k } of pairs) {
      if (used.has(i) || chosen.has(k)) continue;
      used.add(i);
      chosen.set(k, this.tracks[i]);
    }
    return chosen;
  }
  /** Detected faces with the points that following gives, so that these do not jump with every detection. */
  async steadied(image, faces, followed) {
    const steady = [...faces];
    const late = [...followed].filter(([, track]) => track.seen < this.index);
    const lateFaces = await this.followKnown(image, late.map(([, track]) => track));
    const found = /* @__PURE__ */ new Map();
    for (const [k, track] of followed) found.set(k, track.last);
    late.forEach(([k], i) => found.set(k, lateFaces[i]));
    const moving = new Map(late);
    const unsettled = [];
    faces.forEach((face, k) => {
      const known = found.get(k) ?? null;
      const was = moving.get(k);
      const still = known !== null && (was === void 0 || stayed(was.last, known));
      if (known !== null && still && sameFace(known, face)) steady[k] = known;
      else unsettled.push(k);
    });
    const settled = await this.detector.settle(image, unsettled.map((k) => faces[k]));
    unsettled.forEach((k, i) => steady[k] = settled[i]);
    return steady;
  }
  async followKnown(image, tracks) {
    const found = await this.detector.follow(image, tracks.map((t) => t.last));
    return found.map((now, i) => now === null ? null : atRest(tracks[i].last, now));
  }
  /** How likely a detection continues a track, higher is likelier; null: it does not. */
  match(track, face, appearance) {
    const like = similarity2(appearance, track.appearance);
    const place = expected(track, this.timeS);
    const overlap = iou(place, face.box);
    const goneS = this.timeS - track.seenS;
    const away = awayFrom(place, face.box);
    if (away === null) return null;
    let needed;
    if (overlap >= MATCH_IOU && goneS <= MOMENT_S) needed = STAYED_SIMILARITY;
    else if (overlap >= MATCH_IOU || away < Math.min(1, 0.5 + goneS)) needed = RETURNED_SIMILARITY;
    else if (away < 1 + 2 * goneS) needed = KNOWN_SIMILARITY;
    else return null;
    return like < needed ? null : overlap + 2 * like - 0.2 * away - 0.05 * goneS;
  }
  /** Whether a face that matches no track may be a lost one that is still half hidden. */
  mayBeLost(face, appearance, crowded) {
    return this.tracks.some((track) => {
      const away = awayFrom(expected(track, this.timeS), face.box);
      const near = away !== null && away < 1 + 2 * (this.timeS - track.seenS);
      const alike = crowded || similarity2(appearance, track.appearance) >= TENTATIVE_SIMILARITY;
      return track.seen < this.index && near && alike;
    });
  }
};

// src/predictor.ts
var Predictor = class _Predictor {
  constructor(spec, threads, network, detectors, settings, closing) {
    this.spec = spec;
    this.threads = threads;
    this.network = network;
    this.settings = settings;
    this.closing = closing;
    this.detector = new Mtcnn(detectors[0], detectors[1], detectors[2], settings.minFacePx);
    this.tracker = new Tracker(this.detector, settings.maxFaces);
  }
  spec;
  threads;
  network;
  settings;
  closing;
  detector;
  tracker;
  canvas = null;
  queue = Promise.resolve();
  /**
   * Load the networks, about 18 MB from the folder `base`, and get ready.
   *
   * @throws {AffectKitError} the browser lacks WebAssembly SIMD, a file is missing or is not the one that belongs there.
   * @throws {RangeError} an option is out of range.
   */
  static async load(options = {}) {
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
    const bytes = (file) => fetched(`${base}${file}`, (answer) => answer.arrayBuffer());
    const names = ["pnet", "rnet", "onet"];
    const [frame, ...weights] = await Promise.all([
      bytes("model/frame.onnx"),
      ...names.map((name) => bytes(`detector/${name}.onnx`))
    ]);
    await check(frame, spec.files["frame.onnx"], `${base}model/frame.onnx`);
    const network = await runtime.open(frame, "faces", `${base}model/frame.onnx`);
    const detectors = [];
    for (const [i, name] of names.entries()) {
      detectors.push(await runtime.open(weights[i], "images", `${base}detector/${name}.onnx`));
    }
    const closing = [network, ...detectors].map((one) => one.close);
    const runs = detectors.map((one) => one.run);
    const settings = { maxFaces, minFacePx, prior };
    const made = new _Predictor(spec, runtime.threads, network.run, runs, settings, closing);
    await made.warmUp();
    return made;
  }
  /** Run everything once, so that the first real frame does not wait for what browsers compile then. */
  async warmUp() {
    const [width, height] = [320, 180];
    const image = { data: new Uint8ClampedArray(4 * width * height).fill(128), width, height, stride: 4 };
    await this.detector.detect(image);
    const five = [[130, 70], [190, 70], [160, 100], [135, 130], [185, 130]];
    const face = { box: [100, 30, 120, 130], score: 1, points: five };
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
  predict(image, timeMs) {
    if (!Number.isFinite(timeMs)) throw new TypeError(`timeMs must be a finite number, got ${timeMs}`);
    const pixels = this.pixelsOf(image);
    return this.inTurn(async () => {
      const { faces } = await this.tracker.update(pixels, timeMs / 1e3);
      return this.read(pixels, faces.map((face) => face.detection), faces.map((face) => face.id));
    });
  }
  /** The faces of a single picture, in falling order of the detector's score; ids are their places. */
  predictImage(image) {
    const pixels = this.pixelsOf(image);
    return this.inTurn(async () => {
      const faces = await this.detector.settle(pixels, await this.detector.detect(pixels));
      return this.read(pixels, faces, faces.map((_, i) => i));
    });
  }
  /** Forget all faces, for another video; ids begin at 0 again. */
  reset() {
    return this.inTurn(async () => {
      this.tracker = new Tracker(this.detector, this.settings.maxFaces);
    });
  }
  /** Free the networks, after what was asked for is answered. */
  close() {
    return this.inTurn(async () => {
      for (const close of this.closing) await close();
    });
  }
  inTurn(work) {
    const answer = this.queue.then(work);
    this.queue = answer.catch(() => void 0);
    return answer;
  }
  pixelsOf(image) {
    if (image instanceof ImageData) return { data: image.data, width: image.width, height: image.height, stride: 4 };
    const [width, height] = sizeOf(image);
    if (!width || !height) throw new AffectKitError("input", "there is no picture to look at yet");
    if (this.canvas?.width !== width || this.canvas.height !== height) this.canvas = new OffscreenCanvas(width, height);
    const context = this.canvas.getContext("2d", { willReadFrequently: true, alpha: false });
    context.drawImage(image, 0, 0, width, height);
    try {
      const { data } = context.getImageData(0, 0, width, height);
      return { data, width, height, stride: 4 };
    } catch (error) {
      this.canvas = null;
      throw new AffectKitError("input", `the picture may not be read: it comes from another site (${String(error)})`);
    }
  }
  /** What the network says of the faces of a picture, with those turned that are not upright. */
  async read(image, faces, ids) {
    if (!faces.length) return [];
    const { spec } = this;
    const { size, channels } = spec.input;
    const crops = faces.map((face) => cropFace(image, face.points, spec.input));
    const outputs = await this.ask(crops);
    const affects = [];
    for (const [i, face] of faces.entries()) {
      let [answer, place, quarters] = [outputs, i, 0];
      if (mayBeTurned(outputs, i, face.score, spec)) {
        const turned = await this.ask(TURNS.map((turn2) => rotated(crops[i], size, channels, turn2)));
        const best = bestTurn(turned, [0, 1, 2], spec);
        if (best >= 0) [answer, place, quarters] = [turned, best, TURNS[best]];
      }
      const { size: scale, turn } = placed(face, spec);
      const facts = {
        size: scale,
        sharpness: sharpnessOf(crops[i], size, channels),
        turn: turn - 90 * quarters,
        inside: insideOf(face.points, image.width, image.height)
      };
      const affect = readOut(answer, place, spec, facts, this.settings.prior);
      affects.push({ id: ids[i], box: face.box, score: face.score, points: face.points, ...affect });
    }
    return affects;
  }
  ask(crops) {
    const { size, channels } = this.spec.input;
    const all = new Uint8ClampedArray(crops.length * crops[0].length);
    crops.forEach((crop, i) => all.set(crop, i * crop.length));
    return this.network(all, [crops.length, size, size, channels]);
  }
};
function folderOf(base) {
  const { href } = base === void 0 ? new URL("./", import.meta.url) : new URL(base, location.href);
  return href.endsWith("/") ? href : `${href}/`;
}
function sizeOf(image) {
  if ("videoWidth" in image) return [image.videoWidth, image.videoHeight];
  if ("naturalWidth" in image) return [image.naturalWidth, image.naturalHeight];
  if ("displayWidth" in image) return [image.displayWidth, image.displayHeight];
  return [image.width, image.height];
}
async function fetched(address, read) {
  let reason;
  try {
    const answer = await fetch(address);
    if (answer.ok) return await read(answer);
    reason = `the server answers ${answer.status}`;
  } catch (error) {
    reason = String(error);
  }
  throw new AffectKitError("missing", `${address} cannot be loaded (${reason})`);
}
async function check(bytes, sha256, where) {
  if (!globalThis.crypto?.subtle) return;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== sha256) throw new AffectKitError("model", `${where} is damaged, or not the one that model.json lists`);
}

// src/table.ts
var Table = class {
  /**
   * @param spec of the model that answers.
   * @param name of the video, for the column `input`.
   */
  constructor(spec, name) {
    this.spec = spec;
    this.name = name;
  }
  spec;
  name;
  lines = [];
  /** Frames that were added. */
  frames = 0;
  /** Add a frame; `timeMs` is when it is shown. */
  add(faces, timeMs) {
    const head = [cell(this.name), String(this.frames++)];
    const time = number(timeMs / 1e3, 9);
    if (!faces.length) {
      const row = [...head, "-1", time, "", "0"];
      this.lines.push([...row, ...Array(this.columns().length - row.length).fill("")].join(","));
    }
    for (const face of faces) {
      this.lines.push([...head, String(face.id), time, number(face.score), "1", ...this.values(face)].join(","));
    }
  }
  /** Names of the columns. */
  columns() {
    const { spec } = this;
    return [
      ...["input", "frame", "face_id", "timestamp", "confidence", "success"],
      ...["FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight"],
      ...spec.pose ? ["pitch", "yaw", "roll"] : [],
      ...spec.visibilityThresholds ? ["visible_upper", "visible_lower", "quality"] : [],
      ...spec.actionUnits,
      ...spec.actionUnits.map((unit2) => `${unit2}_c`),
      ...spec.intensity ? spec.actionUnits.map((unit2) => `${unit2}_i`) : [],
      ...spec.expressions,
      ...spec.expressions.length ? ["expression"] : [],
      ...spec.vaBins ? ["valence", "arousal"] : []
    ];
  }
  values(face) {
    const { spec } = this;
    const units = spec.actionUnits.map((name) => face.units[name]);
    const { pose, visibility } = face;
    return [
      ...face.box.map((side) => number(side, 2)),
      ...spec.pose ? [pose?.pitch, pose?.yaw, pose?.roll].map((angle) => number(angle, 2)) : [],
      ...spec.visibilityThresholds ? [visibility && Math.min(visibility.brows, visibility.eyes), visibility?.mouth, face.quality].map((v) => number(v)) : [],
      ...units.map((unit2) => number(unit2.probability)),
      ...units.map((unit2) => unit2.probability === null ? "" : unit2.active ? "1" : "0"),
      ...spec.intensity ? units.map((unit2) => number(unit2.intensity)) : [],
      ...spec.expressions.map((name) => number(face.expressions[name])),
      ...spec.expressions.length ? [face.expression ?? ""] : [],
      ...spec.vaBins ? [number(face.valence), number(face.arousal)] : []
    ];
  }
  /** The file's text. */
  toCsv() {
    return [this.columns().join(","), ...this.lines, ""].join("\n");
  }
};
function number(value, digits = 6) {
  return value === null || value === void 0 || !Number.isFinite(value) ? "" : String(Number(value.toFixed(digits)));
}
function cell(name) {
  const safe = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(name) ? `./${name}` : name;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
export {
  AffectKitError,
  Predictor,
  Table
};
