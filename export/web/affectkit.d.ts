/** affectkit in the browser: what the module gives. docs/web.md has examples. */

/** x and y, px of the picture; (0, 0) is the centre of the top left pixel. */
export type Point = readonly [x: number, y: number];
/** Left, top, width and height, px of the picture. */
export type Box = readonly [x: number, y: number, width: number, height: number];
/** A picture, or what shows one at the moment. */
export type ImageInput = ImageData | HTMLVideoElement | HTMLCanvasElement | HTMLImageElement | OffscreenCanvas | ImageBitmap | VideoFrame;
/** One action unit. */
export interface Unit {
    /** 0..1; null: its part of the face cannot be seen. */
    readonly probability: number | null;
    /** Whether the probability reaches the model's threshold. */
    readonly active: boolean;
    /** 0..1, share of the person's own full movement; null: hidden, or the model does not tell. */
    readonly intensity: number | null;
}
/** What a model says of one face. What cannot be seen is null, never 0. */
export interface Affect {
    /** The most probable expression; null: unknown to the model, or nothing of the face can be seen. */
    readonly expression: string | null;
    /** Probability by name. */
    readonly expressions: Readonly<Record<string, number | null>>;
    /** By name (`AU12`). */
    readonly units: Readonly<Record<string, Unit>>;
    /** -1..1. */
    readonly valence: number | null;
    /** -1..1. */
    readonly arousal: number | null;
    /** Of the head, degrees. */
    readonly pose: {
        readonly pitch: number;
        readonly yaw: number;
        readonly roll: number;
    } | null;
    /** Visible share of each region, 0..1. */
    readonly visibility: {
        readonly brows: number;
        readonly eyes: number;
        readonly mouth: number;
    } | null;
    /** 0..1, how well the face can be seen. */
    readonly quality: number | null;
}
/** A face in one frame. */
export interface Face extends Affect {
    /** Identity: the same through a video, never used twice. Of single pictures, the place in the list. */
    readonly id: number;
    readonly box: Box;
    /** The detector's, 0..1. */
    readonly score: number;
    /** Left eye, right eye, nose tip, left and right mouth corner, as seen in the picture. */
    readonly points: readonly Point[];
}
/** `natural`: expressions are as common as in training; `balanced`: all equally common. */
export type Prior = "natural" | "balanced";
/** How a {@link Predictor} is made. */
export interface LoadOptions {
    /** Address of the folder with `model/`, `detector/` and `runtime/`, with a slash at its end; the module's own. */
    readonly base?: string | URL;
    /** Only the largest faces of a video, at least 1; all of them. */
    readonly maxFaces?: number;
    /** Smallest face, by the longer side of its box; 20. Twice as large is searched about four times as fast. */
    readonly minFacePx?: number;
    readonly prior?: Prior;
    /** Most threads; used only where the page is isolated from others (`crossOriginIsolated`), else there is one. */
    readonly threads?: number;
}
/** What the network is given. */
export interface InputSpec {
    /** Side of the square crop, px. */
    readonly size: number;
    /** 1: luma. 3: RGB. */
    readonly channels: 1 | 3;
    readonly template: string;
    /** Width of the crop relative to the template's. */
    readonly margin: number;
}
/** A model, as its `model.json` describes it. */
export interface ModelSpec {
    readonly name: string;
    readonly version: string;
    readonly licence: string;
    readonly precision: string;
    readonly input: InputSpec;
    readonly members: number;
    readonly ensemble: "logits" | "probabilities";
    /** In the order of every answer, which is not always that of the network. */
    readonly expressions: readonly string[];
    /** Where in the network's answer each of `expressions` is. */
    readonly expressionPlaces: readonly number[];
    readonly temperature: number;
    /** Share of each expression in training, in the network's order; null: not known. */
    readonly prior: readonly number[] | null;
    readonly balancedTemperature: number | null;
    readonly actionUnits: readonly string[];
    readonly unitPlaces: readonly number[];
    /** By `actionUnits`: a unit is active at or over it. */
    readonly thresholds: readonly number[];
    /** Bins of valence, and as many of arousal; 0: the network tells neither. */
    readonly vaBins: number;
    readonly intensity: boolean;
    /** Visible shares of brows, eyes and mouth under which they count as hidden; null: the network does not tell. */
    readonly visibilityThresholds: readonly number[] | null;
    readonly pose: boolean;
    /** sha256 by file name. */
    readonly files: Readonly<Record<string, string>>;
}

/** Which part failed. */
export type ErrorKind = "unsupported" | "missing" | "model" | "input";
/**
 * Anything that affectkit refuses.
 *
 * `kind`: `unsupported`, the browser lacks what is needed; `missing`, a file of the site cannot be loaded; `model`, a
 * file does not fit this version; `input`, what was given is no picture.
 */
export declare class AffectKitError extends Error {
    readonly kind: ErrorKind;
    constructor(kind: ErrorKind, message: string);
}

/** Rows of one video; one a frame and face, and one for a frame without a face. */
export declare class Table {
    /** Frames that were added. */
    frames: number;
    /**
     * @param spec of the model that answers.
     * @param name of the video, for the column `input`.
     */
    constructor(spec: ModelSpec, name: string);
    /** Add a frame; `timeMs` is when it is shown. */
    add(faces: readonly Face[], timeMs: number): void;
    /** Names of the columns. */
    columns(): string[];
    /** The file's text. */
    toCsv(): string;
}

/** Finds faces in frames, follows them, and tells what a model says of each. All of it runs where the module runs. */
export declare class Predictor {
    /** What the model answers. */
    readonly spec: ModelSpec;
    /** Threads that compute; 1 unless the page is isolated from others. */
    readonly threads: number;
    private constructor();
    /**
     * Load the networks, about 18 MB from the folder `base`, and get ready.
     *
     * @throws {AffectKitError} the browser lacks WebAssembly SIMD, a file is missing or is not the one that belongs there.
     * @throws {RangeError} an option is out of range.
     */
    static load(options?: LoadOptions): Promise<Predictor>;
    /**
     * The faces of the next frame of a video, by identity. Frames are answered in the order of the calls.
     *
     * @param timeMs when the frame is shown, milliseconds; where it runs backwards, another video begins.
     * @throws {TypeError} `timeMs` is not a finite number.
     * @throws {AffectKitError} `image` shows nothing, or may not be read (it comes from another site).
     */
    predict(image: ImageInput, timeMs: number): Promise<Face[]>;
    /** The faces of a single picture, in falling order of the detector's score; ids are their places. */
    predictImage(image: ImageInput): Promise<Face[]>;
    /** Forget all faces, for another video; ids begin at 0 again. */
    reset(): Promise<void>;
    /** Free the networks, after what was asked for is answered. */
    close(): Promise<void>;
}
