// Every page, in every theme, wide and narrow.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { browser } from './book.mjs';
import { chapters, folder, publish, set_theme, themes, watch } from './site.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/// Bytes of a page's first view, compressed, with all that it loads.
const WEIGHT_LIMIT = 200 * 1024;

let book;
let chromium;

before(async () => {
    book = await publish();
    chromium = await browser();
});

after(async () => {
    await chromium?.close();
    await book?.stop();
});

/// The rules that colours decide; all others need to be asked in one theme only.
const COLOUR_RULES = ['color-contrast', 'link-in-text-block'];

async function violations(page, rules) {
    const found = await page.evaluate(
        (rules) => axe.run(document, { resultTypes: ['violations'], ...(rules && { runOnly: rules }) }),
        rules,
    );
    return found.violations.flatMap(({ id, nodes }) =>
        nodes.map((node) => `${id}: ${node.target.join(' ')} ${node.html.slice(0, 120)} ${node.any[0]?.message ?? ''}`),
    );
}

// Both at once, as long as there are two cores.
describe('every page can be read by everyone', { concurrency: 2 }, () => {
    for (const [width, height] of [
        [1280, 860],
        [390, 844],
    ]) {
        test(`in every theme, ${width} pixels wide`, async (context) => {
            const page = await chromium.newPage({ viewport: { width, height }, reducedMotion: 'reduce' });
            const trouble = watch(page, book.address);
            for (const name of [...chapters, '404.html', 'fixture.html']) {
                await context.test(name, async () => {
                    await page.goto(`${book.address}/${name}`);
                    await page.evaluate(axe);
                    const replays = page.locator('figure.replay:visible');
                    for (const theme of themes) {
                        await set_theme(page, theme);
                        const rules = theme === themes[0] ? undefined : COLOUR_RULES;
                        assert.deepEqual(await violations(page, rules), [], `at rest, ${theme}`);
                    }
                    // The same while it is stepped through; the first one stands for the others.
                    if ((await replays.count()) > 0) {
                        await page.evaluate(() => document.querySelectorAll('.replay details').forEach((each) => (each.open = true)));
                        await replays.first().locator('button.next').click();
                        for (const theme of themes) {
                            await set_theme(page, theme);
                            const rules = theme === themes[0] ? undefined : COLOUR_RULES;
                            assert.deepEqual(await violations(page, rules), [], `stepping, ${theme}`);
                        }
                    }
                    const beyond = await page.evaluate(() => {
                        scrollTo(10_000, scrollY);
                        const { scrollWidth, clientWidth } = document.querySelector('.content');
                        return [scrollX, scrollWidth - clientWidth];
                    });
                    assert.deepEqual(beyond, [0, 0], 'the page does not scroll sideways, and nothing is cut off');
                    assert.deepEqual(trouble.splice(0), []);
                });
            }
            await page.close();
        });
    }
});

test('a first view of any page is light', async (context) => {
    for (const name of chapters) {
        await context.test(name, async () => {
            const view = await chromium.newContext({ viewport: { width: 1280, height: 860 } });
            const page = await view.newPage();
            book.sent.splice(0);
            await page.goto(`${book.address}/${name}`, { waitUntil: 'networkidle' });
            const bytes = book.sent.reduce((sum, { length }) => sum + length, 0);
            assert.equal(await page.evaluate(() => document.fonts.size), 0, "the fonts are the reader's");
            const list = book.sent.map(({ path, length }) => `${path} ${length}`).join('\n');
            await view.close();
            context.diagnostic(`${name}: ${Math.ceil(bytes / 1024)} KiB`);
            assert.ok(bytes > 10_000 && bytes < WEIGHT_LIMIT, `${bytes} bytes:\n${list}`);
        });
    }
});

test('a page that has been loaded needs nobody any more', async () => {
    const view = await chromium.newContext();
    const page = await view.newPage();
    const trouble = watch(page, book.address);
    for (const name of ['echo.html', 'fixture.html']) {
        // Chromium asks for the icons when it likes, even after that.
        const icons = ['png', 'svg'].map((type) =>
            page.waitForEvent('requestfinished', (request) => new RegExp(`/favicon[^/]*\\.${type}$`).test(request.url())),
        );
        await page.goto(`${book.address}/${name}`, { waitUntil: 'networkidle' });
        await Promise.all(icons);
        await view.setOffline(true);
        const asked = [];
        page.on('requestfailed', (request) => asked.push(request.url()));
        for (const theme of themes) await set_theme(page, theme);
        for (const summary of await page.locator('main summary:visible').all()) await summary.click();
        for (const next of await page.locator('.replay button.next:visible').all()) await next.click();
        await page.emulateMedia({ media: 'print' });
        await page.waitForTimeout(200);
        assert.deepEqual(asked, []);
        page.removeAllListeners('requestfailed');
        await page.emulateMedia({ media: null });
        await view.setOffline(false);
    }
    assert.deepEqual(trouble, []);
    await view.close();
});

test('every page can be opened from the disk', async () => {
    const page = await chromium.newPage();
    const trouble = watch(page, 'file://');
    for (const name of chapters) {
        await page.goto(pathToFileURL(`${folder}${name}`).href);
        assert.ok(await page.locator('main h1').first().isVisible(), name);
        assert.deepEqual(trouble.splice(0), [], name);
    }
    await page.close();
});

/// What of a page is not to be seen, though it should be: on paper what a replay has folded, too.
function missing() {
    const is_paper = matchMedia('print').matches;
    const is_wanted = (element) => {
        if (element.closest('.controls')) return false;
        // The end of a line can be a piece of its own.
        if (element.matches('.screen span') && !element.textContent.trim()) return false;
        const fold = element.closest(is_paper ? 'details:not([open], .replay details, .replayed)' : 'details:not([open])');
        return !fold || element.closest('summary')?.parentElement === fold;
    };
    const is_seen = (element) => {
        const { width, height } = element.getBoundingClientRect();
        return width > 0 && height > 0 && element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    };
    const has_no_words = (replay) => {
        const steps = new Set([...replay.querySelectorAll('.step')].map((step) => step.dataset.step));
        const sentences = [...replay.querySelectorAll('.words li')];
        return steps.size === 0 || sentences.length !== steps.size || !sentences.every((each) => each.textContent.trim());
    };
    const wanted = 'h1, p, pre, table, figure svg, .replay :is(.step, .call, .screen span, li)';
    const unseen = [...document.querySelector('main').querySelectorAll(wanted)].filter(
        (element) => is_wanted(element) && !is_seen(element),
    );
    const wordless = [...document.querySelectorAll('.replay')].filter(has_no_words);
    return [...unseen, ...wordless].map((element) => element.outerHTML.slice(0, 150));
}

test('a page is complete without JavaScript, on the screen and on paper', async (context) => {
    const view = await chromium.newContext({ javaScriptEnabled: false, viewport: { width: 1280, height: 860 } });
    const page = await view.newPage();
    for (const name of [...chapters, 'fixture.html']) {
        await context.test(name, async () => {
            await page.goto(`${book.address}/${name}`);
            assert.deepEqual(await page.evaluate(missing), []);
            await page.emulateMedia({ media: 'print' });
            assert.deepEqual(await page.evaluate(missing), [], 'on paper');
            await page.emulateMedia({ media: null });
            assert.equal(await page.locator('.controls:visible, .controls button').count(), 0, 'nothing that does nothing');
        });
    }
    await view.close();
});

test('a page is complete on paper, whatever is open on the screen', async (context) => {
    const page = await chromium.newPage({ viewport: { width: 1280, height: 860 } });
    for (const name of [...chapters, 'fixture.html']) {
        await context.test(name, async () => {
            await page.goto(`${book.address}/${name}`);
            const replay = page.locator('.replay:visible');
            if ((await replay.count()) > 0) await replay.first().locator('button.next').click();
            await page.emulateMedia({ media: 'print' });
            assert.deepEqual(await page.evaluate(missing), []);
            await page.emulateMedia({ media: null });
        });
    }
    await page.close();
});

test('a copy button copies the command, in one line, and no prompt', async (context) => {
    const view = await chromium.newContext({ permissions: ['clipboard-read', 'clipboard-write'] });
    const page = await view.newPage();
    let count = 0;
    for (const name of chapters) {
        await context.test(name, async () => {
            await page.goto(`${book.address}/${name}`);
            for (const terminal of await page.locator('.terminal:visible').all()) {
                const command = await terminal.locator('pre > code').textContent();
                await terminal.locator('.clip-button').focus();
                await page.keyboard.press('Enter');
                const copied = await page.evaluate(() => navigator.clipboard.readText());
                assert.equal(copied.trimEnd(), command.trimEnd());
                assert.match(copied, /^[^\s$][^\n]*\n?$/);
                count += 1;
            }
        });
    }
    assert.ok(count > 20, `${count} terminals`);
    await view.close();
});
