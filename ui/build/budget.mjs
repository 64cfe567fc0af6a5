// The scripts that the first page needs, whichever page that is, must stay under 300 kB as they are sent (Brotli); the build fails
// otherwise.
import { existsSync, readFileSync } from 'node:fs';

const LIMIT_BYTES = 300_000;
const dist = new URL('../dist/', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist)));
const seen = new Set();
let total = 0;

function add(name) {
  const chunk = manifest[name];
  if (!chunk || seen.has(name)) return;
  seen.add(name);
  const sent = new URL(`${chunk.file}.br`, dist);
  total += readFileSync(existsSync(sent) ? sent : new URL(chunk.file, dist)).length;
  for (const imported of chunk.imports ?? []) add(imported);
}

add('index.html');
// One language and the heaviest first page come with it.
add('src/i18n/fr.ts');
// What opens behind a button of a page that stands already is no part of a first load.
const LATER = ['agents/WorkflowBuilder', 'agents/ToolTrial', 'agents/Preview', 'agents/NewAgent', 'calls/Shares', 'telephony/SipAccountForm', 'telephony/DeviceForm', 'telephony/Telephone', 'telephony/StopDialog'].map(
  (name) => `src/pages/${name}.tsx`,
);
// The words that the pages of a folder need besides (src/router.tsx).
const WORDS = { agents: ['agents'], restaurant: ['restaurant', 'agents'], admin: ['admin', 'agents', 'restaurant'] };
const pages = Object.keys(manifest).filter((name) => name.startsWith('src/pages/') && !LATER.includes(name));
const shared = total;
let heaviest = { name: '', bytes: 0 };
for (const page of pages) {
  const before = new Set(seen);
  const start = total;
  add(page);
  for (const part of WORDS[page.split('/')[2]] ?? []) add(`src/i18n/fr/${part}.json`);
  if (total - start > heaviest.bytes) heaviest = { name: page, bytes: total - start };
  seen.clear();
  for (const name of before) seen.add(name);
  total = start;
}
const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
console.log(`first load: ${kb(shared)} compressed, with the heaviest page (${heaviest.name}) ${kb(shared + heaviest.bytes)}; limit ${kb(LIMIT_BYTES)}`);
if (shared + heaviest.bytes > LIMIT_BYTES) {
  console.error('The first load is too large: split it (docs/interface.md).');
  process.exit(1);
}
