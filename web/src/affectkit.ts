/** affectkit in the browser. */

export { AffectKitError, type ErrorKind } from "./errors.js";
export { Predictor } from "./predictor.js";
export { Table } from "./table.js";
export type {
  Affect,
  Box,
  Face,
  ImageInput,
  InputSpec,
  LoadOptions,
  ModelSpec,
  Point,
  Prior,
  Unit,
} from "./types.js";
