// A replay's steps: those of our own page, whose text is hostile, and all that the book has.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browser } from './book.mjs';
import { HOSTILE } from './fixture.mjs';
import { chapters, plain, publish, recordings, watch } from './site.mjs';

let book;
let chromium;
let page;
let trouble;

before(async () => {
    book = await publish();
    chromium = await browser();
    page = await chromium.newPage({ viewport: { width: 1280, height: 860 }, reducedMotion: 'reduce' });
    trouble = watch(page, book.address);
    await page.addInitScript(`window.state_of = ${state}`);
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
        text: each.firstElementChild.textContent,
    }));
}

const tense = (step, from, to = from) => (step < from ? 'future' : step <= to ? 'now' : 'past');

/// A replay that has more steps is not gone through step by step, but looked at where it begins, in its middle and where it ends.
const LONG = 24;

/// Goes through the steps of a replay by its buttons, and compares what is seen with what is written.
async function step_through(figure) {
    const id = await figure.getAttribute('id');
    const steps = await figure.evaluate(story);
    assert.ok(steps.length > 0);
    // Nothing is in the button's way.
    await figure.locator('button.next').click();
    await figure.locator('button.all').click();
    const { before, seen, rested } = await figure.evaluate(async (figure, long) => {
        const seen = [];
        const before = window.state_of(figure);
        const count = before.steps.length;
        const press = (name) => figure.querySelector(`button.${name}`).click();
        const look = () => seen.push(window.state_of(figure));
        const walk = (name, times) => {
            for (let time = 0; time < times; time += 1) {
                press(name);
                look();
            }
        };
        if (count <= long) walk('next', count);
        else {
            walk('next', 8);
            // A link leads to the middle, and scrolls the page.
            const followed = new Promise((resolve) => addEventListener('hashchange', resolve, { once: true }));
            location.hash = `${figure.id}-${Math.round(count / 2)}`;
            await followed;
            look();
            walk('next', 5);
            walk('last', 1);
            walk('previous', 3);
        }
        press('all');
        return { before, seen, rested: window.state_of(figure) };
    }, LONG);
    const count = steps.length;
    const middle = Math.round(count / 2);
    const long = [1, 2, 3, 4, 5, 6, 7, 8, middle, 1 + middle, 2 + middle, 3 + middle, 4 + middle, 5 + middle, count, count - 1, count - 2, count - 3];
    const visited = seen.map(({ hash }) => Number(hash.split('-').at(-1)));
    assert.deepEqual(visited, count <= LONG ? steps.map(({ step }) => step) : long);
    const pages = [];
    for (const [index, now] of seen.entries()) {
        const step = visited[index];
        const { source, text } = steps[step - 1];
        if (!pages.some((page) => String(page) === String(now.page))) pages.push(now.page);
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
    assert.ok(pages.length <= 2, 'the picture comes into sight, and stays');
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
            await unfold(figure);
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

/// Opens what a replay is folded in.
function unfold(figure) {
    return figure.evaluate((figure) => {
        for (let each = figure; each; each = each.parentElement) if (each.tagName === 'DETAILS') each.open = true;
    });
}

test('the replays of the echo page are what has been recorded', async () => {
    await open('echo.html');
    const recorded = recordings('echo');
    const figures = await page.locator('figure.replay').all();
    assert.deepEqual((await Promise.all(figures.map((figure) => figure.getAttribute('id')))).sort(), [...recorded.keys()].sort());
    for (const figure of figures) {
        const id = await figure.getAttribute('id');
        const { programs, lanes, calls, packets } = recorded.get(id);
        const drawn = await figure.evaluate((figure) => {
            const all = (selector) => [...figure.querySelectorAll(selector)];
            return {
                lanes: all('.lanes span').map((each) => each.textContent),
                calls: all('.call').map(({ dataset }) => {
                    const { textContent, dataset: its } = figure.querySelector(`.words li[data-step="${dataset.from}"]`);
                    return { lane: Number(dataset.lane), source: its.source, begun: textContent };
                }),
                returns: all('.call:not(.open)').map(({ dataset }) => {
                    return figure.querySelector(`.words li[data-step="${dataset.to}"]`).textContent;
                }),
                failed: all('.call.failed').length,
                packets: all('.step.packet').map((each) => {
                    const said = figure.querySelector(`.words li[data-step="${each.dataset.step}"]`);
                    return { lane: Number(said.dataset.lane), said: said.textContent };
                }),
                screens: all('.screen').map((screen) => ({
                    command: screen.querySelector('.command').textContent,
                    output: screen.querySelector('.output')?.textContent ?? '',
                    exit: screen.querySelector('.exit')?.textContent ?? '',
                })),
            };
        });
        assert.equal(drawn.lanes.length, lanes.length, id);
        assert.equal(drawn.calls.length, calls.length, `${id}: calls`);
        for (const [index, call] of [...calls].sort((one, other) => one.start - other.start).entries()) {
            const { lane, source, begun } = drawn.calls[index];
            assert.equal(lane, call.lane, `${id}: ${begun}`);
            assert.equal(source, call.source && `${call.source.file}:${call.source.line}`, `${id}: ${begun}`);
            assert.ok(begun.includes(plain(call.text)), `${id}: ${begun} is ${call.text}`);
        }
        const ended = calls.filter(({ end }) => end !== undefined);
        assert.equal(drawn.returns.length, ended.length, `${id}: calls that return`);
        for (const { text, result } of ended) {
            assert.ok(drawn.returns.some((said) => said.includes(plain(text)) && said.includes(plain(result))), `${id}: ${text} = ${result}`);
        }
        assert.equal(drawn.failed, calls.filter(({ failed }) => failed).length, `${id}: calls that fail`);
        assert.equal(drawn.packets.length, packets.length, `${id}: packets`);
        for (const [index, packet] of [...packets].sort((one, other) => one.time - other.time).entries()) {
            const { lane, said } = drawn.packets[index];
            assert.equal(lane, packet.from.lane, `${id}: ${said}`);
            for (const text of [packet.flags, packet.from.address, packet.to.address, packet.data, packet.from.state, packet.to.state]) {
                assert.ok(said.includes(plain(text ?? '')), `${id}: ${said} has ${text}`);
            }
            if (packet.length > 0) assert.match(said, new RegExp(`, ${packet.length} bytes?\\b`), id);
        }
        assert.equal(drawn.screens.length, programs.length, id);
        for (const [program, { command, output, exit }] of drawn.screens.entries()) {
            assert.equal(command, programs[program].command, id);
            const printed = calls
                .filter((call) => call.output && lanes[call.lane].program === program)
                .sort((one, other) => (one.end ?? one.start) - (other.end ?? other.start));
            assert.equal(output, printed.map((call) => call.output.text).join(''), `${id}: what ${command} prints`);
            const code = programs[program].exit_code;
            if (code) assert.equal(exit, `exit code ${code}`, id);
        }
    }
});

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

test('the first step brings the picture into sight, below the controls, and it stays there', async () => {
    for (const [width, height] of [
        [390, 844],
        [1280, 860],
    ]) {
        await page.setViewportSize({ width, height });
        for (const start of ['button.first', '.drawing', 'link']) {
            await open(start === 'link' ? 'fixture.html#fixture-1' : 'fixture.html');
            const figure = page.locator('#fixture');
            if (start !== 'link') await figure.locator(start).focus();
            let before = null;
            for (let count = 0; count < 9; count += 1) {
                await page.keyboard.press('ArrowRight');
                const now = await figure.evaluate(state);
                before ??= now.page;
                assert.deepEqual(now.page, before, `${width} px, from ${start}, ${now.counted}`);
                assert.ok(now.step_is_in_its_box && now.lit_is_in_its_box, now.counted);
                const [controls, drawing] = await figure.evaluate((figure) =>
                    ['.controls', '.drawing'].map((name) => figure.querySelector(name).getBoundingClientRect().toJSON()),
                );
                assert.ok(drawing.top >= controls.bottom - 1, `${width} px, from ${start}: the controls cover the picture`);
                assert.ok(drawing.bottom <= height + 1, `${width} px, from ${start}: the picture is below the window`);
            }
        }
    }
    await page.setViewportSize({ width: 1280, height: 860 });
});

test('after a link the arrow keys are those of the replay, and on the words above it too', async () => {
    await open('fixture.html#folded-3');
    await page.keyboard.press('ArrowRight');
    assert.equal((await page.locator('#folded').evaluate(state)).counted, 'Step 4 of 10');
    const fold = page.locator('.replayed').first();
    await open(`${chapters.find((name) => name.startsWith('tcp'))}`);
    await fold.locator(':scope > summary').focus();
    await page.keyboard.press('ArrowRight');
    assert.match((await fold.locator('figure').evaluate(state)).counted, /^Step 1 of/);
});

test('while it is stepped through, its buttons stay in sight and within reach, wide and narrow', async () => {
    for (const [width, height] of [
        [390, 844],
        [1280, 860],
    ]) {
        await page.setViewportSize({ width, height });
        await open('fixture.html');
        const figure = page.locator('#fixture');
        await figure.locator('button.next').click();
        // Down, and up again, where mdBook's menu comes back.
        for (const part of [0.6, 0.4, 0.5, 0.3]) {
            await page.mouse.move(width / 2, height / 2);
            await figure.evaluate((figure, part) => {
                const { top, height } = figure.getBoundingClientRect();
                scrollBy({ top: top + part * height, behavior: 'instant' });
            }, part);
            // mdBook's menu comes and goes after the scrolling.
            await page.waitForFunction(() => {
                const button = document.querySelector('#fixture button.next');
                const { left, top, width, height } = button.getBoundingClientRect();
                return button.contains(document.elementFromPoint(left + width / 2, top + height / 2));
            });
        }
    }
    await page.setViewportSize({ width: 1280, height: 860 });
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
