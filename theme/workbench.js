// Runs the scenes of a page and edits its listings, where the book is served with a workbench. Whatever comes back is shown as text.
// Nothing is asked for until the reader presses a button.

(() => {
    'use strict';

    const WORKBENCH = '/__workbench/';

    /// How much of a run's output comes into sight by itself, and how much is covered by mdBook's menu, in pixels.
    const OUTPUT_IN_SIGHT = 200;
    const MENU_HEIGHT = 60;

    /// A browser opens six connections to the book's server, for all its tabs, and each run and each server that is left running has one.
    /// Those that have one of these locks leave one connection for all else.
    const TURNS = ['workbench-run-0', 'workbench-run-1', 'workbench-run-2'];
    const SERVERS = ['workbench-server-0', 'workbench-server-1'];
    const WAITING = 'Waiting until other runs have ended';

    const END_OF_A_SERVER = 'It ends with Stop, when you leave this page, or when nobody has talked to it for a while.';

    /// All runs of this page that have not ended.
    const running = new Set();

    /// A reader's changes to a listing, kept by the browser: texts by file, only of those that differ from the book's.
    class Work {
        static works = new Map();

        static of(listing) {
            if (!Work.works.has(listing)) Work.works.set(listing, new Work(listing));
            return Work.works.get(listing);
        }

        constructor(listing) {
            this.listing = listing;
            this.watchers = [];
            /// Why the changes are not kept, if they are not.
            this.trouble = '';
            this.read();
        }

        read() {
            this.files = stored(`workbench:${this.listing}`);
            /// The book's own texts that the changes began with.
            this.begun = stored(`workbench-begun:${this.listing}`);
            for (const watcher of this.watchers) watcher();
        }

        set(file, text, own) {
            if (text === own) {
                delete this.files[file];
                delete this.begun[file];
            } else {
                this.files[file] = text;
                this.begun[file] ??= own;
            }
            this.write();
        }

        write() {
            try {
                for (const [key, texts] of [
                    ['workbench', this.files],
                    ['workbench-begun', this.begun],
                ]) {
                    const name = `${key}:${this.listing}`;
                    if (Object.keys(texts).length === 0) localStorage.removeItem(name);
                    else localStorage.setItem(name, JSON.stringify(texts));
                }
                this.trouble = '';
            } catch {
                this.trouble = 'This browser does not keep your changes: they are gone when you leave the page.';
            }
            for (const watcher of this.watchers) watcher();
        }

        get names() {
            return Object.keys(this.files);
        }
    }

    /// The terminals of a run, as the page's own scenes look.
    class Screen {
        constructor() {
            this.scene = element('div', 'scene live');
            this.terminals = [];
            /// Exit codes other than 0.
            this.codes = [];
        }

        tell({ event, terminal, command, stream, text, code }) {
            if (event === 'begin') this.begin(terminal, command);
            if (event === 'print') this.print(this.terminals[terminal], stream, text);
            if (event === 'exit' && code !== 0) {
                if (code !== null) this.codes.push(code);
                const words = code === null ? 'ended by a signal' : `exit code ${code}`;
                this.terminals[terminal].shown.append(element('p', 'exit', words));
            }
        }

        begin(terminal, command) {
            const shown = element('div', 'terminal');
            const output = element('pre', 'output');
            const samp = output.appendChild(document.createElement('samp'));
            shown.append(as_command(command), output);
            if (this.terminals[terminal]) this.terminals[terminal].shown.replaceWith(shown);
            else this.scene.append(shown);
            this.terminals[terminal] = { shown, output, samp };
        }

        print(terminal, stream, text) {
            // Neighbours of one stream are one block, as in a printed scene.
            if (terminal.stream !== stream) {
                terminal.stream = stream;
                terminal.block = element('span', stream);
                terminal.samp.append(terminal.block);
            }
            terminal.block.append(text);
            if (!terminal.settling) terminal.settling = requestAnimationFrame(() => this.settle(terminal));
        }

        /// Long output scrolls: its end is in sight, and the keyboard reaches it.
        settle(terminal) {
            terminal.settling = 0;
            const { output } = terminal;
            if (output.scrollHeight <= output.clientHeight) return;
            output.tabIndex = 0;
            if (terminal.seen === undefined || output.scrollTop >= terminal.seen) output.scrollTop = output.scrollHeight;
            terminal.seen = output.scrollTop;
        }

        /// What the compiler says, as a terminal shows it. Warnings are folded: the scene runs in spite of them.
        diagnose(diagnostics) {
            if (diagnostics.length === 0) return;
            const shown = element('details', 'terminal compiler');
            shown.open = diagnostics.some(({ level }) => level === 'error');
            const output = element('pre', 'output');
            output.append(element('samp', '', diagnostics.map(({ rendered, message }) => (rendered || message).trim()).join('\n\n')));
            shown.append(element('summary', '', 'What the compiler says'), output);
            this.scene.prepend(shown);
        }
    }

    /// One thing that can be run and stopped: two buttons, and in words what becomes of it.
    class Runner {
        /// `word` is on the button. `begin` is called when it is pressed and `is_allowed`, and `ask` makes the request when its turn has come. `show` gets the
        /// screen of a run when there is something on it, and null when it has ended without; and `hear` each event before the screen: it
        /// returns what the screen shall get instead. `locks`: TURNS, or SERVERS.
        constructor(word, { is_allowed = () => true, begin = () => {}, ask, show, hear = (event) => event, update = () => {}, locks = TURNS }) {
            Object.assign(this, { is_allowed, begin, ask, show, hear, update, locks });
            this.run = button(word, () => this.run.type === 'submit' || this.start());
            this.stop = button('Stop', () => this.controller?.abort());
            this.status = element('span', 'status');
            this.status.setAttribute('role', 'status');
            this.controller = null;
            this.say('');
        }

        say(words) {
            disable(this.run, this.controller !== null || this.has_nothing);
            disable(this.stop, this.controller === null);
            if (this.status.textContent !== words) this.status.textContent = words;
            this.update();
        }

        async start() {
            if (this.controller || this.has_nothing || !this.is_allowed()) return;
            const controller = new AbortController();
            this.controller = controller;
            running.add(controller);
            this.has_shown = false;
            this.begin();
            this.say('Running');
            let give_back;
            let end;
            try {
                give_back = await this.turn(controller.signal);
                end = await this.play(controller.signal);
            } catch (error) {
                end = controller.signal.aborted ? 'Stopped' : error.message;
            }
            controller.abort();
            give_back?.();
            running.delete(controller);
            this.controller = null;
            if (!this.has_shown) this.show(null);
            this.say(end);
        }

        /// Waits for one of the locks; returns what gives it back.
        async turn(signal) {
            if (!navigator.locks) return () => {};
            const free = await take_free(this.locks);
            if (free) return free;
            if (this.locks === SERVERS) throw new Error('Two servers are running already; stop one of them first.');
            this.say(WAITING);
            const next = await take_next(this.locks, signal);
            this.say('Running');
            return next;
        }

        /// Returns what the end was.
        async play(signal) {
            const screen = new Screen();
            let count = 0;
            for await (const event of events(await post('run', this.ask(), signal))) {
                if (event.event === 'waiting') this.say(WAITING);
                if (event.event === 'compile') this.say(`Compiling ${event.listing}`);
                if (event.event === 'over') return ended(screen.codes, count);
                if (event.event === 'failed') return event.message;
                const heard = this.hear(event);
                if (event.event === 'diagnostics') {
                    count += event.diagnostics.filter(({ level }) => level === 'warning').length;
                    screen.diagnose(heard.diagnostics);
                }
                if (event.event === 'begin' && event.terminal === 0) this.say('Running');
                screen.tell(event);
                if (screen.scene.childElementCount > 0 && !this.has_shown) {
                    this.has_shown = true;
                    this.show(screen.scene);
                }
            }
            return 'The connection ended before the run was over';
        }
    }

    /// What a reader may set in a scene: a labelled field for each of the author's inputs.
    class Fields {
        constructor(inputs) {
            this.labels = inputs.map((input) => {
                const label = element('label', 'field');
                const field = document.createElement('input');
                Object.assign(field, { name: input.name, defaultValue: input.value, required: true, autocomplete: 'off' });
                if (input.dataset.kind === 'number') Object.assign(field, { type: 'number', min: '1', max: '1000' });
                else Object.assign(field, { type: 'text', maxLength: 200, spellcheck: false });
                label.append(element('span', '', input.name), field);
                return label;
            });
        }

        get values() {
            return Object.fromEntries(this.labels.map(({ control }) => [control.name, control.value]));
        }
    }

    /// A scene of the page: its controls, and what it printed, or what a run prints.
    class Scene {
        constructor(bench) {
            this.bench = bench;
            this.id = bench.dataset.scene;
            this.programs = (bench.dataset.programs ?? '').split(' ').filter(Boolean);
            this.listings = [...new Set(this.programs.map((program) => program.split('/')[0]))];
            this.inputs = [...bench.querySelectorAll('input')];
            this.name = name_of_scene(bench, this.programs);
            this.printed = following(bench, '.scene') ?? bench.insertAdjacentElement('afterend', element('div', 'scene'));
            this.live = null;

            this.fields = new Fields(this.inputs);
            this.runner = new Runner('Run', {
                ask: () => this.request(this.fields, this.wants_changes.checked),
                show: (screen) => this.show(screen),
                update: () => this.update(),
            });
            this.back = button('As printed', () => this.show(null));
            this.wants_changes = document.createElement('input');
            Object.assign(this.wants_changes, { type: 'checkbox', checked: true });
            this.changes = element('span');
            this.with = element('label', 'with');
            this.with.append(this.wants_changes, this.changes);
            const { run, stop, status } = this.runner;
            run.type = 'submit';
            const server = 'server' in bench.dataset ? [this.add_server(bench.dataset.server.split('/').pop())] : [];
            this.row = row([...this.fields.labels, this.with, run, stop, this.back, ...server, status], () => this.runner.start());
            // What was said was about other words.
            this.row.addEventListener('input', () => this.runner.controller || this.runner.say(''));
            bench.replaceChildren(this.row);
            bench.setAttribute('role', 'group');
            bench.setAttribute('aria-label', this.name);
            bench.hidden = false;
            for (const listing of this.listings) Work.of(listing).watchers.push(() => this.update());
            this.update();
        }

        /// What is asked for to run it.
        request(fields, with_changes = true) {
            const works = this.listings.map((listing) => Work.of(listing)).filter(({ names }) => with_changes && names.length > 0);
            return {
                scene: this.id,
                inputs: fields.values,
                changes: Object.fromEntries(works.map(({ listing, files }) => [listing, files])),
            };
        }

        update() {
            if (!this.row) return;
            disable(this.back, this.live === null);
            if (this.live && !this.runner.controller) this.live.style.minHeight = '';
            const works = this.listings.map((listing) => Work.of(listing)).filter(({ names }) => names.length > 0);
            this.with.hidden = works.length === 0;
            const words = works.map(({ listing, names }) => `${listing}: ${names.map((name) => name.split('/').pop()).join(', ')}`);
            this.changes.textContent = `with your changes to ${words.join('; ')}`;
        }

        /// Puts a run's screen in the place of what was printed; none brings that back.
        show(screen) {
            if (!screen) this.runner.controller?.abort();
            // What is below stays where it is while a run fills its screen.
            if (screen) screen.style.minHeight = `${(this.live ?? this.printed).offsetHeight}px`;
            this.live?.remove();
            this.live = screen;
            this.printed.hidden = screen !== null;
            if (screen) this.printed.before(screen);
            this.update();
        }

        /// The first program can be left running, in a pane of its own beneath the scene; returns the button for that.
        add_server(program) {
            this.pane = element('div', 'pane');
            this.pane.setAttribute('role', 'group');
            this.pane.setAttribute('aria-label', `Your server: ${program}`);
            const places = element('div', 'places');
            let screen = null;
            const server = new Runner('Leave the server running', {
                locks: SERVERS,
                is_allowed: () => this.row.reportValidity(),
                begin: () => {
                    screen?.remove();
                    this.pane.hidden = false;
                },
                ask: () => ({ ...this.request(this.fields, this.wants_changes.checked), alone: true }),
                show: (shown) => {
                    screen = shown;
                    if (shown) this.pane.append(shown);
                },
                hear: (event) => {
                    if (event.event === 'listening') {
                        places.replaceChildren(...places_of(event));
                        server.say(`Your server listens on ${event.address}`);
                    }
                    return event;
                },
                update: () => {
                    if (!this.close) return;
                    disable(this.close, server.controller !== null);
                    if (server.controller) return;
                    // There is nobody to talk to any more.
                    if (places.contains(document.activeElement)) server.stop.focus();
                    places.replaceChildren();
                },
            });
            this.close = button('Close', () => {
                this.pane.hidden = true;
                server.run.focus();
            });
            server.stop.setAttribute('aria-label', 'Stop your server');
            this.close.setAttribute('aria-label', 'Close your server’s pane');
            this.pane.append(element('p', 'title', `Your server: ${program}`), row([server.stop, this.close, server.status]), places);
            this.pane.hidden = true;
            server.say('');
            this.printed.after(this.pane);
            return server.run;
        }
    }

    /// A listing's file on the page, and the editor that takes its place.
    class Desk {
        constructor(bench) {
            this.bench = bench;
            this.listing = bench.dataset.listing;
            this.file = bench.dataset.file;
            this.work = Work.of(this.listing);
            this.code = following(bench, 'pre');
            this.edit = button('Edit', () => this.open());
            this.status = element('span', 'status');
            this.status.setAttribute('role', 'status');
            bench.replaceChildren(row([this.edit, this.status]));
            bench.hidden = false;
            this.work.watchers.push(() => this.update());
            this.update();
        }

        update() {
            this.edit.textContent = this.file in this.work.files ? 'Edit (changed)' : 'Edit';
            this.edit.setAttribute('aria-label', `${this.edit.textContent}: ${this.file}`);
            if (!this.editor) return;
            for (const option of this.select.options) {
                option.text = option.value in this.work.files ? `${option.value} (changed)` : option.value;
            }
            // Another editor of this page, or another page, has changed it.
            for (const file in this.own) this.editor.replace(file, this.work.files[file] ?? this.own[file]);
            this.trouble.textContent = [this.work.trouble, this.what_is_old()].join(' ').trim();
            this.is_sure(false);
            this.patch.hidden = true;
            this.changes.setAttribute('aria-expanded', false);
        }

        async open() {
            if (this.loading) return;
            this.loading = true;
            this.status.textContent = 'Loading the editor';
            try {
                if (!this.editor) await this.make();
                this.status.textContent = '';
                this.panel.hidden = false;
                this.code.classList.add('edited');
                this.bench.classList.add('edited');
                this.editor.focus();
            } catch (error) {
                this.status.textContent = error.message;
            }
            this.loading = false;
        }

        async make() {
            const [{ Editor }, response] = await Promise.all([
                import(`${WORKBENCH}editor.js`).catch(() => Promise.reject(new Error(UNREACHABLE))),
                post('listing', { listing: this.listing }),
            ]);
            /// The book's own texts.
            this.own = (await response.json()).files;
            this.panel = element('div', 'desk');
            this.panel.setAttribute('role', 'group');
            this.panel.setAttribute('aria-label', `Editor of ${this.listing}`);
            const around = element('div', 'hljs editor');
            this.elsewhere = element('ul', 'elsewhere');
            this.trouble = element('p', 'trouble');
            this.trouble.setAttribute('role', 'status');
            this.first = element('p', 'first');
            this.first.setAttribute('role', 'status');
            this.patch = element('div', 'patch');
            this.patch.hidden = true;
            this.output = element('div');
            // The status again, for those who are at the editor's end.
            const below = element('p', 'below');
            const hint = element('p', 'hint', 'Tab leaves the editor. Ctrl-Enter or ⌘-Enter runs, F8 goes to what the compiler found.');
            if (Object.values(this.own).some((text) => text.includes('// ANCHOR'))) {
                hint.append(' Lines with ', element('code', '', '// ANCHOR'), ' are only for the book: they mark what its pages show.');
            }
            hint.id = `desk-hint-${document.querySelectorAll('.desk').length}`;

            this.fields = new Fields([]);
            this.form = this.controls();
            this.around = around;
            this.below = below;
            this.say_below();
            this.panel.append(this.form, this.first, this.trouble, this.patch, around, below, hint, this.elsewhere, this.output);

            const texts = { ...this.own };
            for (const file of this.work.names) if (file in texts) texts[file] = this.work.files[file];
            const editor = new Editor(around, texts, {
                changed: (file, text) => {
                    if ((this.work.files[file] ?? this.own[file]) !== text) this.work.set(file, text, this.own[file]);
                },
                applied: (diagnostic) => {
                    if (diagnostic === this.first_error) this.first.replaceChildren();
                },
                run: () => this.form.requestSubmit(),
                describedby: hint.id,
            });
            // mdBook's own keys turn pages.
            this.panel.addEventListener('keydown', (event) => {
                if (event.target.closest('.cm-editor')) event.stopPropagation();
            });
            this.code.after(this.panel);
            this.editor = editor;
            this.see(this.file in this.own ? this.file : Object.keys(this.own)[0]);
            // Some may be in the book by now.
            for (const file in this.own) this.work.set(file, texts[file], this.own[file]);
        }

        controls() {
            this.select = element('select');
            for (const file of [this.file, ...Object.keys(this.own).filter((file) => file !== this.file)]) {
                if (file in this.own) this.select.add(new Option(file, file));
            }
            this.select.addEventListener('change', () => this.see(this.select.value));
            this.scenes = element('select');
            const scenes = all_scenes.filter(({ listings }) => listings.includes(this.listing));
            for (const scene of scenes) this.scenes.add(new Option(scene.name, scene.id));
            this.scenes.value = this.first_choice(scenes)?.id;
            this.scenes.addEventListener('change', () => this.set_fields());
            this.runner = new Runner('Run', {
                begin: () => this.clear(),
                ask: () => this.request(),
                show: (screen) => screen && this.show(screen),
                hear: (event) => this.hear(event),
                update: () => this.say_below(),
            });
            this.runner.has_nothing = scenes.length === 0;
            this.runner.say(scenes.length === 0 ? 'No scene of this page runs this listing' : '');
            this.reset = button('Reset', () => this.start_over());
            this.reset.addEventListener('blur', () => this.is_sure(false));
            this.changes = button('Changes', () => this.show_patch());
            this.changes.setAttribute('aria-expanded', false);
            const close = button('Close', () => this.shut());
            const { run, stop, status } = this.runner;
            run.type = 'submit';
            this.arguments = element('span', 'arguments');
            const form = row(
                [labelled('File', this.select), labelled('Scene', this.scenes), this.arguments, run, stop, this.reset, this.changes, close, status],
                () => this.runner.start(),
            );
            this.set_fields();
            form.addEventListener('input', () => this.runner.controller || this.runner.has_nothing || this.runner.say(''));
            return form;
        }

        /// The first scene below that runs this program, or else the first one with this listing.
        first_choice(scenes) {
            const program = `${this.listing}/${this.file.split('/').pop().replace('.rs', '')}`;
            const is_below = ({ bench }) => this.bench.compareDocumentPosition(bench) & Node.DOCUMENT_POSITION_FOLLOWING;
            return scenes.find((scene) => is_below(scene) && scene.programs.includes(program)) ?? scenes[0];
        }

        get scene() {
            return all_scenes.find(({ id }) => id === this.scenes.value);
        }

        set_fields() {
            this.fields = new Fields(this.scene?.inputs ?? []);
            this.arguments.replaceChildren(...this.fields.labels);
        }

        say_below() {
            if (this.below) this.below.textContent = this.runner.status.textContent;
        }

        clear() {
            this.first.replaceChildren();
            this.elsewhere.replaceChildren();
            this.output.replaceChildren();
        }

        request() {
            this.editor.begin();
            return this.scene.request(this.fields);
        }

        /// Brings the first lines into sight, and leaves the controls where they can be seen, or the editor if there is no room for them.
        show(screen) {
            this.output.replaceChildren(screen);
            const beyond = screen.getBoundingClientRect().top + OUTPUT_IN_SIGHT - innerHeight;
            const room_below = (each) => each.getBoundingClientRect().top - MENU_HEIGHT;
            const room = room_below(this.panel);
            const top = Math.min(beyond, beyond - room < OUTPUT_IN_SIGHT / 2 ? room : room_below(this.around));
            if (top > 0) scrollBy({ top, behavior: 'instant' });
        }

        /// Takes what the compiler says about this listing's files; the rest is for the screen.
        hear(event) {
            if (event.event !== 'diagnostics' || event.listing !== this.listing) return event;
            const here = event.diagnostics.filter(({ file }) => file in this.own);
            this.editor.diagnose(here);
            for (const diagnostic of here) {
                const { file, line, level, message } = diagnostic;
                if (file === this.select.value) continue;
                const item = element('li', level, `${level}: ${message} `);
                item.append(button(`Open ${file}, line ${line}`, () => this.go_to(diagnostic)));
                this.elsewhere.append(item);
            }
            const first = here.find(({ level }) => level === 'error');
            this.first_error = first;
            if (first) {
                const go = button(`${first.file}, line ${first.line}: ${first.message} `, () => this.go_to(first));
                go.append(element('strong', '', 'Go to it'));
                this.first.replaceChildren(go);
                this.editor.show(first.file, first, MENU_HEIGHT, innerHeight);
            }
            return { ...event, diagnostics: event.diagnostics.filter(({ file }) => !(file in this.own)) };
        }

        see(file) {
            this.select.value = file;
            this.editor.open(file);
        }

        go_to(diagnostic) {
            this.see(diagnostic.file);
            this.editor.go_to(diagnostic.file, diagnostic);
        }

        is_sure(is) {
            this.reset.textContent = is ? 'Reset: sure?' : 'Reset';
        }

        start_over() {
            if (this.work.names.length === 0) {
                this.runner.say('There are no changes');
                return;
            }
            if (this.reset.textContent === 'Reset') {
                this.is_sure(true);
                this.runner.say(`Press Reset again to lose your changes to ${this.work.names.join(', ')}`);
                return;
            }
            for (const file of this.work.names) this.work.set(file, this.own[file], this.own[file]);
            this.runner.say('All files are the book’s again; undo in the editor brings yours back');
        }

        async show_patch() {
            if (!this.patch.hidden) {
                this.patch.hidden = true;
                this.changes.setAttribute('aria-expanded', false);
                return;
            }
            try {
                const { patch } = await (await post('patch', { listing: this.listing, changes: this.work.files })).json();
                URL.revokeObjectURL(this.blob);
                this.patch.replaceChildren(element('p', '', patch ? 'What you have changed:' : 'You have changed nothing.'));
                if (patch) {
                    this.blob = URL.createObjectURL(new Blob([patch], { type: 'text/x-diff' }));
                    const save = element('a', 'save', 'Save as patch');
                    Object.assign(save, { href: this.blob, download: `${this.listing}.patch` });
                    const text = element('pre', 'diff');
                    text.tabIndex = 0;
                    text.append(element('samp', '', patch));
                    const advice = element('span', 'advice', 'In your copy of the repository: ');
                    advice.append(element('code', '', `git apply ${save.download}`));
                    this.patch.append(text, save, ' ', advice);
                }
                this.patch.hidden = false;
                this.changes.setAttribute('aria-expanded', true);
            } catch (error) {
                this.runner.say(error.message);
            }
        }

        shut() {
            this.runner.controller?.abort();
            this.panel.hidden = true;
            this.code.classList.remove('edited');
            this.bench.classList.remove('edited');
            this.edit.focus();
        }

        what_is_old() {
            const old = this.work.names.filter((file) => this.work.begun[file] !== this.own[file]);
            if (old.length === 0) return '';
            return `The book’s ${old.join(', ')} has changed since you changed yours, which is kept. Changes shows how they differ.`;
        }
    }

    function element(name, name_of_class = '', text = '') {
        const made = document.createElement(name);
        if (name_of_class) made.className = name_of_class;
        made.textContent = text;
        return made;
    }

    /// A button that can be disabled and yet keep the focus.
    function button(word, act) {
        const made = element('button', '', word);
        made.type = 'button';
        made.addEventListener('click', () => {
            if (made.getAttribute('aria-disabled') !== 'true') act();
        });
        return made;
    }

    function disable(button, is) {
        button.setAttribute('aria-disabled', Boolean(is));
    }

    /// Controls in a row. What a field does not allow, the browser says when the row is submitted.
    function row(controls, submit = () => {}) {
        const form = element('form', 'row');
        form.append(...controls);
        form.addEventListener('submit', (event) => {
            event.preventDefault();
            submit();
        });
        return form;
    }

    function labelled(word, control) {
        const label = element('label', 'field');
        label.append(element('span', '', word), control);
        return label;
    }

    /// Words, what they are about, and a button that copies that.
    function place(words, name, value) {
        const line = element('p', 'place', `${words} `);
        const copy = button('Copy', async () => {
            try {
                await navigator.clipboard.writeText(value);
                copy.textContent = 'Copied';
            } catch {
                getSelection().selectAllChildren(line.querySelector('code'));
            }
        });
        copy.setAttribute('aria-label', `Copy the ${name}`);
        line.append(element('code', '', value), ' ', copy);
        return line;
    }

    /// Where a server is that has been left running, and how to talk to it.
    function places_of({ address, folder, talk, moved_from }) {
        const shown = [];
        if (moved_from) {
            const words = `${moved_from} is taken, by another program or another server of yours; yours listens on ${address}.`;
            shown.push(element('p', 'moved', words));
        }
        if (talk) shown.push(place('Talk to it from another terminal:', 'command', talk));
        shown.push(place(talk ? 'Address:' : 'Talk to it from another terminal. Address:', 'address', address));
        const end = element('p', '', END_OF_A_SERVER);
        if (folder) end.append(' Its files are in ', element('code', '', folder), '.');
        return [...shown, end];
    }

    /// A command as the page shows those of its scenes, with mdBook's button that copies it.
    function as_command(command) {
        const pre = element('pre');
        const code = element('code', 'language-text hljs');
        for (const word of command.split(' ')) {
            if (code.hasChildNodes()) code.append(' ');
            code.append(word.includes('-') ? element('span', 'word', word) : word);
        }
        const buttons = document.querySelector('.terminal > pre > .buttons')?.cloneNode(true);
        buttons?.firstElementChild?.addEventListener('mouseout', ({ currentTarget }) => {
            // As mdBook's script does with those that were there when the page was loaded.
            currentTarget.className = 'clip-button';
            currentTarget.firstChild.textContent = '';
        });
        if (buttons) pre.append(buttons);
        pre.append(code);
        return pre;
    }

    /// The next sibling that matches.
    function following(bench, wanted) {
        let next = bench.nextElementSibling;
        while (next && !next.matches(`${wanted}, .bench`)) next = next.nextElementSibling;
        return next?.matches(wanted) ? next : null;
    }

    function ended(codes, warnings) {
        const exits = codes.length > 0 ? `, with exit code ${codes.join(', ')}` : '';
        const words = warnings === 1 ? '; the compiler has a warning' : `; the compiler has ${warnings} warnings`;
        return `Over${exits}${warnings > 0 ? words : ''}`;
    }

    function stored(key) {
        try {
            const texts = JSON.parse(localStorage.getItem(key) ?? '{}');
            return Object.fromEntries(Object.entries(texts ?? {}).filter(([, text]) => typeof text === 'string'));
        } catch {
            return {};
        }
    }

    const UNREACHABLE = 'The book’s server does not answer: is `cargo book serve` still there?';

    /// Asks the workbench. What it refuses is an error, in its words.
    async function post(what, body, signal) {
        const headers = { 'Content-Type': 'application/json' };
        const request = { method: 'POST', headers, body: JSON.stringify(body), signal };
        const response = await fetch(WORKBENCH + what, request).catch((error) => {
            throw error.name === 'AbortError' ? error : new Error(UNREACHABLE);
        });
        if (response.ok) return response;
        const text = await response.text();
        let refusal;
        try {
            refusal = JSON.parse(text).error;
        } catch {
            refusal = text.trim() || `status ${response.status}`;
        }
        throw new Error(`Refused: ${refusal}`);
    }

    /// Holds a lock of all this browser's pages of the book; returns what gives it back, or null if it is not available and should be.
    function hold(name, options) {
        return new Promise((resolve, reject) => {
            const held = navigator.locks.request(name, options, (lock) => lock && new Promise((give_back) => resolve(give_back)));
            // That is after `resolve`, or there was no lock.
            held.then(() => resolve(null), reject);
        });
    }

    /// Takes the first one that is free, or returns null.
    async function take_free(names) {
        for (const name of names) {
            const give_back = await hold(name, { ifAvailable: true });
            if (give_back) return give_back;
        }
        return null;
    }

    /// Waits for all of them, and takes the first one that comes.
    async function take_next(names, signal) {
        const stop = new AbortController();
        signal.addEventListener('abort', () => stop.abort());
        if (signal.aborted) stop.abort();
        const requests = names.map((name) => hold(name, { signal: stop.signal }));
        const first = await Promise.any(requests);
        stop.abort();
        for (const request of requests) {
            request.then(
                (give_back) => give_back !== first && give_back(),
                () => {},
            );
        }
        return first;
    }

    /// Server-sent events, each one's data as JSON. (`EventSource` can only GET.)
    async function* events(response) {
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        let rest = '';
        for (;;) {
            const { value, done } = await reader.read();
            if (done) return;
            const blocks = (rest + value).split('\n\n');
            rest = blocks.pop();
            for (const block of blocks) {
                const lines = block.split('\n').filter((line) => line.startsWith('data:'));
                if (lines.length > 0) yield JSON.parse(lines.map((line) => line.slice(5)).join('\n'));
            }
        }
    }

    /// Names that scenes of this page have.
    const names = new Set();

    /// The heading above it, and its programs; with a number, if that is not enough.
    function name_of_scene(bench, programs) {
        const is_above = (heading) => heading.compareDocumentPosition(bench) & Node.DOCUMENT_POSITION_FOLLOWING;
        const heading = [...document.querySelectorAll('main :is(h1, h2, h3, h4, h5, h6)')].findLast(is_above);
        const words = programs.map((program) => program.split('/').pop()).join(', ');
        const name = [heading?.textContent.trim(), words].filter(Boolean).join(': ');
        let number = 1;
        const numbered = () => (number === 1 ? name : `${name} (${number})`);
        while (names.has(numbered())) number += 1;
        names.add(numbered());
        return numbered();
    }

    const benches = (kind) => [...document.querySelectorAll(`.bench[data-${kind}]`)];
    const all_scenes = benches('scene').map((bench) => new Scene(bench));
    for (const bench of benches('listing')) if (following(bench, 'pre')) new Desk(bench);

    // Whoever leaves the page has no more use for what it runs, even if it comes back from the browser's cache.
    addEventListener('pagehide', () => {
        for (const controller of running) controller.abort();
    });
    addEventListener('storage', ({ key }) => {
        if (!key || key.startsWith('workbench')) for (const work of Work.works.values()) work.read();
    });
})();
