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
  /** Frames that were shown between this one and the last one that was looked at. */
  readonly missed: number;
}

/** Waits for the next frame of a video; null: it has ended or was stopped. */
export class Frames {
  private presented = 0;
  private startedMs = -1;
  private stopped = false;
  private wake: (() => void) | null = null;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly live: boolean,
  ) {}

  next(): Promise<Shown | null> {
    const { video } = this;
    if (this.stopped || video.ended) return Promise.resolve(null);
    return new Promise((answer) => {
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
        const missed = this.presented ? Math.max(0, frame.presentedFrames - this.presented - 1) : 0;
        this.presented = frame.presentedFrames;
        answer({ timeS: this.live ? (now - this.startedMs) / 1000 : frame.mediaTime, missed });
      });
      this.wake = end;
      video.addEventListener("ended", end);
    });
  }

  /** What is shown next has nothing to do with what was shown before: the film was put to another place. */
  moved(): void {
    this.presented = 0;
  }

  stop(): void {
    this.stopped = true;
    this.wake?.();
  }
}
