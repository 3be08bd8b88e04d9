// The book as it is published: built once (`npm test` does it first), served on this machine, compressed as any host would do it.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { fixture } from './fixture.mjs';

export const folder = fileURLToPath(new URL('../../target/browser/', import.meta.url));

/// mdBook's themes: each is a class of <html>.
export const themes = ['light', 'rust', 'coal', 'navy', 'ayu'];

/// The names of all chapters' files. The first one is what `index.html` is a copy of; `print.html` has them all, and `toc.html` none.
export const chapters = readdirSync(folder).filter(
    (name) => name.endsWith('.html') && !['404.html', 'index.html', 'print.html', 'toc.html'].includes(name),
);

const types = {
    '.css': 'text/css',
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript',
    '.png': 'image/png',
    '.svg': 'image/svg+xml',
    '.txt': 'text/plain',
    '.woff2': 'font/woff2',
};

/// A page of the book with one of our own replays in the place of its text.
export function fixture_page() {
    const page = readFileSync(join(folder, 'echo.html'), 'utf8');
    const [before, rest] = page.split('<main>');
    const after = rest.slice(rest.indexOf('</main>'));
    return `${before}<main>${fixture()}${after}`;
}

/// The stories of a listing's recordings, by their names.
export function recordings(listing) {
    const at = fileURLToPath(new URL(`../../listings/${listing}/recordings/`, import.meta.url));
    const stories = readdirSync(at).flatMap((name) => {
        const { story } = JSON.parse(readFileSync(join(at, name), 'utf8')).content;
        return story ? [[name.replace('.json', ''), story.story]] : [];
    });
    return new Map(stories);
}

/// A call's text as a page has it: in one line.
export function plain(text) {
    return text.replace(/[\n\t]/g, ' ');
}

/// Serves the book, and the page above as `fixture.html`; returns its address, what has been sent, and a function that ends it.
export async function publish() {
    /// Each has a path, and how many bytes its answer was long.
    const sent = [];
    const server = createServer((request, response) => {
        const path = normalize(decodeURIComponent(new URL(request.url, 'http://book').pathname));
        const file = join(folder, path);
        const exists = path === '/fixture.html' || (existsSync(file) && extname(file) in types);
        const data = path === '/fixture.html' ? fixture_page() : readFileSync(exists ? file : join(folder, '404.html'));
        const type = types[extname(exists ? file : '404.html')];
        const is_packed = type === types['.woff2'] || type === types['.png'];
        const body = is_packed ? data : gzipSync(data);
        const headers = { 'Content-Type': type, 'Content-Length': body.length, 'Cache-Control': 'max-age=3600' };
        if (!is_packed) headers['Content-Encoding'] = 'gzip';
        response.writeHead(exists ? 200 : 404, headers).end(body);
        // The next chapter, which mdBook has fetched in advance, is not what is looked at.
        if (!request.headers['sec-purpose']?.includes('prefetch')) sent.push({ path, length: body.length });
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const stop = () =>
        new Promise((resolve) => {
            server.close(resolve);
            server.closeAllConnections();
        });
    return { address: `http://127.0.0.1:${server.address().port}`, sent, stop };
}

/// What goes wrong in a page from now on: errors, and requests to another origin than `address`.
export function watch(page, address) {
    const trouble = [];
    page.on('pageerror', (error) => trouble.push(error.message));
    page.on('console', (message) => message.type() === 'error' && trouble.push(message.text()));
    page.on('request', (request) => {
        const url = request.url();
        if (!url.startsWith(address) && !url.startsWith('data:')) trouble.push(`request to ${url}`);
    });
    return trouble;
}

/// Sets a theme as its button does.
export function set_theme(page, theme) {
    return page.evaluate((theme) => document.getElementById(`mdbook-theme-${theme}`).click(), theme);
}
