// Steps through a replay: what `figure.replay` draws complete and at rest, this shows as it was at one moment. Nothing moves until it
// is asked to. All text is the page's own, and is set as text.

(() => {
    'use strict';

    /// How long a step is shown while the replay plays.
    const STEP_MILLISECONDS = 1200;

    /// What is left free to the right of what has been scrolled to, in pixels.
    const EDGE = 10;

    /// Half of the widest name of a lane, in pixels.
    const LANE_WIDTH = 90;

    /// The pictures on the buttons, in a square of 16.
    const ICONS = {
        first: 'M3 3h2v10H3zM13 3v10L6 8z',
        previous: 'M11 3v10L4 8z',
        play: 'M4 2v12l9-6z',
        pause: 'M4 3h3v10H4zM9 3h3v10H9z',
        next: 'M5 3v10l7-5z',
        last: 'M11 3h2v10h-2zM3 3v10l7-5z',
    };

    const wants_no_motion = matchMedia('(prefers-reduced-motion: reduce)');

    /// The replay that plays; there is one at a time.
    let playing = null;

    class Replay {
        constructor(figure) {
            this.figure = figure;
            this.drawing = figure.querySelector('.drawing');
            this.sentences = [...figure.querySelectorAll('.words li[data-step]')];
            this.steps = [...figure.querySelectorAll('.step[data-step]')];
            this.calls = [...figure.querySelectorAll('.call[data-from]')];
            this.printed = [...figure.querySelectorAll('.screen [data-step]')];
            this.sources = new Map();
            for (const source of figure.querySelectorAll('details.source')) this.sources.set(source.dataset.file, source);
            /// The last step's number: the first one is 1.
            this.count = this.sentences.length;
            /// The step that is shown; 0 if the replay is at rest, and complete.
            this.step = 0;
            this.timer = null;
            /// The source that the replay has opened, and not its reader.
            this.opened = null;
            this.add_controls();
            this.update_controls();
            const fold = figure.closest('.replayed') ?? figure;
            fold.addEventListener('keydown', (event) => this.on_key(event));
        }

        add_controls() {
            const controls = this.figure.querySelector('.controls');
            this.controls = controls;
            controls.setAttribute('role', 'group');
            controls.setAttribute('aria-label', 'Steps of the replay');
            const actions = [
                ['first', 'First step', () => this.go(1)],
                ['previous', 'Previous step', () => this.go(this.step - 1)],
                ['play', 'Play', () => (this.timer ? this.pause() : this.play())],
                ['next', 'Next step', () => this.go(this.step + 1)],
                ['last', 'Last step', () => this.go(this.count)],
                ['all', 'Show all', () => this.rest()],
            ];
            this.buttons = {};
            for (const [name, label, act] of actions) {
                const button = element('button', name);
                button.type = 'button';
                if (ICONS[name]) button.append(icon(ICONS[name]));
                if (name === 'play' || name === 'all') button.append(element('span', 'word', label));
                else {
                    button.title = label;
                    button.setAttribute('aria-label', label);
                }
                button.addEventListener('click', () => {
                    if (button.getAttribute('aria-disabled') !== 'true') act();
                });
                this.buttons[name] = button;
                controls.append(button);
            }
            this.now = element('p', 'now');
            this.now.setAttribute('aria-atomic', 'true');
            this.counter = element('span', 'counter');
            this.sentence = element('span', 'sentence');
            this.now.append(this.counter, ' ', this.sentence);
            controls.append(this.now);
        }

        /// Shows the step with this number, because the reader asked for it.
        go(step) {
            this.pause();
            this.show(step);
            this.settle();
        }

        /// Brings the picture below the controls, unless all of it is in sight there.
        settle() {
            const { top, bottom } = this.drawing.getBoundingClientRect();
            const edge = (parseFloat(getComputedStyle(this.controls).top) || 0) + this.controls.offsetHeight;
            if (top < edge - 1 || bottom > innerHeight) scrollBy({ top: top - edge, behavior: 'instant' });
        }

        show(step) {
            this.step = Math.min(Math.max(step, 1), this.count);
            this.figure.classList.add('playing');
            for (const each of [...this.steps, ...this.printed]) set_tense(each, tense(this.step, number(each, 'step')));
            for (const each of this.calls) set_tense(each, tense(this.step, number(each, 'from'), number(each, 'to')));
            for (const each of this.sentences) {
                const is = tense(this.step, number(each, 'step'));
                set_tense(each, is);
                if (is === 'now') each.setAttribute('aria-current', 'step');
                else each.removeAttribute('aria-current');
            }
            this.light(this.sentences[this.step - 1]?.dataset.source);
            for (const each of [...this.steps, ...this.printed]) {
                if (number(each, 'step') === this.step) this.scroll_to(each);
            }
            this.update_controls();
            this.set_address(`#${this.figure.id}-${this.step}`);
        }

        /// Back to the complete picture.
        rest() {
            this.pause();
            if (this.step === 0) return;
            this.step = 0;
            this.figure.classList.remove('playing');
            for (const each of [...this.steps, ...this.calls, ...this.sentences, ...this.printed]) set_tense(each, null);
            for (const each of this.sentences) each.removeAttribute('aria-current');
            this.light(null);
            this.close_source();
            this.update_controls();
            if (this.step_of(location.hash)) this.set_address('');
        }

        play() {
            if (playing) playing.pause();
            playing = this;
            this.timer = setInterval(() => {
                if (this.step < this.count) this.show(this.step + 1);
                if (this.step === this.count) this.pause();
            }, STEP_MILLISECONDS);
            this.show(this.step === this.count ? 1 : this.step + 1);
            this.settle();
            if (this.step === this.count) this.pause();
        }

        pause() {
            if (!this.timer) return;
            clearInterval(this.timer);
            this.timer = null;
            playing = null;
            this.update_controls();
        }

        update_controls() {
            const is_last = this.step === this.count;
            const disabled = { first: this.step === 1, previous: this.step <= 1, next: is_last, last: is_last, all: this.step === 0 };
            for (const name in disabled) this.buttons[name].setAttribute('aria-disabled', disabled[name]);
            const action = this.timer ? 'pause' : 'play';
            this.buttons.play.querySelector('path').setAttribute('d', ICONS[action]);
            this.buttons.play.querySelector('.word').textContent = this.timer ? 'Pause' : 'Play';
            // Nobody can listen to a sentence a second: a screen reader is left in peace.
            this.now.setAttribute('aria-live', this.timer ? 'off' : 'polite');
            this.counter.textContent = this.step === 0 ? `${this.count} steps` : `Step ${this.step} of ${this.count}`;
            this.sentence.textContent = this.sentences[this.step - 1]?.firstElementChild.textContent ?? '';
        }

        /// Lights a line, `FILE:LINE`, and no other one.
        light(source) {
            for (const line of this.figure.querySelectorAll('.line.lit')) line.classList.remove('lit');
            const colon = source?.lastIndexOf(':') ?? -1;
            const file = this.sources.get(source?.slice(0, colon));
            if (!file) return;
            if (!file.open) {
                this.close_source();
                file.open = true;
                this.opened = file;
            }
            for (const line of file.querySelectorAll('.line')) {
                if (line.dataset.line !== source.slice(colon + 1)) continue;
                line.classList.add('lit');
                this.scroll_to(line);
            }
        }

        close_source() {
            if (this.opened) this.opened.open = false;
            this.opened = null;
        }

        /// Scrolls the boxes around an element, not the page.
        scroll_to(target) {
            for (let box = target.parentElement; box && box !== this.figure; box = box.parentElement) {
                const { overflowX, overflowY } = getComputedStyle(box);
                const scrolls = (overflow) => overflow === 'auto' || overflow === 'scroll';
                const inner = target.getBoundingClientRect();
                const outer = box.getBoundingClientRect();
                // To its left, the bar of its lane; above and below, what comes before and after.
                const beside = Math.min(box.clientWidth / 8, LANE_WIDTH);
                const left = scrolls(overflowX)
                    ? away(inner.left, inner.right, outer.left + beside, outer.left + box.clientWidth - EDGE)
                    : 0;
                const margin = box.clientHeight / 4;
                const top = scrolls(overflowY)
                    ? away(inner.top, inner.bottom, outer.top + margin, outer.top + box.clientHeight - margin)
                    : 0;
                if (left || top) box.scrollBy({ left, top, behavior: wants_no_motion.matches ? 'instant' : 'smooth' });
            }
        }

        /// So that the step's address can be copied; the browser's history is left as it is.
        set_address(hash) {
            try {
                history.replaceState(history.state, '', hash || location.pathname + location.search);
            } catch {
                // Some browsers count these changes, and refuse the hundredth.
            }
        }

        /// Which step a link's `#ID-7` means; 0 if none here.
        step_of(hash) {
            const found = /^#(.+)-([1-9][0-9]*)$/.exec(decode(hash));
            return found && found[1] === this.figure.id && found[2] <= this.count ? Number(found[2]) : 0;
        }

        /// Shows the step that a link means; the arrow keys go on from there.
        follow(hash) {
            const step = this.step_of(hash);
            if (!step) return;
            for (let each = this.figure; each; each = each.parentElement?.closest('details')) {
                if (each.tagName === 'DETAILS') each.open = true;
            }
            this.go(step);
            this.drawing.focus({ preventScroll: true });
        }

        on_key(event) {
            if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.defaultPrevented) return;
            if (event.target.closest('input, select, textarea, [contenteditable]')) return;
            const has_own_space = event.target.closest('button, summary, a');
            const actions = {
                ArrowLeft: () => this.step > 0 && this.go(this.step - 1),
                ArrowRight: () => this.go(this.step + 1),
                Home: () => this.go(1),
                End: () => this.go(this.count),
                ' ': has_own_space ? null : () => (this.timer ? this.pause() : this.play()),
                Escape: this.step > 0 ? () => this.rest() : null,
            };
            const act = Object.hasOwn(actions, event.key) ? actions[event.key] : null;
            if (!act) return;
            act();
            // mdBook's own arrow keys turn to the next chapter.
            event.preventDefault();
            event.stopPropagation();
        }
    }

    function element(name, name_of_class, text = '') {
        const made = document.createElement(name);
        made.className = name_of_class;
        made.textContent = text;
        return made;
    }

    function icon(shape) {
        const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
        const attributes = { viewBox: '0 0 16 16', width: 16, height: 16, fill: 'currentColor', 'aria-hidden': true };
        for (const name in attributes) svg.setAttribute(name, attributes[name]);
        const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
        path.setAttribute('d', shape);
        svg.append(path);
        return svg;
    }

    function number(from, key) {
        return Number(from.dataset[key]);
    }

    /// Whether what lasts from one step to another is past, now or future.
    function tense(step, from, to = from) {
        if (step < from) return 'future';
        return step <= to ? 'now' : 'past';
    }

    function set_tense(target, tense) {
        for (const each of ['past', 'now', 'future']) target.classList.toggle(each, each === tense);
    }

    /// How far to scroll until `start` to `end` lies between `from` and `to`; its start, if not all of it fits.
    function away(start, end, from, to) {
        if (start < from || end - start > to - from) return start - from;
        return Math.max(end - to, 0);
    }

    function decode(hash) {
        try {
            return decodeURIComponent(hash);
        } catch {
            return '';
        }
    }

    const figures = [...document.querySelectorAll('figure.replay')];
    if (figures.length === 0) return;

    // A folded one is made when it is first unfolded.
    const replays = new Map();
    const make = (figure) => replays.get(figure) ?? replays.set(figure, new Replay(figure)).get(figure);
    for (const figure of figures) {
        const fold = figure.closest('details:not([open])');
        if (fold) fold.addEventListener('toggle', () => make(figure), { once: true });
        else make(figure);
    }

    const follow = () => {
        for (const figure of figures) {
            if (decode(location.hash).startsWith(`#${figure.id}-`)) make(figure).follow(location.hash);
        }
    };
    follow();
    addEventListener('load', follow);
    addEventListener('hashchange', follow);
    document.addEventListener('click', (event) => {
        const link = event.target.closest('a[href]');
        const is_plain = !event.defaultPrevented && !event.ctrlKey && !event.metaKey && !event.shiftKey;
        if (link && is_plain && link.href === location.href) follow();
    });
    document.addEventListener('visibilitychange', () => {
        if (document.hidden && playing) playing.pause();
    });

    // Paper shows all of it, words too.
    let closed = [];
    addEventListener('beforeprint', () => {
        for (const replay of replays.values()) replay.rest();
        closed = figures.flatMap((figure) => [
            ...(figure.closest('.replayed:not([open])') ? [figure.closest('.replayed')] : []),
            ...figure.querySelectorAll('details:not([open])'),
        ]);
        for (const each of closed) each.open = true;
    });
    addEventListener('afterprint', () => {
        for (const each of closed) each.open = false;
        closed = [];
    });
})();
