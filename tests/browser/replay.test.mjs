// A replay's steps: those of our own page, whose text is hostile, and all that the book has.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browser } from './book.mjs';
import { HOSTILE } from './fixture.mjs';
import { chapters, publish, watch } from './site.mjs';

let book;
let chromium;
let page;
let trouble;

before(async () => {
    book = await publish();
    chromium = await browser();
    page = await chromium.newPage({ viewport: { width: 1280, height: 860 }, reducedMotion: 'reduce' });
    trouble = watch(page, book.address);
});

after(async () => {
    await chromium?.close();
    await book?.stop();
});

/// A page as it is when it is opened for the first time; the one before is not kept, not even if only the step differs.
async function open(address) {
    await page.goto('about:blank');
    await page.goto(`${book.address}/${address}`);
}

/// All that a replay shows of itself.
function state(figure) {
    const all = (selector) => [...figure.querySelectorAll(selector)];
    const tense = (element) => ['past', 'now', 'future'].filter((each) => element.classList.contains(each)).join(' ');
    const box = (element) => element.getBoundingClientRect();
    const now = figure.querySelector('.step.now');
    const lit = figure.querySelector('.line.lit');
    const inside = (inner, outer) =>
        box(inner).top >= box(outer).top - 1 && Math.min(box(inner).bottom, box(inner).top + 20) <= box(outer).bottom + 1;
    return {
        playing: figure.classList.contains('playing'),
        steps: all('.step').map((each) => [Number(each.dataset.step), tense(each)]),
        calls: all('.call').map((each) => [Number(each.dataset.from), Number(each.dataset.to), tense(each)]),
        words: all('.words li').map((each) => [Number(each.dataset.step), tense(each), each.getAttribute('aria-current')]),
        printed: all('.screen [data-step]').map((each) => [
            Number(each.dataset.step),
            each.checkVisibility({ visibilityProperty: true, opacityProperty: true }),
        ]),
        lit: all('.line.lit').map((each) => `${each.closest('.source').dataset.file}:${each.dataset.line}`),
        lit_is_open: lit ? lit.closest('.source').open : true,
        lit_is_in_its_box: lit ? inside(lit, lit.closest('pre')) : true,
        step_is_in_its_box: now ? inside(now, now.closest('.drawing')) : true,
        said: figure.querySelector('.now .sentence').textContent,
        counted: figure.querySelector('.now .counter').textContent,
        page: [scrollX, scrollY],
        hash: location.hash,
    };
}

/// What the page says of each step, whether a script runs or not.
function story(figure) {
    return [...figure.querySelectorAll('.words li')].map((each) => ({
        step: Number(each.dataset.step),
        lane: each.dataset.lane,
        source: each.dataset.source,
        text: each.textContent.trim(),
    }));
}

const tense = (step, from, to = from) => (step < from ? 'future' : step <= to ? 'now' : 'past');

/// Goes through all steps of a replay by its button, and compares what is seen with what is written.
async function step_through(figure) {
    const id = await figure.getAttribute('id');
    const steps = await figure.evaluate(story);
    assert.ok(steps.length > 0);
    await figure.locator('button.next').scrollIntoViewIfNeeded();
    const before = await figure.evaluate(state);
    for (const { step, source, text } of steps) {
        await figure.locator('button.next').click();
        const now = await figure.evaluate(state);
        assert.ok(now.playing);
        assert.equal(now.counted, `Step ${step} of ${steps.length}`);
        assert.equal(now.said, text);
        assert.equal(now.hash, `#${id}-${step}`);
        assert.deepEqual(
            now.steps.map(([number]) => number),
            steps.map(({ step }) => step),
            'each sentence has its step in the picture',
        );
        for (const [number, is] of now.steps) assert.equal(is, tense(step, number), `step ${number} at ${step}`);
        for (const [from, to, is] of now.calls) assert.equal(is, tense(step, from, to), `call ${from} to ${to} at ${step}`);
        for (const [number, is, current] of now.words) {
            assert.equal(is, tense(step, number));
            assert.equal(current, number === step ? 'step' : null);
        }
        for (const [number, is] of now.printed) assert.equal(is, number <= step, `what step ${number} prints, at ${step}`);
        assert.deepEqual(now.lit, source ? [source] : [], `the line of step ${step}`);
        assert.ok(now.lit_is_open && now.lit_is_in_its_box, `the line of step ${step} is in sight`);
        assert.ok(now.step_is_in_its_box, `step ${step} is in sight`);
    }
    await figure.locator('button.all').click();
    const rested = await figure.evaluate(state);
    assert.deepEqual({ ...rested, page: null }, { ...before, page: null, hash: '' }, 'at rest it is as it was');
}

test('at each step the picture, the line, the terminals and the sentence are those of the step', async () => {
    await open('fixture.html');
    await step_through(page.locator('#fixture'));
});

for (const name of chapters) {
    test(`so they are in every replay of ${name}`, async (context) => {
        await open(name);
        const figures = await page.locator('figure.replay').all();
        context.diagnostic(`${figures.length} replays`);
        for (const figure of figures) {
            await figure.evaluate((figure) => {
                for (let each = figure; each; each = each.parentElement) if (each.tagName === 'DETAILS') each.open = true;
            });
            await step_through(figure);
            const lanes = await figure.evaluate((figure) =>
                [...figure.querySelectorAll('.call')].map((call) => [
                    call.dataset.lane,
                    figure.querySelector(`.words li[data-step="${call.dataset.from}"]`).dataset.lane,
                ]),
            );
            for (const [drawn, written] of lanes) assert.equal(drawn, written, 'a call is in the lane that its sentence names');
        }
    });
}

test('nothing moves until it is asked to', async () => {
    await open('fixture.html');
    await page.waitForTimeout(1500);
    const now = await page.locator('#fixture').evaluate(state);
    assert.ok(!now.playing);
    assert.ok(now.steps.every(([, is]) => is === ''));
    assert.ok(now.printed.every(([, is_seen]) => is_seen));
    assert.deepEqual(now.page, [0, 0]);
    assert.equal(now.counted, '10 steps');
});

test('stepping scrolls the boxes, and never the page', async () => {
    await open('fixture.html');
    const figure = page.locator('#fixture');
    await figure.locator('button.first').focus();
    const { page: before } = await figure.evaluate(state);
    for (let count = 0; count < 10; count += 1) {
        await page.keyboard.press('ArrowRight');
        const now = await figure.evaluate(state);
        assert.deepEqual(now.page, before);
        assert.ok(now.step_is_in_its_box && now.lit_is_in_its_box, now.counted);
    }
});

test('the keyboard does all, in the replay', async () => {
    await open('fixture.html');
    const figure = page.locator('#fixture');
    await figure.locator('.drawing').focus();
    const counted = async (key) => {
        await page.keyboard.press(key);
        return (await figure.evaluate(state)).counted;
    };
    assert.equal(await counted('ArrowRight'), 'Step 1 of 10');
    assert.equal(await counted('ArrowRight'), 'Step 2 of 10');
    assert.equal(await counted('ArrowLeft'), 'Step 1 of 10');
    assert.equal(await counted('ArrowLeft'), 'Step 1 of 10');
    assert.equal(await counted('End'), 'Step 10 of 10');
    assert.equal(await counted('ArrowRight'), 'Step 10 of 10');
    assert.equal(await counted('Home'), 'Step 1 of 10');
    assert.equal(await counted('Escape'), '10 steps');
    assert.equal(await counted('Space'), 'Step 1 of 10');
    await page.waitForFunction(() => document.querySelector('#fixture .counter').textContent === 'Step 2 of 10');
    assert.equal(await counted('Space'), 'Step 2 of 10');
    assert.equal(new URL(page.url()).pathname, '/fixture.html');

    // By Tab from the page's beginning.
    await open('fixture.html');
    const reached = [];
    for (let count = 0; count < 80; count += 1) {
        await page.keyboard.press('Tab');
        const [name, is_outlined] = await page.evaluate(() => {
            const { outlineStyle, boxShadow } = getComputedStyle(document.activeElement);
            const { id, className } = document.activeElement;
            return [id || className, outlineStyle !== 'none' || boxShadow !== 'none'];
        });
        reached.push(name);
        if (name === 'next') {
            assert.ok(is_outlined, 'one sees where one is');
            await page.keyboard.press('Enter');
            assert.equal((await figure.evaluate(state)).counted, 'Step 1 of 10');
        }
        if (name === 'drawing') break;
    }
    for (const name of ['mdbook-sidebar-toggle', 'mdbook-theme-toggle', 'first', 'previous', 'play', 'next', 'last', 'all', 'drawing']) {
        assert.ok(reached.includes(name), `${name} among ${reached}`);
    }
});

test('outside the replay the keys are what they were', async () => {
    await open('fixture.html');
    const figure = page.locator('#fixture');
    await page.locator('#typing').focus();
    for (const key of ['a', 'Space', 'b', 'ArrowLeft', 'Home', 'End']) await page.keyboard.press(key);
    assert.equal(await page.locator('#typing').inputValue(), 'a b');
    assert.ok(!(await figure.evaluate(state)).playing);
    // With a modifier they are the browser's, in the replay too.
    await figure.locator('.drawing').focus();
    await page.keyboard.press('Control+End');
    await page.keyboard.press('Shift+ArrowRight');
    assert.ok(!(await figure.evaluate(state)).playing);
    await page.evaluate(() => document.activeElement.blur());
    await Promise.all([page.waitForURL(/async-echo\.html/), page.keyboard.press('ArrowRight')]);
});

test('the sidebar opens and closes by the keyboard', async () => {
    await open('fixture.html');
    const toggle = page.locator('#mdbook-sidebar-toggle');
    const is_open = () => page.evaluate(() => document.documentElement.classList.contains('sidebar-visible'));
    for (const [key, expected] of [['Enter', false], ['Space', true]]) {
        await toggle.focus();
        await page.keyboard.press(key);
        assert.equal(await is_open(), expected);
        await page.waitForFunction(
            (expected) => document.getElementById('mdbook-sidebar-toggle').getAttribute('aria-expanded') === String(expected),
            expected,
        );
    }
    await page.waitForFunction(() => document.getElementById('mdbook-sidebar').getBoundingClientRect().right > 100);
});

const is_in_sight = (id) =>
    page.evaluate((id) => {
        const { top, bottom } = document.getElementById(id).getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight;
    }, id);

test('a link leads to a step, into a fold too', async () => {
    await open('fixture.html#folded-3');
    const folded = page.locator('#folded');
    assert.equal((await folded.evaluate(state)).counted, 'Step 3 of 10');
    assert.ok(await page.locator('#fold').evaluate((fold) => fold.open));
    assert.ok(await is_in_sight('folded-3'));
    assert.ok(!(await page.locator('#fixture').evaluate(state)).playing);

    // The same link again, after a step, after leaving, and when it is the address already.
    for (const prepare of [
        () => folded.locator('button.next').click(),
        () => folded.locator('button.all').click(),
        () => page.evaluate(() => scrollTo(0, 0)),
    ]) {
        await prepare();
        await page.locator('#to-3').click();
        await page.waitForFunction(() => document.querySelector('#folded .counter').textContent === 'Step 3 of 10');
        assert.ok(await is_in_sight('folded-3'));
    }
    await page.locator('#to-5').click();
    await page.waitForFunction(() => document.querySelector('#fixture .counter').textContent === 'Step 5 of 10');
    assert.ok(await is_in_sight('fixture-5'));

    // What is no step is no matter.
    for (const hash of ['#fixture-11', '#fixture-0', '#fixture-05', '#fixture', '#-1', '#%', '#__proto__-1', '#"]-1']) {
        await open(`fixture.html${hash}`);
        assert.ok(!(await page.locator('#fixture').evaluate(state)).playing, hash);
    }
});

test('steps can be linked, and are not in the way of the back button', async () => {
    await open('index.html');
    await page.goto(`${book.address}/fixture.html`);
    const entries = await page.evaluate(() => history.length);
    for (let count = 0; count < 5; count += 1) await page.locator('#fixture button.next').click();
    assert.equal(new URL(page.url()).hash, '#fixture-5');
    assert.equal(await page.evaluate(() => history.length), entries);
    await page.goBack();
    assert.equal(new URL(page.url()).pathname, '/index.html');
});

test('it plays to the end, one at a time, and stops when it is told to', async () => {
    await page.clock.install();
    await open('fixture.html#folded-1');
    const fixture = page.locator('#fixture');
    const folded = page.locator('#folded');
    const at = async (figure) => (await figure.evaluate(state)).counted;
    const is_playing = async (figure) => (await figure.locator('button.play').textContent()) === 'Pause';

    await fixture.locator('button.play').click();
    assert.equal(await at(fixture), 'Step 1 of 10');
    await page.clock.runFor(2400);
    assert.equal(await at(fixture), 'Step 3 of 10');
    assert.equal(await fixture.locator('p.now').getAttribute('aria-live'), 'off');

    // Another one.
    await folded.locator('button.play').click();
    assert.ok(!(await is_playing(fixture)) && (await is_playing(folded)));
    await page.clock.runFor(1200);
    assert.equal(await at(fixture), 'Step 3 of 10');
    assert.equal(await at(folded), 'Step 3 of 10');

    // A button pauses, and a page that is not looked at.
    await folded.locator('button.previous').click();
    assert.ok(!(await is_playing(folded)));
    await fixture.locator('button.play').click();
    await page.evaluate(() => {
        Object.defineProperty(document, 'hidden', { value: true, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    });
    assert.ok(!(await is_playing(fixture)));
    assert.equal(await fixture.locator('p.now').getAttribute('aria-live'), 'polite');

    // To the end, and from the beginning again.
    await fixture.locator('button.play').click();
    await page.clock.runFor(60_000);
    assert.equal(await at(fixture), 'Step 10 of 10');
    assert.ok(!(await is_playing(fixture)));
    await fixture.locator('button.play').click();
    assert.equal(await at(fixture), 'Step 1 of 10');
    await fixture.locator('button.all').click();
    assert.ok(!(await is_playing(fixture)));
    await page.clock.resume();
});

test('hostile text stays text', async () => {
    await open('fixture.html');
    const figure = page.locator('#fixture');
    await figure.locator('button.last').click();
    for (let count = 0; count < 9; count += 1) {
        await figure.locator('button.previous').click();
        assert.equal(await figure.locator('script, img, [onload], [onerror]').count(), 0);
    }
    await page.goto(`${book.address}/fixture.html#fixture-9`);
    const now = await figure.evaluate(state);
    assert.ok(now.said.includes(HOSTILE));
    assert.ok((await figure.locator('.screen .stderr').textContent()).includes(HOSTILE));
    assert.ok((await figure.locator('.line.lit').textContent()).includes(HOSTILE));
    assert.equal(await page.evaluate(() => window.harm), undefined);
});

test('nothing went wrong in these pages, and nothing left its origin', () => {
    assert.deepEqual(trouble, []);
});
