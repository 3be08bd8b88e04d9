// Makes the picture in README.md: `npm run screenshot`.

import { fileURLToPath } from 'node:url';
import { browser, serve } from './book.mjs';

const book = await serve();
const chromium = await browser();
try {
    const page = await chromium.newPage({ viewport: { width: 1280, height: 860 } });
    await page.goto(`${book.address}/echo.html`);
    await page.locator('#what-it-printed').scrollIntoViewIfNeeded();
    await page.evaluate(() => document.querySelector('.scene').scrollIntoView({ block: 'center' }));
    await page.screenshot({ path: fileURLToPath(new URL('../../page.png', import.meta.url)) });
} finally {
    await chromium.close();
    await book.stop();
}
