// What Readability.js keeps of pages. Needs `npm install @mozilla/readability jsdom` in a folder, named by NODE_FOLDER:
//
//     NODE_FOLDER=FOLDER node benchmarks/readability.mjs < pages.jsonl > kept.jsonl
//
// Lines of {"id", "url", "file"} in, the file in UTF-8; lines of {"id", "text", "html"} out, for pages with an article.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.env.NODE_FOLDER ?? process.cwd()}/`);
const { JSDOM, VirtualConsole } = require("jsdom");
const { Readability } = require("@mozilla/readability");

for await (const line of createInterface({ input: process.stdin })) {
  const { id, url, file } = JSON.parse(line);
  try {
    const { window } = new JSDOM(readFileSync(file, "utf8"), { url, virtualConsole: new VirtualConsole() });
    const article = new Readability(window.document).parse();
    if (article) console.log(JSON.stringify({ id, text: article.textContent, html: article.content }));
    window.close();
  } catch (error) {
    console.error(`${id}: ${error}`);
  }
}
