/**
 * TypeScript -> what the Python package carries, in export/web/: `node build.mjs`. With `--check` nothing is written:
 * it fails where a file there is not what the sources build.
 *
 * Nothing is minified: whoever is given a page can read what it does, and a change of the sources shows in the diff;
 * compressed by a server it is 20 kB.
 */

import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const TARGET = join(HERE, "..", "export", "web");
/** Declarations that make up the module's public face, in the order in which they read. */
const DECLARED = ["types", "errors", "table", "predictor"];

const files = new Map();
const digest = digestOfSources();

execFileSync(process.execPath, [join(HERE, "node_modules", "typescript", "bin", "tsc"), "--noEmit", "-p", HERE], {
  stdio: "inherit",
});
for (const [name, entry] of [
  ["affectkit.js", "affectkit.ts"],
  ["page.js", "page.ts"],
]) {
  const result = await build({
    entryPoints: [join(HERE, "src", entry)],
    absWorkingDir: HERE,
    bundle: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    write: false,
    external: ["./affectkit.js"], // the page uses the module that others embed
    banner: { js: `/* affectkit in the browser. MIT. Built of web/ in affectkit's repository, sources ${digest}. */` },
  });
  files.set(name, Buffer.from(result.outputFiles[0].contents));
}
files.set("affectkit.d.ts", Buffer.from(declarations()));
for (const name of readdirSync(join(HERE, "page"))) files.set(name, readFileSync(join(HERE, "page", name)));

if (process.argv.includes("--check")) {
  const other = [...files].filter(([name, data]) => !sameAsBuilt(name, data)).map(([name]) => name);
  const more = readdirSync(TARGET).filter((name) => !files.has(name));
  if (other.length || more.length) {
    console.error(`export/web/ is not what web/ builds (${[...other, ...more].join(", ")}): run make web, and commit it`);
    process.exit(1);
  }
} else {
  mkdirSync(TARGET, { recursive: true });
  for (const name of readdirSync(TARGET)) if (!files.has(name)) rmSync(join(TARGET, name));
  for (const [name, data] of files) writeFileSync(join(TARGET, name), data);
  for (const [name, data] of files) console.log(`${name.padEnd(18)} ${data.length}`);
}

/** One number for all sources, which tests compare where there is no npm. */
function digestOfSources() {
  const names = ["build.mjs", "package-lock.json", "package.json", "tsconfig.json"];
  for (const folder of ["page", "src"]) names.push(...readdirSync(join(HERE, folder)).map((name) => `${folder}/${name}`));
  const hash = createHash("sha256");
  for (const name of names.sort()) hash.update(`${name}\0`).update(readFileSync(join(HERE, name)));
  return hash.digest("hex").slice(0, 16);
}

function sameAsBuilt(name, data) {
  try {
    return readFileSync(join(TARGET, name)).equals(data);
  } catch {
    return false;
  }
}

/** One file of declarations: those of the public modules one after the other, without imports and private parts. */
function declarations() {
  const folder = mkdtempSync(join(tmpdir(), "affectkit-types-"));
  const tsc = join(HERE, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [tsc, "-p", HERE, "--declaration", "--emitDeclarationOnly", "--outDir", folder]);
  const parts = DECLARED.map((name) =>
    readFileSync(join(folder, `${name}.d.ts`), "utf8")
      .replace(/^import .*;\n/gm, "")
      .replace(/^export \{\};\n/gm, "")
      .replace(/^\/\*\*(?:(?!\*\/)[^])*\*\/\n(?=\/\*\*)/, "") // what a module says of itself
      .replace(/^ *\/\*\*[^\n]*\*\/\n(?= *private )/gm, "")
      .replace(/^ *private (?!constructor).*\n/gm, ""),
  );
  rmSync(folder, { recursive: true });
  return `/** affectkit in the browser: what the module gives. docs/web.md has examples. */\n\n${parts.join("\n")}`;
}
