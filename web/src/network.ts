/** ONNX Runtime Web; the only file that knows it. */

import type * as Ort from "onnxruntime-web/wasm";
import { AffectKitError } from "./errors.js";

/** One output of a network. */
export interface Values {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** Runs a network on bytes of a shape; the answers by name are the caller's. */
export type RunNetwork = (
  bytes: Uint8Array | Uint8ClampedArray,
  dims: readonly number[],
) => Promise<Record<string, Values>>;

/** A smallest module whose one function uses a vector instruction: whether this browser has them. */
const SIMD_PROBE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0], // header
  ...[1, 5, 1, 96, 0, 1, 123], // a function () -> v128
  ...[3, 2, 1, 0],
  ...[10, 8, 1, 6, 0, 65, 0, 253, 15, 11], // i32.const 0, i8x16.splat
);

/** Networks that are open, and how they are computed. */
export class Runtime {
  private constructor(
    private readonly ort: typeof Ort,
    readonly threads: number,
  ) {}

  /**
   * Load ONNX Runtime from `folder`.
   *
   * @param threads asked for; more than one needs a page that is isolated from others (COOP and COEP headers).
   */
  static async load(folder: string, threads: number | undefined): Promise<Runtime> {
    if (typeof WebAssembly !== "object" || !WebAssembly.validate(SIMD_PROBE)) {
      throw new AffectKitError(
        "unsupported",
        "this browser lacks WebAssembly SIMD; use Chrome, Edge or Opera 91, Firefox 89, Safari 16.4, or newer",
      );
    }
    const address = `${folder}ort.wasm.min.mjs`;
    let ort: typeof Ort;
    try {
      ort = await import(/* webpackIgnore: true */ /* @vite-ignore */ address);
    } catch (error) {
      throw new AffectKitError("missing", `${address} cannot be loaded (${String(error)})`);
    }
    const isolated = typeof crossOriginIsolated === "boolean" && crossOriginIsolated;
    const cores = typeof navigator === "object" ? navigator.hardwareConcurrency || 1 : 1;
    const used = isolated ? Math.max(1, threads ?? Math.min(4, cores)) : 1;
    ort.env.wasm.numThreads = used;
    ort.env.wasm.wasmPaths = folder;
    ort.env.logLevel = "error";
    return new Runtime(ort, used);
  }

  /** Open a network; `input` is the name of what it is given. */
  async open(bytes: ArrayBuffer, input: string, where: string): Promise<{ run: RunNetwork; close: () => Promise<void> }> {
    let session: Ort.InferenceSession;
    try {
      session = await this.ort.InferenceSession.create(new Uint8Array(bytes), {
        executionProviders: ["wasm"],
        graphOptimizationLevel: "all",
      });
    } catch (error) {
      throw new AffectKitError("model", `${where} cannot be opened (${String(error)})`);
    }
    const { Tensor } = this.ort;
    const run: RunNetwork = async (data, dims) => {
      const plain = data instanceof Uint8Array ? data : new Uint8Array(data.buffer, data.byteOffset, data.length);
      const answer = await session.run({ [input]: new Tensor("uint8", plain, dims) });
      const found: Record<string, Values> = {};
      for (const [name, tensor] of Object.entries(answer)) {
        found[name] = { data: tensor.data as Float32Array, dims: tensor.dims };
      }
      return found;
    };
    return { run, close: () => session.release() };
  }
}
