/** Results as a CSV file with the columns of `affectkit predict`, which its other commands read. */

import type { Face, ModelSpec } from "./types.js";

/** Rows of one video; one a frame and face, and one for a frame without a face. */
export class Table {
  private readonly lines: string[] = [];
  /** Frames that were added. */
  frames = 0;

  /**
   * @param spec of the model that answers.
   * @param name of the video, for the column `input`.
   */
  constructor(
    private readonly spec: ModelSpec,
    private readonly name: string,
  ) {}

  /** Add a frame; `timeMs` is when it is shown. */
  add(faces: readonly Face[], timeMs: number): void {
    const head = [cell(this.name), String(this.frames++)];
    const time = number(timeMs / 1000, 9);
    if (!faces.length) {
      const row = [...head, "-1", time, "", "0"];
      this.lines.push([...row, ...Array<string>(this.columns().length - row.length).fill("")].join(","));
    }
    for (const face of faces) {
      this.lines.push([...head, String(face.id), time, number(face.score), "1", ...this.values(face)].join(","));
    }
  }

  /** Names of the columns. */
  columns(): string[] {
    const { spec } = this;
    return [
      ...["input", "frame", "face_id", "timestamp", "confidence", "success"],
      ...["FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight"],
      ...(spec.pose ? ["pitch", "yaw", "roll"] : []),
      ...(spec.visibilityThresholds ? ["visible_upper", "visible_lower", "quality"] : []),
      ...spec.actionUnits,
      ...spec.actionUnits.map((unit) => `${unit}_c`),
      ...(spec.intensity ? spec.actionUnits.map((unit) => `${unit}_i`) : []),
      ...spec.expressions,
      ...(spec.expressions.length ? ["expression"] : []),
      ...(spec.vaBins ? ["valence", "arousal"] : []),
    ];
  }

  private values(face: Face): string[] {
    const { spec } = this;
    const units = spec.actionUnits.map((name) => face.units[name]);
    const { pose, visibility } = face;
    return [
      ...face.box.map((side) => number(side, 2)),
      ...(spec.pose ? [pose?.pitch, pose?.yaw, pose?.roll].map((angle) => number(angle, 2)) : []),
      ...(spec.visibilityThresholds
        ? [visibility && Math.min(visibility.brows, visibility.eyes), visibility?.mouth, face.quality].map((v) => number(v))
        : []),
      ...units.map((unit) => number(unit.probability)),
      ...units.map((unit) => (unit.probability === null ? "" : unit.active ? "1" : "0")),
      ...(spec.intensity ? units.map((unit) => number(unit.intensity)) : []),
      ...spec.expressions.map((name) => number(face.expressions[name])),
      ...(spec.expressions.length ? [face.expression ?? ""] : []),
      ...(spec.vaBins ? [number(face.valence), number(face.arousal)] : []),
    ];
  }

  /** The file's text. */
  toCsv(): string {
    return [this.columns().join(","), ...this.lines, ""].join("\n");
  }
}

function number(value: number | null | undefined, digits = 6): string {
  return value === null || value === undefined || !Number.isFinite(value) ? "" : String(Number(value.toFixed(digits)));
}

/** A name as a cell; one that a spreadsheet would take for a formula is written as the same file's path. */
function cell(name: string): string {
  const safe = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(name) ? `./${name}` : name;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
