/** What `model.json` says: what the network is given, and how its answers are read. */

import { AffectKitError } from "./errors.js";
import type { Affect, InputSpec, ModelSpec } from "./types.js";

/** Regions whose visible share a network may tell. */
export const REGIONS = ["brows", "eyes", "mouth"] as const;

const USUAL = ["neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise"];

/** Where the five points lie in the crop, as fractions of its side: eyes, nose tip, mouth corners, left to right. */
const TEMPLATES: Record<string, readonly (readonly [number, number])[]> = {
  tight: [[0.315, 0.388], [0.685, 0.388], [0.5, 0.586], [0.348, 0.785], [0.652, 0.785]],
  arcface: [[0.3427, 0.4607], [0.6573, 0.4607], [0.5, 0.6405], [0.3697, 0.824], [0.6303, 0.824]],
  published: [[0.25, 0.25], [0.75, 0.25], [0.5, 0.52], [0.31, 0.75], [0.69, 0.75]],
};

/** Read the document of a `model.json`. */
export function parseSpec(document: any, where: string): ModelSpec {
  try {
    return parsed(document);
  } catch (error) {
    if (error instanceof AffectKitError) throw error;
    throw new AffectKitError("model", `${where} is not a model.json of affectkit: ${String(error)}`);
  }
}

function parsed(document: any): ModelSpec {
  if (document.format_version > 2) {
    throw new AffectKitError("model", `model format ${document.format_version} is newer than this page reads`);
  }
  if (document.temporal) {
    throw new AffectKitError("model", `${document.name} looks at sequences; take a model that looks at single frames`);
  }
  const { expression, au, va, intensity, visibility, pose } = document.tasks;
  const given: string[] = expression?.labels ?? [];
  const place = (name: string) => (USUAL.includes(name) ? USUAL.indexOf(name) : USUAL.length);
  const expressions = [...given].sort((a, b) => place(a) - place(b) || given.indexOf(a) - given.indexOf(b));
  const units: string[] = au?.labels ?? [];
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
    files: document.files,
  };
}

/** The five points of an aligned face, px of the crop; (0, 0) is the centre of the top left pixel. */
export function templatePx(spec: InputSpec): [number, number][] {
  const side = (part: number) => Math.fround(((part - 0.5) / spec.margin + 0.5) * spec.size - 0.5);
  return TEMPLATES[spec.template].map(([x, y]) => [side(x), side(y)]);
}

/** Names of {@link REGIONS} whose visible share is under the model's threshold. */
export function hiddenRegions(affect: Affect, spec: ModelSpec): string[] {
  const { visibility } = affect;
  return visibility && spec.visibilityThresholds
    ? REGIONS.filter((region, i) => !(visibility[region] >= spec.visibilityThresholds![i]))
    : [];
}
