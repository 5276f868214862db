/**
 * Logits -> answers, by the model's spec: `affectkit/readout.py`, `visible.py` and `turning.py`. Nothing is said of
 * what cannot be seen.
 */

import { faceMatrix } from "./align.js";
import type { Detection } from "./boxes.js";
import type { Values } from "./network.js";
import type { Affect, ModelSpec, Point, Prior } from "./types.js";

/** Answers of a network by name. */
export type Outputs = Readonly<Record<string, Values>>;

/** What is known of a crop, besides what the network says. */
export interface Facts {
  /** Px of the picture for one of the crop, at most 1. */
  readonly size: number;
  readonly sharpness: number;
  /** From the crop to the picture, degrees, > 0 counter-clockwise as seen. */
  readonly turn: number;
  /** Shares of brows, eyes and mouth that lie in the picture. */
  readonly inside: readonly number[];
}

const sigmoid = (x: number) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

function softmax(logits: readonly number[]): number[] {
  const most = Math.max(...logits);
  const exponents = logits.map((x) => Math.exp(x - most));
  const sum = exponents.reduce((a, b) => a + b, 0);
  return exponents.map((x) => x / sum);
}

const mean = (rows: readonly (readonly number[])[]) =>
  rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);

/** The members' values of one face, by member. */
function rowsOf(values: Values, face: number): number[][] {
  const [members, faces, width] = values.dims;
  return Array.from({ length: members }, (_, m) => {
    const first = (m * faces + face) * width;
    return Array.from(values.data.subarray(first, first + width));
  });
}

/** Decoded members, averaged by the ensemble's rule: their logits before decoding, or what they decode to. */
function merged(rows: number[][], spec: ModelSpec, decode: (row: number[]) => number[]): number[] {
  return spec.ensemble === "logits" ? decode(mean(rows)) : mean(rows.map(decode));
}

function expressionsOf(outputs: Outputs, face: number, spec: ModelSpec, prior: Prior): number[] {
  const calibrated = (row: number[]) => {
    if (prior === "natural") return row.map((x) => x / spec.temperature);
    const temperature = spec.balancedTemperature || spec.temperature;
    return row.map((x, i) => (x - Math.log(spec.prior![i])) / temperature);
  };
  return merged(rowsOf(outputs["expression"], face).map(calibrated), spec, (row) =>
    softmax(spec.expressionPlaces.map((place) => row[place])),
  );
}

function valenceArousal(outputs: Outputs, face: number, spec: ModelSpec): number[] {
  const bins = spec.vaBins;
  const expectation = (logits: number[]) =>
    softmax(logits).reduce((sum, p, i) => sum + p * (-1 + (2 * i) / (bins - 1)), 0);
  return merged(rowsOf(outputs["va"], face), spec, (row) => [
    expectation(row.slice(0, bins)),
    expectation(row.slice(bins)),
  ]);
}

/** Visible shares of brows, eyes and mouth, as the network sees them. */
function visibilityOf(outputs: Outputs, face: number, spec: ModelSpec): number[] {
  return merged(rowsOf(outputs["visibility"], face), spec, (row) => row.map(sigmoid));
}

const isHidden = (visibility: readonly number[], spec: ModelSpec) =>
  visibility.map((share, i) => !(share >= spec.visibilityThresholds![i]));

const [BROWS, EYES, MOUTH] = [0, 1, 2];
const UNIT_REGIONS = new Map<number, readonly number[]>([
  ...[1, 2, 4].map((unit) => [unit, [BROWS]] as const),
  ...[5, 6, 7, 43, 45, 46].map((unit) => [unit, [EYES]] as const),
  [9, [EYES, MOUTH]], // the nose lies between the two
  ...[10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 27, 28].map((unit) => [unit, [MOUTH]] as const),
]);

/** Regions that an action unit is seen in; all of them of one that is not known. */
function regionsOf(unit: string): readonly number[] {
  return UNIT_REGIONS.get(Number(unit.slice(2))) ?? [BROWS, EYES, MOUTH];
}

/** The answers of one face of a batch. */
export function readOut(outputs: Outputs, face: number, spec: ModelSpec, facts: Facts, prior: Prior): Affect {
  const expressions = spec.expressions.length ? expressionsOf(outputs, face, spec, prior) : [];
  const inOrder = (row: number[]) => spec.unitPlaces.map((place) => sigmoid(row[place]));
  const units = spec.actionUnits.length ? merged(rowsOf(outputs["au"], face), spec, inOrder) : [];
  const intensities = spec.intensity ? merged(rowsOf(outputs["intensity"], face), spec, inOrder) : null;
  const va = spec.vaBins ? valenceArousal(outputs, face, spec) : null;
  const pose = spec.pose ? mean(rowsOf(outputs["pose"], face)) : null;
  if (pose) pose[2] = 180 - modulo(180 - (pose[2] + facts.turn), 360);
  const visibility = spec.visibilityThresholds
    ? visibilityOf(outputs, face, spec).map((share, i) => share * facts.inside[i])
    : null;
  const hidden = visibility ? isHidden(visibility, spec) : [false, false, false];
  const lost = hidden.every(Boolean);
  const unseen = spec.actionUnits.map((unit) => lost || regionsOf(unit).some((region) => hidden[region]));
  const best = expressions.indexOf(Math.max(...expressions));
  return {
    expression: lost || !expressions.length ? null : spec.expressions[best],
    expressions: named(spec.expressions, (i) => (lost ? null : expressions[i])),
    units: named(spec.actionUnits, (i) => ({
      probability: unseen[i] ? null : units[i],
      active: !unseen[i] && units[i] >= spec.thresholds[i],
      intensity: unseen[i] || !intensities ? null : intensities[i],
    })),
    valence: lost || !va ? null : va[0],
    arousal: lost || !va ? null : va[1],
    pose: lost || !pose ? null : { pitch: pose[0], yaw: pose[1], roll: pose[2] },
    visibility: visibility && { brows: visibility[0], eyes: visibility[1], mouth: visibility[2] },
    quality: visibility && qualityOf(facts, visibility, pose),
  };
}

function named<T>(names: readonly string[], value: (i: number) => T): Record<string, T> {
  return Object.fromEntries(names.map((name, i) => [name, value(i)]));
}

const modulo = (value: number, by: number) => ((value % by) + by) % by;

/** The smaller one of size and sharpness, times the cosines of pitch and yaw, times what can be seen. */
function qualityOf(facts: Facts, visibility: readonly number[], pose: readonly number[] | null): number {
  let value = Math.min(facts.size, facts.sharpness) * ((visibility[0] + visibility[1] + visibility[2]) / 3);
  for (const angle of pose ? pose.slice(0, 2) : []) {
    value *= Math.min(1, Math.max(0, Math.cos((angle * Math.PI) / 180)));
  }
  return value;
}

const [SOFT, SHARP] = [0.25, 0.4];

/** 0..1, how much fine detail a crop holds, whatever its contrast and brightness. */
export function sharpnessOf(crop: Uint8ClampedArray, size: number, channels: number): number {
  const grey = new Float32Array(size * size);
  for (let i = 0; i < grey.length; i++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += crop[i * channels + c];
    grey[i] = sum / channels;
  }
  const step = Math.max(1, Math.round(size / 32));
  /** Mean square of differences `gap` pixels apart, down or across. */
  const change = (gap: number, down: boolean) => {
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
    const far = change(2 * step, down);
    return far > 0 ? change(step, down) / far : 0;
  });
  return Math.min(1, Math.max(0, (Math.min(...ratios) - SOFT) / (SHARP - SOFT)));
}

/** Places in brows, eyes and mouth, by region, as sums of the five points. */
const SAMPLES: readonly (readonly number[][])[] = regionSamples();

function regionSamples(): number[][][] {
  const unitVector = (i: number) => Array.from({ length: 5 }, (_, k) => (k === i ? 1 : 0));
  const sum = (...terms: [number, number[]][]) =>
    Array.from({ length: 5 }, (_, k) => terms.reduce((total, [factor, row]) => total + factor * row[k], 0));
  const [left, right, , mouthLeft, mouthRight] = Array.from({ length: 5 }, (_, i) => unitVector(i));
  const across = sum([1, right], [-1, left]);
  const down = sum([0.5, mouthLeft], [0.5, mouthRight], [-0.5, left], [-0.5, right]);
  /** Nine places of a strip: along its middle line, on it and at its edges. */
  const strip = (start: number[], end: number[], half: number[]) =>
    [0, 0.5, 1].flatMap((along) => [-1, 0, 1].map((side) => sum([1 - along, start], [along, end], [side, half])));
  const around = (eye: number[], up: number, reach: number, half: number) =>
    strip(
      sum([1, eye], [-up, down], [-reach, across]),
      sum([1, eye], [-up, down], [reach, across]),
      sum([half, down]),
    );
  return [
    [left, right].flatMap((eye) => around(eye, 0.3, 0.28, 0.13)),
    [left, right].flatMap((eye) => around(eye, 0, 0.2, 0.1)),
    strip(mouthLeft, mouthRight, sum([0.2, down])),
  ];
}

/** Shares of brows, eyes and mouth that lie in the picture: of what its edge cuts off nothing can be seen. */
export function insideOf(points: readonly Point[], width: number, height: number): number[] {
  return SAMPLES.map((places) => {
    const within = places.filter((weights) => {
      const x = weights.reduce((sum, weight, i) => sum + weight * points[i][0], 0);
      const y = weights.reduce((sum, weight, i) => sum + weight * points[i][1], 0);
      return x > -0.5 && x < width - 0.5 && y > -0.5 && y < height - 0.5;
    });
    return within.length / places.length;
  });
}

/** Size and turn of the crop of a face. */
export function placed(face: Detection, spec: ModelSpec): { size: number; turn: number } {
  const [a, , , c] = faceMatrix(face.points, spec.input);
  return { size: Math.min(1, 1 / Math.max(Math.hypot(a, c), 1e-9)), turn: (Math.atan2(c, a) * 180) / Math.PI };
}

/** Detector's confidence from which a face is worth turning. */
const FAIR_SCORE = 0.6;
/** Quarter turns counter-clockwise that are tried. */
export const TURNS = [2, 1, 3] as const;

/** Whether nothing of a face can be seen although the detector is sure of it: then it may not be upright. */
export function mayBeTurned(outputs: Outputs, face: number, score: number, spec: ModelSpec): boolean {
  if (!spec.visibilityThresholds || score < FAIR_SCORE) return false;
  return isHidden(visibilityOf(outputs, face, spec), spec).every(Boolean);
}

/** Which of some ways to turn a face shows brows, eyes and mouth best; -1: none shows them all. */
export function bestTurn(outputs: Outputs, faces: readonly number[], spec: ModelSpec): number {
  const means = faces.map((face) => {
    const seen = visibilityOf(outputs, face, spec);
    return isHidden(seen, spec).some(Boolean) ? -1 : (seen[0] + seen[1] + seen[2]) / 3;
  });
  const most = Math.max(...means);
  return most < 0 ? -1 : means.indexOf(most);
}

/** A crop turned by quarters counter-clockwise. */
export function rotated(crop: Uint8ClampedArray, size: number, channels: number, quarters: number): Uint8ClampedArray {
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
