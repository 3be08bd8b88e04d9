// Makes the picture in README.md: `npm run screenshot`.

import { fileURLToPath } from 'node:url';
import { browser, serve } from './book.mjs';

/// The server has its client.
const STEP = 14;

const book = await serve();
const chromium = await browser();
try {
    const page = await chromium.newPage({ viewport: { width: 1280, height: 860 } });
    await page.goto(`${book.address}/echo.html`);
    const next = page.locator('.replay button.next').first();
    for (let step = 0; step < STEP; step += 1) await next.click();
    await page.mouse.move(0, 0);
    await page.screenshot({ path: fileURLToPath(new URL('../../page.png', import.meta.url)) });
} finally {
    await chromium.close();
    await book.stop();
}
