// A copy of the project, served by `book serve`, and a browser to look at it.

import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('../..', import.meta.url));

/// Serves a copy of the project, so that tests can change it; returns its folder, its address, what opens it with its token, and a
/// function that ends it. `files` take the place of the project's own.
export async function serve(files = {}) {
    execFileSync('cargo', ['build', '--quiet', '--package', 'book'], { cwd: root, stdio: 'inherit' });
    const metadata = execFileSync('cargo', ['metadata', '--no-deps', '--format-version', '1'], { cwd: root });
    const tool = join(JSON.parse(metadata).target_directory, 'debug', 'book');

    const folder = mkdtempSync(join(tmpdir(), 'book-'));
    const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root });
    for (const name of tracked.toString().trim().split('\n')) {
        cpSync(join(root, name), join(folder, name));
    }
    for (const name in files) writeFileSync(join(folder, name), files[name]);
    const server = spawn(tool, ['serve', '--no-open', '--port', '0'], {
        cwd: folder,
        stdio: ['ignore', 'inherit', 'pipe'],
    });
    const opened = await new Promise((resolve, reject) => {
        server.once('exit', (code, signal) => {
            console.error(`book serve ended with ${code ?? signal}`);
            reject(new Error(`book serve ended with ${code ?? signal}`));
        });
        createInterface({ input: server.stderr }).on('line', (line) => {
            console.error(line);
            const found = line.match(/the book is at (\S+)/);
            if (found) resolve(found[1]);
        });
    });
    const stop = async () => {
        const ended = new Promise((resolve) => server.once('exit', resolve));
        server.kill();
        await ended;
        rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    };
    return { folder, address: new URL(opened).origin, opened, stop };
}

/// The system's Chromium, with `more` arguments. It must not call home, and inside a container it cannot have its own sandbox.
export function browser(more = []) {
    return chromium.launch({
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        args: [
            '--no-sandbox',
            '--disable-gpu',
            '--disable-quic',
            '--no-first-run',
            '--disable-background-networking',
            '--disable-component-update',
            '--disable-sync',
            ...more,
        ],
    });
}
