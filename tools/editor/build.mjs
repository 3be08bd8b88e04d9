// Makes theme/editor.js. `npm ci && npm run build` here makes the bytes that are committed; a test in tests/browser sees to it.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const licence = readFileSync(new URL('node_modules/@codemirror/state/LICENSE', import.meta.url), 'utf8');

await build({
    entryPoints: [fileURLToPath(new URL('editor.mjs', import.meta.url))],
    absWorkingDir: fileURLToPath(new URL('.', import.meta.url)),
    outfile: process.argv[2] ?? fileURLToPath(new URL('../../theme/editor.js', import.meta.url)),
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'eof',
    banner: { js: '/* CodeMirror 6 and what tools/editor/editor.mjs makes of it, by `npm ci && npm run build` there. Its licence is at the end. */' },
    footer: { js: `/*\n${licence.trim()}\n*/` },
});
