/** Names and colours that people see; those of the annotated videos and reports. */

/** What the Facial Action Coding System calls the units (Ekman, Friesen & Hager 2002). */
export const UNIT_TITLES: Readonly<Record<string, string>> = {
  AU01: "Inner brow raiser",
  AU02: "Outer brow raiser",
  AU04: "Brow lowerer",
  AU05: "Upper lid raiser",
  AU06: "Cheek raiser",
  AU07: "Lid tightener",
  AU09: "Nose wrinkler",
  AU10: "Upper lip raiser",
  AU11: "Nasolabial deepener",
  AU12: "Lip corner puller",
  AU13: "Sharp lip puller",
  AU14: "Dimpler",
  AU15: "Lip corner depressor",
  AU16: "Lower lip depressor",
  AU17: "Chin raiser",
  AU18: "Lip pucker",
  AU20: "Lip stretcher",
  AU22: "Lip funneler",
  AU23: "Lip tightener",
  AU24: "Lip pressor",
  AU25: "Lips part",
  AU26: "Jaw drop",
  AU27: "Mouth stretch",
  AU28: "Lip suck",
  AU43: "Eyes closed",
  AU45: "Blink",
  AU46: "Wink",
};

const IDENTITIES = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#78aaff", "#aadc78"];

/** The colour of a face, the same in picture and panel; the colour-blind tell them apart (Okabe & Ito 2008). */
export function colourOf(id: number): string {
  return IDENTITIES[id % IDENTITIES.length];
}

/** A probability without the zero that says nothing: .93, 1.0. */
export function share(value: number): string {
  const text = value.toFixed(2);
  return text.startsWith("0") ? text.slice(1) : "1.0";
}
