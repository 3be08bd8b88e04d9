// Every scene of the book, run from its page as the book is served.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browser, serve } from './book.mjs';

let book;
let chromium;
before(async () => {
    book = await serve();
    chromium = await browser();
});
after(async () => {
    await chromium?.close();
    await book?.stop();
});

/// Runs the scenes of a page one after another. How each ended, and how it did when the page was made.
function run_all() {
    const codes = (terminals) => terminals.map((terminal) => terminal.querySelector('.exit')?.textContent.match(/\d+/)?.[0] ?? '0');
    const run = async (scene) => {
        const response = await fetch('/__workbench/run', {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ scene }),
        });
        const lines = (await response.text()).split('\n').filter((line) => line.startsWith('data:'));
        const events = lines.map((line) => JSON.parse(line.slice(5)));
        const ended = [];
        for (const { event, terminal, code } of events) {
            if (event === 'begin') ended[terminal] = '0';
            if (event === 'exit') ended[terminal] = String(code);
        }
        return { end: events.at(-1), ended };
    };
    return (async () => {
        const all = [];
        for (const bench of document.querySelectorAll('.bench[data-scene]')) {
            const { scene } = bench.dataset;
            let printed = bench.nextElementSibling;
            while (!printed.matches('.scene')) printed = printed.nextElementSibling;
            all.push({ scene, printed: codes([...printed.children]), ...(await run(scene)) });
        }
        return all;
    })();
}

test('each scene of the book ends in the workbench as it did for its page', async () => {
    const page = await chromium.newPage();
    await page.goto(book.opened);
    const chapters = await page.evaluate(() => {
        const links = document.querySelectorAll('.chapter a[href]');
        return [...new Set([...links].map(({ href }) => href.replace(/#.*/, '')))];
    });
    let scenes = 0;
    for (const chapter of chapters) {
        await page.goto(chapter);
        for (const { scene, printed, end, ended } of await page.evaluate(run_all)) {
            assert.deepEqual(end, { event: 'over' }, scene);
            assert.deepEqual(ended, printed, scene);
            scenes += 1;
        }
    }
    assert.ok(scenes > 80, `${scenes} scenes`);
});
