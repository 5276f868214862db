/** The panels beside the picture: for each of the largest faces its expression, valence and arousal, action units. */

import { colourOf, share, UNIT_TITLES } from "./labels.js";
import { hiddenRegions } from "./spec.js";
import type { Face, ModelSpec } from "./types.js";

const MOST_PANELS = 3;

/** An element with a class and a text. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** A value of 0..1 as a bar with its number, and a mark at the threshold. */
class Bar {
  readonly row = element("div", "bar");
  private readonly track = element("div", "track");
  private readonly fill = element("div", "fill");
  private readonly value = element("span", "value");

  constructor(name: string, title: string, threshold?: number) {
    const label = element("span", "name", name);
    if (title) label.append(" ", element("small", "", title));
    this.track.setAttribute("role", "meter");
    this.track.setAttribute("aria-label", title ? `${name}, ${title}` : name);
    this.track.setAttribute("aria-valuemin", "0");
    this.track.setAttribute("aria-valuemax", "1");
    this.track.append(this.fill);
    if (threshold !== undefined) {
      const mark = element("div", "threshold");
      mark.style.left = `${100 * threshold}%`;
      mark.title = `threshold ${share(threshold)}`;
      this.track.append(mark);
    }
    this.row.append(label, this.track, this.value);
  }

  show(value: number | null, active: boolean): void {
    this.row.classList.toggle("active", active);
    this.row.classList.toggle("hidden-part", value === null);
    this.fill.style.width = `${100 * (value ?? 0)}%`;
    this.value.textContent = value === null ? "not seen" : share(value);
    this.track.setAttribute("aria-valuenow", (value ?? 0).toFixed(2));
    this.track.setAttribute("aria-valuetext", value === null ? "not seen" : `${share(value)}${active ? ", active" : ""}`);
  }
}

/** Valence and arousal as a point in a circle. */
class Circle {
  readonly figure = element("figure", "circle");
  private readonly dot = element("div", "dot");
  private readonly caption = element("figcaption");

  constructor() {
    const plane = element("div", "plane");
    plane.append(element("span", "east", "valence"), element("span", "north", "arousal"), this.dot);
    plane.setAttribute("aria-hidden", "true"); // the caption says the same
    this.figure.append(plane, this.caption);
  }

  show(valence: number | null, arousal: number | null): void {
    this.dot.hidden = valence === null || arousal === null;
    if (valence === null || arousal === null) {
      this.caption.textContent = "not seen";
      return;
    }
    this.dot.style.left = `${50 + 50 * valence}%`;
    this.dot.style.top = `${50 - 50 * arousal}%`;
    const signed = (value: number) => (value < 0 ? "\u2212" : "+") + share(Math.abs(value));
    this.caption.textContent = `valence ${signed(valence)}, arousal ${signed(arousal)}`;
  }
}

class Panel {
  readonly section = element("section", "panel");
  private readonly title = element("h3");
  private readonly note = element("p", "note");
  private readonly expressions: Map<string, Bar>;
  private readonly units: Map<string, Bar>;
  private readonly circle: Circle | null;

  constructor(private readonly spec: ModelSpec) {
    this.expressions = new Map(spec.expressions.map((name) => [name, new Bar(name, "")]));
    this.units = new Map(
      spec.actionUnits.map((name, i) => [name, new Bar(name, UNIT_TITLES[name] ?? "", spec.thresholds[i])]),
    );
    this.circle = spec.vaBins ? new Circle() : null;
    this.section.append(this.title, this.note);
    const first = element("div", "beside");
    if (this.expressions.size) first.append(group("Expression", this.expressions));
    if (this.circle) first.append(this.circle.figure);
    this.section.append(first);
    if (this.units.size) this.section.append(group("Action units", this.units));
  }

  show(face: Face): void {
    this.title.textContent = `Face ${face.id}`;
    this.section.style.setProperty("--identity", colourOf(face.id));
    const hidden = hiddenRegions(face, this.spec);
    const quality = face.quality === null ? "" : `quality ${share(face.quality)}`;
    const turned = face.pose ? `head ${turn(face.pose.yaw)}, ${nod(face.pose.pitch)}` : "";
    const unseen = hidden.length ? `${hidden.join(", ")} not seen` : "";
    this.note.textContent = [quality, turned, unseen].filter(Boolean).join(" \u00b7 ");
    for (const [name, bar] of this.expressions) bar.show(face.expressions[name], name === face.expression);
    for (const [name, bar] of this.units) bar.show(face.units[name].probability, face.units[name].active);
    this.circle?.show(face.valence, face.arousal);
  }
}

const turn = (yaw: number) => (Math.abs(yaw) < 5 ? "straight" : `turned ${Math.abs(Math.round(yaw))}\u00b0`);
const nod = (pitch: number) => (Math.abs(pitch) < 5 ? "level" : `tilted ${Math.abs(Math.round(pitch))}\u00b0`);

function group(title: string, bars: ReadonlyMap<string, Bar>): HTMLElement {
  const made = element("div", "group");
  made.append(element("h4", "", title), ...[...bars.values()].map((bar) => bar.row));
  return made;
}

/** The panels of the largest faces. */
export class Panels {
  private panels: Panel[] = [];
  private readonly more = element("p", "note");

  constructor(
    private readonly place: HTMLElement,
    private readonly spec: ModelSpec,
  ) {}

  show(faces: readonly Face[]): void {
    const area = (face: Face) => face.box[2] * face.box[3];
    const largest = [...faces].sort((a, b) => area(b) - area(a)).slice(0, MOST_PANELS).sort((a, b) => a.id - b.id);
    if (this.panels.length !== largest.length) {
      while (this.panels.length < largest.length) this.panels.push(new Panel(this.spec));
      this.panels.length = largest.length;
      this.place.replaceChildren(...this.panels.map((panel) => panel.section), this.more);
    }
    this.place.dataset["faces"] = String(faces.length);
    largest.forEach((face, i) => this.panels[i].show(face));
    const others = faces.length - largest.length;
    this.more.textContent = faces.length ? (others ? `and ${others} more in the picture and the table` : "") : "no face";
  }
}
