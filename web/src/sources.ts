/** Where frames come from: a camera, a video file, a picture; and what can be wrong with them, in words. */

/** What could not be opened, and what to do. */
export class SourceProblem extends Error {}

/** Refuse browsers that do not tell when a frame is shown. */
function needFrames(video: HTMLVideoElement): void {
  if (!("requestVideoFrameCallback" in video)) {
    throw new SourceProblem("This browser does not tell which frame it shows: use Chrome, Edge, Safari, or Firefox 132.");
  }
}

/** Open the camera of this machine into `video`. */
export async function openCamera(video: HTMLVideoElement): Promise<MediaStream> {
  needFrames(video);
  const devices = (navigator as Partial<Navigator>).mediaDevices;
  if (!devices) {
    throw new SourceProblem("Browsers give a camera only to pages with https, or at localhost. A video file works here.");
  }
  let stream: MediaStream;
  try {
    stream = await devices.getUserMedia({ audio: false, video: { width: { ideal: 640 }, height: { ideal: 480 } } });
  } catch (error) {
    throw new SourceProblem(cameraProblem(error));
  }
  video.srcObject = stream;
  await video.play();
  return stream;
}

function cameraProblem(error: unknown): string {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "The camera was not allowed. Allow it for this page, at the left of the address, and try again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "There is no camera here. Connect one and try again, or open a video file.";
    case "NotReadableError":
    case "AbortError":
      return "The camera is in use by another program, or does not answer. Close the other program and try again.";
    default:
      return `The camera cannot be used (${String(error)}).`;
  }
}

/** Open a video file into `video`, ready at its first frame. */
export async function openVideo(video: HTMLVideoElement, file: File): Promise<void> {
  needFrames(video);
  video.srcObject = null;
  video.src = URL.createObjectURL(file);
  await new Promise<void>((done, failed) => {
    video.onloadeddata = () => done();
    video.onerror = () => {
      failed(
        new SourceProblem(
          `This browser cannot decode ${file.name}. MP4 with H.264 and WebM play everywhere; affectkit on the command ` +
            `line reads the others. (${video.error?.message || "it gives no reason"})`,
        ),
      );
    };
  });
  if (!video.videoWidth) throw new SourceProblem(`${file.name} has no picture in it.`);
}

/** Open a picture file. */
export async function openPicture(file: File): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new SourceProblem(`This browser cannot decode the picture ${file.name}. JPEG, PNG and WebP work everywhere.`);
  }
}

/** A frame that is shown at the moment. */
export interface Shown {
  /** When it is shown, seconds from the beginning of the film, or of the camera. */
  readonly timeS: number;
  /** Frames between this one and the last one that was looked at. */
  readonly missed: number;
}

/** One frame after the other. */
export interface Frames {
  /** Wait for the next frame; null: the film has ended or was stopped. */
  next(): Promise<Shown | null>;
  pause(): void;
  resume(): void;
  /** Nothing comes any more; whoever waits is answered with null. */
  stop(): void;
}

/** Frames that the browser has thrown away since the video was opened, since it was too late to show them. */
function dropped(video: HTMLVideoElement): number {
  return video.getVideoPlaybackQuality().droppedVideoFrames;
}

/** Let a video run. That it is told to pause before it does so is no fault. */
async function start(video: HTMLVideoElement): Promise<void> {
  try {
    await video.play();
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
  }
}

/** What is shown while a camera or a film runs: what comes while a frame is looked at is missed. */
export class Running implements Frames {
  private presented = 0;
  private dropped: number;
  private startedMs = -1;
  private stopped = false;
  private held = false;
  private wake: (() => void) | null = null;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly live: boolean,
  ) {
    this.dropped = dropped(video);
    video.playbackRate = 1;
  }

  next(): Promise<Shown | null> {
    const { video } = this;
    if (this.stopped || video.ended) return Promise.resolve(null);
    return new Promise((answer, failed) => {
      const end = () => {
        video.cancelVideoFrameCallback(handle);
        video.removeEventListener("ended", end);
        this.wake = null;
        answer(null);
      };
      const handle = video.requestVideoFrameCallback((now, frame) => {
        video.removeEventListener("ended", end);
        this.wake = null;
        if (this.startedMs < 0) this.startedMs = now;
        const gone = dropped(video);
        const passed = this.presented ? Math.max(0, frame.presentedFrames - this.presented - 1) : 0;
        const missed = passed + Math.max(0, gone - this.dropped);
        [this.presented, this.dropped] = [frame.presentedFrames, gone];
        answer({ timeS: this.live ? (now - this.startedMs) / 1000 : frame.mediaTime, missed });
      });
      this.wake = end;
      video.addEventListener("ended", end);
      if (!this.live && video.paused && !this.held) start(video).catch(failed);
    });
  }

  pause(): void {
    this.held = true;
    this.video.pause();
  }

  resume(): void {
    this.held = false;
    void start(this.video);
  }

  stop(): void {
    this.stopped = true;
    this.wake?.();
  }
}

/** Times that differ by no more are those of one frame. */
const SAME_S = 1e-4;

/** Animation frames after the end of a seek in which the browser shows what it has found, if it is another frame. */
const SETTLED = 30;

/** Less than a frame is shown. */
const LITTLE_S = 1e-3;

/** Between frames of which nothing is known. */
const USUAL_S = 1 / 60;

/** Where in a frame's time it is looked for: no simple fraction, so that no other frame begins just there. */
const WITHIN = 0.2718;

/** The film runs more slowly the more goes by unseen, down to this. */
const SLOWEST = 0.25;

/**
 * Every frame of a film. It plays from frame to frame, and waits while one is looked at; what has gone by nonetheless,
 * since the machine was busy, is looked for between the frame before and the one that came.
 *
 * Chromium tells the own time of a frame that it shows after a seek. Firefox tells where it was sent, so nothing can be
 * looked for there: what has gone by is counted, but for the end.
 */
export class EveryFrame implements Frames {
  /** Of the last frame that was given. */
  private lastS = -1;
  /** What the browser calls the time of the frame that it shows. */
  private toldS = -1;
  /** The shortest time from one frame to the next so far, between frames whose own time is known. */
  private stepS = Infinity;
  /** A frame that has been seen while there may be others before it. */
  private aheadS: number | null = null;
  /** How far apart these are. */
  private searchS = Infinity;
  /** Whether frames have their own times after a seek. */
  private ownTimes = true;
  /** Up to the frame that is shown; NaN: the browser did not tell of it. */
  private presented = NaN;
  private dropped = 0;
  private stopped = false;
  private wake: (() => void) | null = null;
  private held: Promise<void> | null = null;
  private release: (() => void) | null = null;

  constructor(private readonly video: HTMLVideoElement) {
    video.pause();
    video.playbackRate = 1;
  }

  async next(): Promise<Shown | null> {
    if (this.held) await this.held;
    if (this.stopped) return null;
    if (this.lastS < 0) return this.first();
    if (this.aheadS === null) {
      const shown = await this.play();
      if (this.stopped) return null;
      if (shown?.missed) this.video.playbackRate = Math.max(SLOWEST, 0.8 * this.video.playbackRate);
      if (!this.ownTimes) return shown && { ...this.give(shown.timeS)!, missed: shown.missed || 0 };
      const timeS = shown === null ? await this.end() : shown.timeS;
      if (timeS === null || timeS <= this.lastS + SAME_S) return null;
      const gapS = timeS - this.lastS;
      const known = shown?.missed === 0 && this.stepS < Infinity; // the counts of the first frames come late, too
      const whole = known && (gapS < 1.5 * this.stepS || !(await this.lies(timeS)));
      if (shown !== null && whole) {
        if (this.stopped) return null;
        this.stepS = Math.min(this.stepS, gapS);
        return this.give(timeS);
      }
      if (this.stopped) return null;
      this.aheadS = timeS;
      const countedS = shown?.missed ? gapS / (shown.missed + 1) : USUAL_S;
      this.searchS = Math.min(this.stepS, countedS, 2 * USUAL_S);
    }
    const foundS = await this.between(this.aheadS, this.searchS);
    if (foundS !== null) this.stepS = Math.min(this.stepS, foundS - this.lastS);
    return this.give(foundS);
  }

  private async first(): Promise<Shown | null> {
    const timeS = await this.seek(0);
    const given = this.give(timeS);
    if (timeS !== null) this.ownTimes = (await this.seek(timeS + LITTLE_S)) !== timeS + LITTLE_S;
    return this.stopped ? null : given;
  }

  /** Whether a frame lies between the last one and that at `aheadS`: the browser's counts come late on busy machines. */
  private async lies(aheadS: number): Promise<boolean> {
    const beforeS = await this.seek(aheadS - 0.4 * this.stepS);
    if (beforeS === null || beforeS > this.lastS + SAME_S) return true;
    await this.seek(aheadS + WITHIN * this.stepS);
    return false;
  }

  private give(timeS: number | null): Shown | null {
    if (timeS === null) return null;
    if (this.aheadS !== null && timeS >= this.aheadS - SAME_S) this.aheadS = null;
    this.lastS = timeS;
    return { timeS, missed: 0 };
  }

  /** The first frame after the last one, up to the one at `aheadS`, of frames `stepS` apart; the film stands there. */
  private async between(aheadS: number, stepS: number): Promise<number | null> {
    for (let afterS = stepS; this.lastS + afterS < aheadS - 0.5 * stepS; afterS += stepS) {
      const targetS = this.lastS + afterS + WITHIN * stepS;
      const timeS = await this.seek(targetS);
      if (timeS === null || timeS > this.lastS + SAME_S) return timeS;
    }
    return (await this.seek(aheadS + WITHIN * stepS)) === null ? null : aheadS;
  }

  /** Whether there is a frame after the last one when the film has ended, which comes without a word of it: the last. */
  private async end(): Promise<number | null> {
    const { duration } = this.video;
    if (!Number.isFinite(duration)) return null;
    return this.seek(duration, true);
  }

  /** The next frame that is shown while the film runs; null: it has ended, or was stopped. */
  private play(): Promise<Shown | null> {
    const { video } = this;
    if (video.ended) return Promise.resolve(null);
    return new Promise((answer, failed) => {
      const end = () => {
        video.cancelVideoFrameCallback(handle);
        video.removeEventListener("ended", end);
        this.wake = null;
        answer(null);
      };
      const look = (_: number, frame: VideoFrameCallbackMetadata) => {
        if (frame.mediaTime <= this.toldS + SAME_S) {
          this.note(frame); // the last one again
          handle = video.requestVideoFrameCallback(look);
          return;
        }
        video.pause();
        video.removeEventListener("ended", end);
        this.wake = null;
        const missed = frame.presentedFrames - this.presented - 1 + dropped(video) - this.dropped;
        this.note(frame);
        answer({ timeS: frame.mediaTime, missed: Math.max(0, missed) });
      };
      let handle = video.requestVideoFrameCallback(look);
      this.wake = end;
      video.addEventListener("ended", end);
      start(video).catch(failed);
    });
  }

  /**
   * The time of the frame that is shown at a time; null: stopped.
   *
   * `patient`: what is shown before the film has come there may be an earlier frame at the same place.
   */
  private seek(targetS: number, patient = false): Promise<number | null> {
    const { video } = this;
    return new Promise((answer) => {
      this.presented = NaN;
      let handle = 0;
      let otherS = Math.max(0, this.lastS); // what is shown already
      let waited = 0;
      const done = (timeS: number | null) => {
        waited = SETTLED;
        video.cancelVideoFrameCallback(handle);
        video.removeEventListener("seeked", wait);
        this.wake = null;
        if (timeS !== null) this.toldS = timeS;
        answer(timeS);
      };
      const look = (_: number, frame: VideoFrameCallbackMetadata) => {
        this.note(frame);
        if (!patient && frame.mediaTime <= targetS + SAME_S) return done(frame.mediaTime);
        otherS = frame.mediaTime; // beyond: shown before the seek, or the film begins later
        handle = video.requestVideoFrameCallback(look);
      };
      // A browser need not tell of a frame that it shows already.
      const wait = () => {
        if (waited < SETTLED && ++waited === SETTLED) done(otherS);
        else if (waited < SETTLED) requestAnimationFrame(wait);
      };
      handle = video.requestVideoFrameCallback(look);
      this.wake = () => done(null);
      video.addEventListener("seeked", wait, { once: true });
      video.currentTime = Math.min(targetS, video.duration);
    });
  }

  private note(frame: VideoFrameCallbackMetadata): void {
    [this.presented, this.dropped, this.toldS] = [frame.presentedFrames, dropped(this.video), frame.mediaTime];
  }

  pause(): void {
    this.held ??= new Promise((release) => (this.release = release));
  }

  resume(): void {
    this.release?.();
    this.held = this.release = null;
  }

  stop(): void {
    this.stopped = true;
    this.resume();
    this.wake?.();
  }
}
