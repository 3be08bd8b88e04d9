// Runs the scenes of a page, where the book is served with a workbench. What comes back stands where the printed output was, as text,
// until the reader wants that again.

(() => {
    'use strict';

    const RUN = '/__workbench/run';

    class Bench {
        constructor(bench) {
            this.bench = bench;
            this.printed = bench.nextElementSibling;
            this.running = null;
            this.live = null;
            this.form = document.createElement('form');
            for (const input of [...bench.querySelectorAll('input')]) this.form.append(this.field(input));
            this.run = this.button('Run', 'submit');
            this.stop = this.button('Stop', 'button', () => this.running?.abort());
            this.back = this.button('As printed', 'button', () => this.show(null));
            this.status = document.createElement('span');
            this.status.setAttribute('role', 'status');
            this.form.append(this.run, this.stop, this.back, this.status);
            this.form.addEventListener('submit', (event) => {
                event.preventDefault();
                if (!this.running) this.start();
            });
            bench.replaceChildren(this.form);
            bench.hidden = false;
            this.update('');
        }

        field(input) {
            const label = document.createElement('label');
            const field = document.createElement('input');
            const { kind } = input.dataset;
            field.name = input.name;
            field.value = field.defaultValue = input.value;
            field.required = true;
            if (kind === 'number') Object.assign(field, { type: 'number', min: '1', max: '1000' });
            else field.maxLength = 200;
            label.append(`${input.name} `, field);
            return label;
        }

        button(word, type, act) {
            const button = document.createElement('button');
            button.type = type;
            button.textContent = word;
            if (act) button.addEventListener('click', act);
            return button;
        }

        update(status) {
            const set_disabled = (button, is) => button.setAttribute('aria-disabled', is);
            set_disabled(this.run, this.running !== null);
            set_disabled(this.stop, this.running === null);
            set_disabled(this.back, this.live === null);
            this.status.textContent = status;
        }

        /// What was printed when the page was made, or what a run prints.
        show(live) {
            this.live?.remove();
            this.live = live;
            this.printed.hidden = live !== null;
            if (live) this.printed.before(live);
            else this.running?.abort();
            this.update('');
        }

        async start() {
            const live = document.createElement('div');
            live.className = 'scene live';
            this.show(live);
            const running = new AbortController();
            this.running = running;
            this.update('Running');
            let end = 'Stopped';
            try {
                const inputs = Object.fromEntries(new FormData(this.form));
                const response = await fetch(RUN, {
                    method: 'POST',
                    headers: { 'Content-Type': 'application/json' },
                    body: JSON.stringify({ scene: this.bench.dataset.scene, inputs }),
                    signal: running.signal,
                });
                if (!response.ok) throw new Error((await response.json()).error);
                const terminals = [];
                for await (const event of events(response.body)) end = this.tell(live, terminals, event) ?? end;
            } catch (error) {
                if (error.name !== 'AbortError') end = error.message;
            }
            this.running = null;
            this.update(end);
        }

        /// Shows what has happened; returns what the end was, if it was that.
        tell(live, terminals, { event, terminal, command, stream, text, code, listing, message }) {
            if (event === 'compile') this.update(`Compiling ${listing}`);
            if (event === 'begin') {
                this.update('Running');
                const shown = element('div', 'terminal');
                const output = element('pre', 'output');
                const samp = output.appendChild(document.createElement('samp'));
                shown.append(element('p', 'command', command), output);
                if (terminals[terminal]) terminals[terminal].shown.replaceWith(shown);
                else live.append(shown);
                terminals[terminal] = { shown, samp };
            }
            if (event === 'print') terminals[terminal].samp.append(element('span', stream, text));
            if (event === 'exit' && code !== 0) {
                terminals[terminal].shown.append(element('p', 'exit', code === null ? 'ended by a signal' : `exit code ${code}`));
            }
            if (event === 'over') return 'Over';
            return event === 'failed' ? message : null;
        }
    }

    function element(name, name_of_class, text = '') {
        const made = document.createElement(name);
        made.className = name_of_class;
        made.textContent = text;
        return made;
    }

    /// The lines of a stream, as JSON; empty ones say only that it is still there.
    async function* events(body) {
        const reader = body.pipeThrough(new TextDecoderStream()).getReader();
        let rest = '';
        for (;;) {
            const { value, done } = await reader.read();
            if (done) return;
            const lines = (rest + value).split('\n');
            rest = lines.pop();
            for (const line of lines) if (line) yield JSON.parse(line);
        }
    }

    for (const bench of document.querySelectorAll('.bench[data-scene]')) new Bench(bench);
})();
