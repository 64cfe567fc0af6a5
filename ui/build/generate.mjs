// src/api/schema.d.ts from docs/openapi.json: the pages cannot name what the document does not.
import { readFileSync, writeFileSync } from 'node:fs';
import openapiTS, { astToString } from 'openapi-typescript';

const document = JSON.parse(readFileSync(new URL('../../docs/openapi.json', import.meta.url)));
// Each operation is written out at its path: nothing then hangs on the names of operations.
for (const methods of Object.values(document.paths)) for (const operation of Object.values(methods)) delete operation.operationId;
const text = astToString(await openapiTS(document));
writeFileSync(new URL('../src/api/schema.d.ts', import.meta.url), `// Generated from docs/openapi.json by build/generate.mjs.\n${text}`);
