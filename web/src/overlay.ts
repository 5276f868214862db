/** What is drawn onto the picture: for every face its box, number, expression and points. */

import type { Face } from "./types.js";
import { colourOf, share } from "./labels.js";

/** Draws frames with their faces into a canvas. */
export class Overlay {
  private readonly context: CanvasRenderingContext2D;

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d", { alpha: false })!;
  }

  /** Show a picture with the faces that were found in it. */
  draw(picture: CanvasImageSource, width: number, height: number, faces: readonly Face[], mirrored: boolean): void {
    const { canvas, context } = this;
    // Text is to be as large on the screen whatever the picture's size: small pictures are drawn enlarged.
    const scale = Math.max(1, 960 / width);
    const size = [Math.round(width * scale), Math.round(height * scale)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    context.save();
    if (mirrored) {
      context.translate(canvas.width, 0);
      context.scale(-1, 1);
    }
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    context.restore();
    for (const face of faces) this.drawFace(face, scale, mirrored);
    const taken: Chip[] = [];
    for (const face of faces) this.drawChip(face, scale, mirrored, taken);
  }

  private drawFace(face: Face, scale: number, mirrored: boolean): void {
    const { context, canvas } = this;
    const [left, top, width, height] = face.box.map((side) => side * scale);
    const x = mirrored ? canvas.width - left - width : left;
    const colour = colourOf(face.id);
    const line = Math.max(2, canvas.width / 400);
    context.lineWidth = line;
    context.strokeStyle = colour;
    context.strokeRect(x, top, width, height);
    context.fillStyle = colour;
    for (const [px, py] of face.points) {
      const place = (px + 0.5) * scale;
      context.beginPath();
      context.arc(mirrored ? canvas.width - place : place, (py + 0.5) * scale, line, 0, 2 * Math.PI);
      context.fill();
    }
  }

  /** Number and expression over the box; the number alone where another face's text stands there already. */
  private drawChip(face: Face, scale: number, mirrored: boolean, taken: Chip[]): void {
    const { context, canvas } = this;
    const [left, top, width, height] = face.box.map((side) => side * scale);
    const x = mirrored ? canvas.width - left - width : left;
    const type = Math.round(canvas.width / 50);
    const tall = 1.5 * type;
    const y = top > 1.1 * tall ? top - tall : Math.min(top + height, canvas.height - tall);
    context.font = `600 ${type}px system-ui, sans-serif`;
    const said = face.expression
      ? `  ${face.expression} ${share(face.expressions[face.expression] ?? 0)}`
      : face.visibility
        ? "  cannot be seen"
        : "";
    const chips = [`${face.id}${said}`, String(face.id)].map((text): Chip => {
      const wide = context.measureText(text).width + type;
      return { text, x: Math.min(Math.max(0, x), canvas.width - wide), y, wide, tall };
    });
    const chip = taken.some((other) => overlap(other, chips[0])) ? chips[1] : chips[0];
    taken.push(chip);
    context.fillStyle = colourOf(face.id);
    context.fillRect(chip.x, chip.y, chip.wide, chip.tall);
    context.fillStyle = "#10151c";
    context.fillText(chip.text, chip.x + type / 2, chip.y + 1.08 * type);
  }
}

interface Chip {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly wide: number;
  readonly tall: number;
}

function overlap(a: Chip, b: Chip): boolean {
  return a.x < b.x + b.wide && b.x < a.x + a.wide && a.y < b.y + b.tall && b.y < a.y + a.tall;
}
