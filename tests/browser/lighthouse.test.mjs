// What Lighthouse says of some pages, as a slow phone would see them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import lighthouse from 'lighthouse';
import { throttling } from 'lighthouse/core/config/constants.js';
import { browser } from './book.mjs';
import { publish } from './site.mjs';

/// Of 100, in each category.
const LEAST_SCORE = 95;

/// Other programs on the machine can only make a page seem slower than it is.
const ATTEMPTS = 4;

/// The index of Lighthouse's benchmark for a slow phone, as Chrome's developer tools have it (CalibrationController.ts). Lighthouse makes
/// a fast machine slower by 4 to be like that; a machine that is slow itself, or busy, has less to lose.
const SLOW_PHONE = 264;

/// Where Lighthouse finds the browser.
const PORT = 9333;

let book;
let chromium;

before(async () => {
    book = await publish();
    chromium = await browser([`--remote-debugging-port=${PORT}`]);
});

after(async () => {
    await chromium?.close();
    await book?.stop();
});

for (const name of ['introduction.html', 'echo.html', 'load-test.html', 'fixture.html']) {
    test(`Lighthouse is content with ${name}`, async (context) => {
        let low;
        let slowdown = throttling.mobileSlow4G.cpuSlowdownMultiplier;
        for (let attempt = 0; attempt < ATTEMPTS && low?.length !== 0; attempt += 1) {
            const { lhr } = await lighthouse(`${book.address}/${name}`, {
                port: PORT,
                logLevel: 'error',
                throttling: { ...throttling.mobileSlow4G, cpuSlowdownMultiplier: slowdown },
            });
            context.diagnostic(`slower by ${slowdown.toFixed(1)}`);
            slowdown = Math.min(slowdown, Math.max(lhr.environment.benchmarkIndex / SLOW_PHONE, 1));
            const categories = Object.values(lhr.categories);
            assert.ok(categories.length >= 4);
            context.diagnostic(categories.map(({ id, score }) => `${id} ${Math.round(score * 100)}`).join(', '));
            low = categories
                .filter(({ score }) => !(score * 100 >= LEAST_SCORE))
                .map(({ id, score, auditRefs }) => {
                    const failed = auditRefs.map(({ id }) => lhr.audits[id]).filter(({ score }) => score !== null && score < 0.9);
                    return `${id} ${score}: ${failed.map(({ id, displayValue }) => `${id} ${displayValue ?? ''}`).join('; ')}`;
                });
        }
        assert.deepEqual(low, []);
    });
}
