/**
 * Frames -> faces that keep their identity: when to detect and who is who, as in `affectkit/faces/tracking.py` and
 * `schedule.py`. While all known faces are there and apart, nothing but O-Net around each of them is computed.
 */

import { atRest, awayFrom, centre, iou, sameFace, stayed, touch, type Detection } from "./boxes.js";
import type { Mtcnn } from "./mtcnn.js";
import type { Raster } from "./raster.js";
import { appearanceOf, ChangeDetector, learned, Shots, similarity } from "./seen.js";
import type { Box } from "./types.js";

const DETECT_EVERY = 6;
const SETTLED_S = 0.5;
const WHOLE_S = 2;
const ENOUGH_S = 2;
const MIN_SCORE = 0.9;
const MATCH_IOU = 0.3;
const MAX_LOST_S = 3;
const SAME_SIMILARITY = 0.5;
const STAYED_SIMILARITY = 0.1;
const MOMENT_S = 0.3;
const RETURNED_SIMILARITY = 0.4;
const KNOWN_SIMILARITY = 0.6;
const TENTATIVE_SIMILARITY = 0.25;
const HIDDEN_S = 0.8;
/** Time constant with which a face that is gone is thought to slow down. */
const SLOWS_S = 1.5;

interface Track {
  readonly id: number;
  readonly last: Detection;
  readonly appearance: Float32Array;
  /** Index of the frame it was first seen in. */
  readonly first: number;
  readonly seen: number;
  readonly seenS: number;
  /** Of the box's centre, px a second. */
  readonly velocity: readonly [number, number];
}

/** A face with its identity. */
export interface TrackedFace {
  readonly id: number;
  readonly detection: Detection;
}

function expected(track: Track, timeS: number): Box {
  const [x, y, width, height] = track.last.box;
  const goneS = SLOWS_S * -Math.expm1(-Math.max(0, timeS - track.seenS) / SLOWS_S);
  return [x + track.velocity[0] * goneS, y + track.velocity[1] * goneS, width, height];
}

/** When all faces of a picture are detected, and when only new ones are looked for. */
class Schedule {
  private detectedAt = -1;
  private detectedS = -Infinity;
  private wholeS = -Infinity;
  private changes = new ChangeDetector();
  private pending: { index: number; sawNewFace: boolean } | null = null;
  private uneventful = 0;

  constructor(
    private readonly detector: Mtcnn,
    private readonly maxFaces: number,
  ) {}

  /** Whether faces are to be detected in this frame, and whether it will do to search for new ones. */
  plan(index: number, timeS: number, known: readonly Box[], calm: boolean): [due: boolean, partly: boolean] {
    let due = index - this.detectedAt >= DETECT_EVERY;
    const settled = due && calm && this.isSettled(known);
    if (settled && this.mayWait(timeS, known.length)) due = false;
    return [due, due && settled];
  }

  private isSettled(known: readonly Box[]): boolean {
    if (!this.uneventful || !known.length) return false;
    return known.every((a, i) => known.slice(i + 1).every((b) => !touch(a, b)));
  }

  private mayWait(timeS: number, count: number): boolean {
    const waitS = count >= this.maxFaces ? Math.max(ENOUGH_S, SETTLED_S) : SETTLED_S;
    const ago = timeS - this.detectedS;
    return ago >= 0 && ago < waitS - 1e-3; // a millisecond: the rounding of clocks does not decide
  }

  /** Search for faces that are not known: in the whole picture now and then, else where it has changed. */
  async beginSearch(image: Raster, index: number, timeS: number, known: readonly Box[]): Promise<void> {
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
  newFaceCame(index: number, cut: boolean): boolean {
    const { pending } = this;
    if (pending === null || (!cut && index - pending.index < DETECT_EVERY)) return false;
    this.pending = null;
    return !cut && pending.sawNewFace;
  }

  /** All faces of this picture were detected; `uneventful`: that was due, and brought nothing new. */
  detected(image: Raster, timeS: number, uneventful: boolean): void {
    this.uneventful = uneventful ? this.uneventful + 1 : 0;
    this.changes.note(image);
    this.wholeS = timeS;
    this.pending = null;
  }

  asked(index: number, timeS: number): void {
    this.detectedAt = index;
    this.detectedS = timeS;
  }
}

/** Remembers who was where; one for each video. */
export class Tracker {
  private tracks: Track[] = [];
  private readonly shots = new Shots<Track>();
  private readonly schedule: Schedule;
  private nextId = 0;
  private index = -1;
  private timeS = -Infinity;
  /** Faces that may be lost ones, and since when. */
  private tentative: { box: Box; sinceS: number }[] = [];

  constructor(
    private readonly detector: Mtcnn,
    private readonly maxFaces: number,
  ) {
    this.schedule = new Schedule(detector, maxFaces);
  }

  /** The faces of the next frame, by identity. */
  async update(image: Raster, timeS: number): Promise<{ faces: TrackedFace[]; cut: boolean }> {
    const before = this.index++;
    const index = this.index;
    const backwards = timeS < this.timeS;
    this.timeS = timeS;
    const cut = this.beginShot(image, backwards);
    const active = cut ? [] : this.tracks.filter((t) => t.seen === before);
    this.tracks = this.tracks.filter((t) => t.seen === before || t.seenS >= timeS - MAX_LOST_S);
    const calm = !this.tentative.length && active.length === this.tracks.length;
    const [due, partly] = this.schedule.plan(index, timeS, active.map((t) => t.last.box), calm);
    let must = this.tentative.length > 0 || !active.length || (due && !partly);
    must = this.schedule.newFaceCame(index, cut) || must;
    if (must || (await this.follow(image, active))) {
      must = true;
      const eventful = await this.detect(image, active, before);
      this.schedule.detected(image, timeS, due && !eventful);
    } else if (partly) {
      const known = this.tracks.filter((t) => t.seen === index).map((t) => t.last.box);
      await this.schedule.beginSearch(image, index, timeS, known);
    }
    if (must || due) this.schedule.asked(index, timeS);
    const area = (t: Track) => t.last.box[2] * t.last.box[3];
    const faces = this.tracks
      .filter((t) => t.seen === index)
      .sort((a, b) => area(b) - area(a))
      .slice(0, this.maxFaces)
      .sort((a, b) => a.id - b.id);
    return { faces: faces.map((t) => ({ id: t.id, detection: t.last })), cut };
  }

  private beginShot(image: Raster, backwards: boolean): boolean {
    const shown = this.shots.cutTo(image, this.tracks, backwards);
    if (shown === null) return false;
    // Shown again: they are expected where they were, as if no time had passed.
    this.tracks = shown.map((t) => ({ ...t, seenS: this.timeS, velocity: [0, 0] }));
    return true;
  }

  /** Follow the active tracks; true where one was lost. */
  private async follow(image: Raster, active: readonly Track[]): Promise<boolean> {
    const found = await this.followKnown(image, active);
    let lost = false;
    active.forEach((track, i) => {
      const face = found[i];
      // O-Net may answer with a neighbour's face; a face does not jump by half its size from frame to frame.
      if (face === null || iou(face.box, track.last.box) < MATCH_IOU) {
        lost = true;
        return;
      }
      const appearance = appearanceOf(image, face.box);
      if (similarity(appearance, track.appearance) < SAME_SIMILARITY) {
        lost = true; // whoever came in front of it
        return;
      }
      this.see(track, face, appearance);
    });
    return this.dropDoubles(image) || lost;
  }

  /** Note that a track is `face` in this frame. */
  private see(track: Track, face: Detection, appearance: Float32Array): void {
    let { appearance: average, velocity } = track;
    const stepS = this.timeS - track.seenS;
    // Only what is seen undisturbed is learned: half hidden, the box of what is left moves, and looks, otherwise.
    const alone = this.tracks.every((t) => t.id === track.id || iou(t.last.box, face.box) < 0.05);
    const known = similarity(appearance, average) >= KNOWN_SIMILARITY;
    if (alone && (known || track.seen - track.first < 5)) {
      average = learned(average, appearance);
      if (stepS > 0) {
        const [[x, y], [oldX, oldY]] = [centre(face.box), centre(track.last.box)];
        const share = Math.min(1, stepS / 0.2); // an average over about a fifth of a second: single boxes jitter
        velocity = [
          velocity[0] + share * ((x - oldX) / stepS - velocity[0]),
          velocity[1] + share * ((y - oldY) / stepS - velocity[1]),
        ];
      }
    }
    const seen: Track = { ...track, last: face, appearance: average, seen: this.index, seenS: this.timeS, velocity };
    this.tracks = this.tracks.map((t) => (t.id === track.id ? seen : t));
  }

  /** Two tracks on one face: it is the one that it looks like more; the other is lost. */
  private dropDoubles(image: Raster): boolean {
    const lost = new Set<number>();
    const current = this.tracks.filter((t) => t.seen === this.index);
    current.forEach((one, i) => {
      for (const other of current.slice(i + 1)) {
        if (iou(one.last.box, other.last.box) <= 0.5 || lost.has(one.id) || lost.has(other.id)) continue;
        const seen = appearanceOf(image, one.last.box);
        const like = similarity(seen, one.appearance);
        lost.add(like >= similarity(seen, other.appearance) - 0.02 ? other.id : one.id);
      }
    });
    this.tracks = this.tracks.map((t) => (lost.has(t.id) ? { ...t, seen: this.index - 1 } : t));
    return lost.size > 0;
  }

  /** Detect, and give every face the id of the track it continues, or a new one; whether the faces are others now. */
  private async detect(image: Raster, active: readonly Track[], before: number): Promise<boolean> {
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
  private matched(faces: readonly Detection[], appearances: readonly Float32Array[]): Map<number, Track> {
    const pairs: { score: number; i: number; k: number }[] = [];
    this.tracks.forEach((track, i) => {
      faces.forEach((face, k) => {
        const score = this.match(track, face, appearances[k]);
        if (score !== null) pairs.push({ score, i, k });
      });
    });
    pairs.sort((a, b) => b.score - a.score || a.i - b.i || a.k - b.k);
    const chosen = new Map<number, Track>();
    const used = new Set<number>();
    for (const { i, k } of pairs) {
      if (used.has(i) || chosen.has(k)) continue;
      used.add(i);
      chosen.set(k, this.tracks[i]);
    }
    return chosen;
  }

  /** Detected faces with the points that following gives, so that these do not jump with every detection. */
  private async steadied(
    image: Raster,
    faces: readonly Detection[],
    followed: ReadonlyMap<number, Track>,
  ): Promise<Detection[]> {
    const steady = [...faces];
    const late = [...followed].filter(([, track]) => track.seen < this.index);
    const lateFaces = await this.followKnown(image, late.map(([, track]) => track));
    const found = new Map<number, Detection | null>();
    for (const [k, track] of followed) found.set(k, track.last);
    late.forEach(([k], i) => found.set(k, lateFaces[i]));
    const moving = new Map(late);
    const unsettled: number[] = [];
    faces.forEach((face, k) => {
      const known = found.get(k) ?? null;
      const was = moving.get(k);
      const still = known !== null && (was === undefined || stayed(was.last, known));
      if (known !== null && still && sameFace(known, face)) steady[k] = known;
      else unsettled.push(k);
    });
    const settled = await this.detector.settle(image, unsettled.map((k) => faces[k]));
    unsettled.forEach((k, i) => (steady[k] = settled[i]));
    return steady;
  }

  private async followKnown(image: Raster, tracks: readonly Track[]): Promise<(Detection | null)[]> {
    const found = await this.detector.follow(image, tracks.map((t) => t.last));
    return found.map((now, i) => (now === null ? null : atRest(tracks[i].last, now)));
  }

  /** How likely a detection continues a track, higher is likelier; null: it does not. */
  private match(track: Track, face: Detection, appearance: Float32Array): number | null {
    const like = similarity(appearance, track.appearance);
    const place = expected(track, this.timeS);
    const overlap = iou(place, face.box);
    const goneS = this.timeS - track.seenS;
    const away = awayFrom(place, face.box);
    if (away === null) return null;
    let needed: number;
    if (overlap >= MATCH_IOU && goneS <= MOMENT_S) needed = STAYED_SIMILARITY;
    else if (overlap >= MATCH_IOU || away < Math.min(1, 0.5 + goneS)) needed = RETURNED_SIMILARITY;
    else if (away < 1 + 2 * goneS) needed = KNOWN_SIMILARITY;
    else return null;
    return like < needed ? null : overlap + 2 * like - 0.2 * away - 0.05 * goneS;
  }

  /** Whether a face that matches no track may be a lost one that is still half hidden. */
  private mayBeLost(face: Detection, appearance: Float32Array, crowded: boolean): boolean {
    return this.tracks.some((track) => {
      const away = awayFrom(expected(track, this.timeS), face.box);
      const near = away !== null && away < 1 + 2 * (this.timeS - track.seenS);
      const alike = crowded || similarity(appearance, track.appearance) >= TENTATIVE_SIMILARITY;
      return track.seen < this.index && near && alike;
    });
  }
}
