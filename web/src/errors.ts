/** What can go wrong, in words for whoever looks at the page. */

/** Which part failed. */
export type ErrorKind = "unsupported" | "missing" | "model" | "input";

/**
 * Anything that affectkit refuses.
 *
 * `kind`: `unsupported`, the browser lacks what is needed; `missing`, a file of the site cannot be loaded; `model`, a
 * file does not fit this version; `input`, what was given is no picture.
 */
export class AffectKitError extends Error {
  constructor(
    readonly kind: ErrorKind,
    message: string,
  ) {
    super(message);
    this.name = "AffectKitError";
  }
}
