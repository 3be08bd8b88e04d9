// Makes theme/editor.js and theme/highlight.js, or the same in another folder. `npm ci && npm run build` here makes the bytes that are
// committed; a test in tests/browser sees to it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = process.argv[2] ?? join(here, '../../theme');

/// Makes `name`.js of `name`.mjs, with the licence of the package that most of it is.
async function bundle(name, title, licensed, options) {
    const licence = readFileSync(join(here, 'node_modules', licensed, 'LICENSE'), 'utf8');
    await build({
        entryPoints: [join(here, `${name}.mjs`)],
        absWorkingDir: here,
        outfile: join(folder, `${name}.js`),
        bundle: true,
        minify: true,
        charset: 'utf8',
        legalComments: 'eof',
        banner: { js: `/* ${title} and what tools/bundles/${name}.mjs makes of it, by \`npm ci && npm run build\` there. Its licence is at the end. */` },
        footer: { js: `/*\n${licence.trim()}\n*/` },
        ...options,
    });
}

await bundle('editor', 'CodeMirror 6', '@codemirror/state', { format: 'esm', target: 'es2022' });
await bundle('highlight', 'Highlight.js 10', 'highlight.js', { format: 'iife', target: 'es2018' });
