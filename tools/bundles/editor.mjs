// The editor beside a listing: CodeMirror, put together for Rust, in the page's own colours, with what the compiler says at its line.
// `theme/workbench.js` loads the bundle of it when a reader wants to edit, and never before.

import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { rustLanguage } from '@codemirror/lang-rust';
import { LanguageSupport, bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { ChangeSet, EditorState, StateEffect, StateField } from '@codemirror/state';
import {
    Decoration,
    EditorView,
    GutterMarker,
    WidgetType,
    gutter,
    highlightActiveLineGutter,
    highlightSpecialChars,
    keymap,
    lineNumbers,
} from '@codemirror/view';
import { tagHighlighter, tags } from '@lezer/highlight';

/// mdBook's classes, so that the text looks as it does in a code block, in each theme.
const highlighter = tagHighlighter([
    { tag: tags.comment, class: 'hljs-comment' },
    { tag: [tags.keyword, tags.controlKeyword, tags.operatorKeyword, tags.definitionKeyword, tags.modifier, tags.self], class: 'hljs-keyword' },
    { tag: [tags.string, tags.character, tags.special(tags.string)], class: 'hljs-string' },
    { tag: [tags.number, tags.bool], class: 'hljs-number' },
    { tag: [tags.function(tags.definition(tags.variableName)), tags.definition(tags.typeName)], class: 'hljs-title' },
    { tag: [tags.macroName, tags.typeName], class: 'hljs-built_in' },
    { tag: [tags.meta, tags.labelName], class: 'hljs-meta' },
]);

const set_findings = StateEffect.define();
const NOTHING = { findings: [], edits: [] };
const forget_finding = StateEffect.define();

/// What the compiler has found in a file, and what mends it there; both stay where they are while the reader types.
/// `findings` are `{ diagnostic, from, to }`, `edits` `{ fix, from, to, text }`, in the order of the text.
const found = StateField.define({
    create: () => NOTHING,
    update(value, transaction) {
        if (transaction.docChanged) {
            const map = (each) => {
                const from = transaction.changes.mapPos(each.from, 1);
                return { ...each, from, to: Math.max(from, transaction.changes.mapPos(each.to, -1)) };
            };
            value = { findings: value.findings.map(map), edits: value.edits.map(map) };
        }
        for (const effect of transaction.effects) {
            if (effect.is(set_findings)) value = effect.value;
            if (effect.is(forget_finding)) {
                const findings = value.findings.filter(({ diagnostic }) => diagnostic !== effect.value);
                value = { findings, edits: value.edits.filter(({ fix }) => !effect.value.fixes.includes(fix)) };
            }
        }
        return value;
    },
});

const begin_run = StateEffect.define();

/// The text as it was when a run began, and what has changed since: what the compiler says is about that text.
const compiled = StateField.define({
    create: ({ doc }) => ({ doc, since: ChangeSet.empty(doc.length).desc }),
    update(value, { effects, changes, docChanged, state }) {
        if (effects.some((effect) => effect.is(begin_run))) return { doc: state.doc, since: ChangeSet.empty(state.doc.length).desc };
        return docChanged ? { doc: value.doc, since: value.since.composeDesc(changes.desc) } : value;
    },
});

class Finding extends WidgetType {
    constructor(diagnostic, apply) {
        super();
        this.diagnostic = diagnostic;
        this.apply = apply;
    }

    eq(other) {
        return other.diagnostic === this.diagnostic;
    }

    toDOM() {
        const { level, message, notes = [], fixes = [] } = this.diagnostic;
        const around = element('div', 'found');
        const block = around.appendChild(element('div', `finding ${level}`));
        block.setAttribute('role', 'note');
        const sentence = element('p', 'message');
        sentence.append(element('strong', 'level', level), `: ${message}`);
        block.append(sentence);
        const lines = new Map(notes.map((note) => [note, element('p', 'note', note)]));
        block.append(...lines.values());
        for (const fix of fixes) {
            // Mostly a note says it already.
            const note = notes.find((note) => note.includes(fix.message));
            const line = lines.get(note) ?? block.appendChild(element('p', 'note', fix.message));
            const button = element('button', 'apply', 'Apply');
            button.type = 'button';
            button.setAttribute('aria-label', `Apply: ${fix.message}`);
            button.addEventListener('click', () => this.apply(this.diagnostic, fix));
            line.append(' ', button);
        }
        return around;
    }

    ignoreEvent() {
        return true;
    }
}

class Mark extends GutterMarker {
    constructor(level) {
        super();
        this.level = level;
    }

    eq(other) {
        return other.level === this.level;
    }

    toDOM() {
        const mark = element('span', `mark ${this.level}`, this.level === 'error' ? '✗' : '!');
        mark.title = this.level;
        return mark;
    }
}

const MARKS = { error: new Mark('error'), warning: new Mark('warning') };

/// The listing's files in an editor, one of them in sight.
///
/// `files` are texts by name. `changed(file, text)` is called when one is changed, `applied(diagnostic)` when one has been mended, `run()`
/// for Ctrl-Enter. `describedby` is the id of what says how to get out.
export class Editor {
    constructor(parent, files, { changed, applied, run, describedby }) {
        this.changed = changed;
        this.applied = applied;
        this.run = run;
        this.describedby = describedby;
        this.states = new Map(Object.entries(files).map(([file, text]) => [file, this.state(file, text)]));
        this.file = this.states.keys().next().value;
        this.view = new EditorView({
            parent,
            state: this.states.get(this.file),
            dispatchTransactions: (transactions, view) => {
                view.update(transactions);
                this.states.set(this.file, view.state);
                if (transactions.some(({ docChanged }) => docChanged)) this.changed(this.file, this.text(this.file));
            },
        });
    }

    state(file, text) {
        return EditorState.create({
            doc: text,
            extensions: [
                lineNumbers(),
                gutter({
                    class: 'cm-findings',
                    lineMarker: (view, line) => {
                        const here = view.state.field(found).findings.filter(({ from }) => from >= line.from && from <= line.to);
                        if (here.length === 0) return null;
                        return here.some(({ diagnostic }) => diagnostic.level === 'error') ? MARKS.error : MARKS.warning;
                    },
                    lineMarkerChange: ({ startState, state }) => startState.field(found) !== state.field(found),
                    initialSpacer: () => MARKS.error,
                }),
                highlightSpecialChars(),
                highlightActiveLineGutter(),
                history(),
                indentUnit.of('    '),
                indentOnInput(),
                bracketMatching(),
                search({ top: true }),
                highlightSelectionMatches(),
                new LanguageSupport(rustLanguage),
                syntaxHighlighting(highlighter),
                found,
                compiled,
                EditorView.decorations.compute([found], (state) => this.decorations(state)),
                EditorView.lineWrapping,
                EditorView.contentAttributes.of({
                    'aria-label': file,
                    'aria-describedby': this.describedby,
                    spellcheck: 'false',
                    tabindex: '0',
                }),
                // Not Tab: with the keyboard, it is the way out.
                keymap.of([
                    { key: 'Mod-Enter', run: () => (this.run(), true) },
                    { key: 'F8', run: () => this.next_finding() },
                    ...defaultKeymap,
                    ...historyKeymap,
                    ...searchKeymap,
                ]),
            ],
        });
    }

    decorations(state) {
        const { findings } = state.field(found);
        const marks = findings.filter(({ from, to }) => from < to);
        const underlines = marks.map(({ diagnostic, from, to }) => {
            return Decoration.mark({ class: `finding-at ${diagnostic.level}` }).range(from, to);
        });
        const blocks = findings.map(({ diagnostic, from }) => {
            const widget = new Finding(diagnostic, (diagnostic, fix) => this.apply(diagnostic, fix));
            return Decoration.widget({ widget, block: true, side: 1 }).range(state.doc.lineAt(from).to);
        });
        return Decoration.set([...underlines, ...blocks], true);
    }

    text(file) {
        return this.states.get(file).doc.toString();
    }

    /// Shows a file.
    open(file) {
        if (file === this.file) return;
        this.file = file;
        this.view.setState(this.states.get(file));
    }

    /// Changes a file, as if the reader had typed it: it can be undone.
    update(file, spec) {
        if (file === this.file) {
            this.view.dispatch(spec);
            return;
        }
        const { state, docChanged } = this.states.get(file).update(spec);
        this.states.set(file, state);
        if (docChanged) this.changed(file, this.text(file));
    }

    replace(file, text) {
        if (this.text(file) === text) return;
        this.update(file, { changes: { from: 0, to: this.states.get(file).doc.length, insert: text }, userEvent: 'input' });
    }

    /// What is said from now on is about the files as they are now.
    begin() {
        for (const file of this.states.keys()) this.update(file, { effects: [begin_run.of(null), set_findings.of(NOTHING)] });
    }

    /// Shows these at their lines, and no others. Those of files that are not here are left out.
    diagnose(diagnostics) {
        for (const [file, state] of this.states) {
            const findings = diagnostics
                .filter((diagnostic) => diagnostic.file === file)
                .map((diagnostic) => ({ diagnostic, ...range(state, diagnostic) }));
            const edits = diagnostics.flatMap(({ fixes = [] }) =>
                fixes.flatMap((fix) =>
                    fix.edits
                        .filter((edit) => edit.file === file)
                        .map((edit) => ({ fix, text: edit.text, ...range(state, edit) })),
                ),
            );
            this.update(file, { effects: set_findings.of({ findings, edits }) });
        }
    }

    apply(diagnostic, fix) {
        const focus = this.view.dom.contains(document.activeElement);
        for (const [file, state] of this.states) {
            const { edits } = state.field(found);
            const changes = edits.filter((edit) => edit.fix === fix).map(({ from, to, text }) => ({ from, to, insert: text }));
            this.update(file, { changes, effects: forget_finding.of(diagnostic), userEvent: 'input.complete' });
        }
        this.applied(diagnostic);
        // The button is gone.
        if (focus) this.view.focus();
    }

    /// Goes to the next finding of this file, and says it.
    next_finding() {
        const { findings } = this.view.state.field(found);
        const after = this.view.state.selection.main.head;
        const next = findings.find(({ from }) => from > after) ?? findings[0];
        if (!next) return false;
        const { level, message } = next.diagnostic;
        this.view.dispatch({
            selection: { anchor: next.from },
            scrollIntoView: true,
            effects: EditorView.announce.of(`${level}: ${message}`),
        });
        return true;
    }

    /// Where what the compiler has found in a file is by now.
    place(file, diagnostic) {
        const state = this.states.get(file);
        return (state.field(found).findings.find((each) => each.diagnostic === diagnostic) ?? range(state, diagnostic)).from;
    }

    go_to(file, diagnostic) {
        this.open(file);
        this.view.dispatch({ selection: { anchor: this.place(file, diagnostic) }, effects: this.into_sight(file, diagnostic) });
        this.view.focus();
    }

    into_sight(file, diagnostic) {
        // With room for what is said below it.
        return EditorView.scrollIntoView(this.place(file, diagnostic), { yMargin: 80 });
    }

    /// Brings it into sight, if its file is open and it is not within `top` and `bottom` of the window. The focus stays where it is.
    show(file, diagnostic, top, bottom) {
        if (file !== this.file) return;
        const line = this.view.coordsAtPos(this.place(file, diagnostic));
        const editor = this.view.scrollDOM.getBoundingClientRect();
        if (line && line.top >= Math.max(top, editor.top) && line.bottom <= Math.min(bottom, editor.bottom)) return;
        this.view.dispatch({ effects: this.into_sight(file, diagnostic) });
    }

    focus() {
        this.view.focus();
    }
}

function element(name, name_of_class, text = '') {
    const made = document.createElement(name);
    made.className = name_of_class;
    made.textContent = text;
    return made;
}

/// What the compiler means by lines and columns: both from 1, columns in characters.
function range(state, { line, column, end_line, end_column }) {
    const { doc, since } = state.field(compiled);
    const at = (line, column) => {
        const { from, text } = doc.line(Math.min(Math.max(line, 1), doc.lines));
        return from + [...text].slice(0, column - 1).join('').length;
    };
    const from = since.mapPos(at(line, column), 1);
    return { from, to: Math.max(from, since.mapPos(at(end_line, end_column), -1)) };
}
