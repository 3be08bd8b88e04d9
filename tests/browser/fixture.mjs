// A replay as tools/book/src/replay draws it, of a story whose every text is hostile.

/// Text that would do something if it were HTML.
export const HOSTILE = `</samp></pre></script><script>window.harm=1</script><svg onload="window.harm=2"><img src=x onerror="window.harm=3">--> \`&lt;`;

const files = ['listings/echo/src/bin/server.rs', 'listings/echo/src/bin/client.rs'];

/// From step to step, who does what, where; a call that returns later has the step at which it does.
const steps = [
    { name: 'server:listen', lane: 0, source: 0, line: 12 },
    { name: 'server:write', lane: 0, source: 0, line: 13, prints: 'listening on 127.0.0.1:8001\n' },
    { name: 'server:accept', lane: 0, source: 0, line: 29, returns: 7 },
    { name: 'client:connect', lane: 1, source: 1, line: 20, returns: 6 },
    { name: 'client:SYN', lane: 1 },
    { name: 'client:connect:returns', lane: 1, source: 1, line: 20 },
    { name: 'server:accept:returns', lane: 0, source: 0, line: 29 },
    { name: 'client:data', lane: 1, text: HOSTILE },
    { name: 'client:write', lane: 1, source: 1, line: 60, prints: `${HOSTILE}\n`, stderr: true, text: HOSTILE },
    { name: 'server:accept-2', lane: 0, source: 0, line: 29, returns: null },
].map((step, index) => ({ ...step, number: index + 1 }));

const escape = (text) =>
    text.replace(/[&<>"'`]/g, (character) => `&#${character.codePointAt(0)};`).replaceAll('\n', '&#10;');

const source = (step) => (step.source === undefined ? null : `${files[step.source]}:${step.line}`);

const sentence = (step) =>
    `Step ${step.number}: ${step.name} ${step.text ?? ''}` + (source(step) ? ` (${source(step).replace(':', ', line ')})` : '');

function screen(program) {
    const printed = steps.filter((step) => step.prints && step.lane === program);
    const spans = printed.map(
        (step) =>
            `<span${step.stderr ? ' class="stderr"' : ''} data-step="${step.number}">${escape(step.prints)}</span>`,
    );
    return (
        `<div class="screen" data-program="${program}"><p class="command"><code>cargo run ${program}</code></p>` +
        `<pre class="output"><samp>${spans.join('')}</samp></pre></div>`
    );
}

function drawing(id) {
    const height = steps.length * 40 + 40;
    const calls = steps
        .filter((step) => step.returns !== undefined)
        .map((step) => {
            const to = step.returns ?? steps.length;
            const bar = `<rect class="bar" x="${step.lane * 260 + 120}" y="${step.number * 40}" width="12" height="${(to - step.number + 1) * 40 - 8}"></rect>`;
            return `<g class="call${step.returns ? '' : ' open'}" data-from="${step.number}" data-to="${to}" data-lane="${step.lane}">${bar}</g>`;
        });
    const rows = steps.map(
        (step) =>
            `<g class="step" id="${id}-${step.number}" data-step="${step.number}"><rect class="row" x="0" y="${step.number * 40 - 4}" width="900" height="36"></rect>` +
            `<text x="${step.lane * 260 + 140}" y="${step.number * 40 + 18}">${escape(`${step.name} ${(step.text ?? '').slice(0, 20)}`)}</text></g>`,
    );
    return (
        `<div class="drawing" tabindex="0" role="region" aria-label="The picture of the replay ${id}">` +
        `<svg width="900" height="${height}" viewBox="0 0 900 ${height}" role="img" aria-labelledby="${id}-title ${id}-desc">` +
        `<title id="${id}-title">A replay</title><desc id="${id}-desc">Its words follow.</desc>${calls.join('')}${rows.join('')}</svg></div>`
    );
}

function sources() {
    return files.map((file) => {
        const lines = Array.from({ length: 60 }, (_, index) => index + 1).map(
            (line) =>
                `<span class="line" data-line="${line}"><span class="number">${line}</span>${escape(`    let line = ${line}; // ${HOSTILE}`)}&#10;</span>`,
        );
        return `<details class="source" data-file="${file}"><summary><code>${file}</code></summary><pre><samp>${lines.join('')}</samp></pre></details>`;
    });
}

function replay(id) {
    const words = steps.map((step) => {
        const from = source(step) ? ` data-source="${source(step)}"` : '';
        return `<li data-step="${step.number}" data-name="${step.name}" data-lane="${step.lane}"${from}><span>${escape(sentence(step))}</span></li>`;
    });
    return (
        `<figure class="replay" id="${id}"><figcaption>Time goes down.</figcaption><div class="controls"></div>` +
        `<div class="stage">${drawing(id)}<div class="side"><div class="screens">${screen(0)}${screen(1)}</div>` +
        `<div class="sources">${sources().join('')}</div></div></div>` +
        `<details class="words"><summary>All ${steps.length} steps in words</summary><ol>${words.join('')}</ol></details></figure>`
    );
}

/// A chapter with two replays, the second one folded, and links to their steps.
export function fixture() {
    return (
        '<h1 id="replays">Replays</h1><p>Here <a id="to-5" href="#fixture-5">the client asks</a>, there ' +
        `<a id="to-3" href="#folded-3">the server waits</a>. <input id="typing" aria-label="Typing"></p>${replay('fixture')}` +
        `<details id="fold"><summary>Another one</summary>${replay('folded')}</details><p>The end.</p>`
    );
}
