// What mdBook's pages lack for those who do not see them, or have no mouse; axe-core found most of it.

(() => {
    'use strict';

    // The sidebar's toggle is a label: the keyboard cannot reach it, nor may it have the states that mdBook gives it. A button takes its
    // place, and does what it did; mdBook goes on talking to the label.
    const label = document.getElementById('mdbook-sidebar-toggle');
    const checkbox = document.getElementById('mdbook-sidebar-toggle-anchor');
    if (label && checkbox) {
        const button = document.createElement('button');
        button.type = 'button';
        for (const { name, value } of label.attributes) {
            if (name !== 'for') button.setAttribute(name, value);
        }
        button.append(...label.childNodes);
        label.replaceWith(button);
        button.addEventListener('click', () => {
            label.click();
            checkbox.click();
        });
        const copy = () => button.setAttribute('aria-expanded', label.getAttribute('aria-expanded'));
        new MutationObserver(copy).observe(label, { attributes: true });
    }

    // All that is on a page is in a landmark.
    document.getElementById('mdbook-menu-bar')?.setAttribute('role', 'banner');

    // A page that comes back from the browser's cache (see head.hbs) may have missed a change of the theme.
    addEventListener('pageshow', (event) => {
        if (!event.persisted) return;
        try {
            const theme = localStorage.getItem('mdbook-theme') ?? 'default_theme';
            document.getElementById(`mdbook-theme-${theme}`)?.click();
        } catch {
            // No storage: the theme is the same on all pages.
        }
    });

    // A box that scrolls can be scrolled by the keyboard, too. The observer is told of each box once the browser has laid it out, now and
    // whenever it has another size: to ask for a width at any other time makes the browser lay out the page for that.
    const observer = new ResizeObserver((entries) => {
        const boxes = entries.map(({ target }) => {
            return [target, target.scrollWidth > target.clientWidth && getComputedStyle(target).overflowX !== 'visible'];
        });
        for (const [box, scrolls] of boxes) {
            if (scrolls && !box.hasAttribute('tabindex')) {
                box.tabIndex = 0;
                box.dataset.scrolls = '';
            } else if (!scrolls && 'scrolls' in box.dataset) {
                box.removeAttribute('tabindex');
                delete box.dataset.scrolls;
            }
        }
    });
    for (const box of document.querySelectorAll('.content :is(pre, pre > code, .table-wrapper)')) observer.observe(box);
})();
