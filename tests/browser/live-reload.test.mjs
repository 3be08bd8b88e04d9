import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browser, serve } from './book.mjs';

let book;
let chromium;
let page;
const trouble = [];

before(async () => {
    book = await serve();
    chromium = await browser();
    page = await chromium.newPage();
    page.on('pageerror', (error) => trouble.push(error.message));
    page.on('console', (message) => message.type() === 'error' && trouble.push(message.text()));
    page.on('request', (request) => {
        const url = request.url();
        if (!url.startsWith(book.address) && !url.startsWith('data:')) trouble.push(`request to ${url}`);
    });
    await page.goto(`${book.address}/tcp.html`);
});

after(async () => {
    await chromium?.close();
    await book?.stop();
});

function replace(name, old, text) {
    const path = join(book.folder, name);
    const before = readFileSync(path, 'utf8');
    assert.ok(before.includes(old), `${name} contains ${old}`);
    writeFileSync(path, before.replace(old, text));
}

/// The browser does this by itself: the test only watches.
async function pageShows(text) {
    await page.waitForFunction((wanted) => document.querySelector('main')?.innerText.includes(wanted), text, {
        timeout: 60_000,
    });
}

test('a change to a listing is on the page by itself, with its new output', async () => {
    replace('listings/daytime/src/bin/server.rs', '-UTC', '-universal-time');
    await page.waitForFunction(
        () =>
            [...document.querySelectorAll('.output')].some((output) => output.innerText.includes('-universal-time')) &&
            document.querySelector('main').innerText.includes('%H:%M:%S-universal-time'),
        undefined,
        { timeout: 60_000 },
    );
});

test('a change to a chapter is on the page by itself', async () => {
    replace('src/tcp.md', '# TCP: daytime', '# TCP: a new title');
    await pageShows('TCP: a new title');
});

test('a listing that does not compile leaves the page as it was, and its mending is shown', async () => {
    replace('listings/daytime/src/bin/server.rs', 'fn main()', 'fn main(');
    replace('src/tcp.md', '# TCP: a new title', '# TCP: a newer title');
    replace('listings/daytime/src/bin/server.rs', 'fn main(', 'fn main()');
    await pageShows('TCP: a newer title');
});

test('nothing went wrong in the page, and nothing left its origin', () => {
    assert.deepEqual(trouble, []);
});
