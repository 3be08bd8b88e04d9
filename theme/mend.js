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

    /// A box that scrolls can be scrolled by the keyboard, too.
    function make_scrollable() {
        for (const box of document.querySelectorAll('.content :is(pre, pre > code, .table-wrapper)')) {
            const scrolls = box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== 'visible';
            if (scrolls && !box.hasAttribute('tabindex')) {
                box.tabIndex = 0;
                box.dataset.scrolls = '';
            } else if (!scrolls && 'scrolls' in box.dataset) {
                box.removeAttribute('tabindex');
                delete box.dataset.scrolls;
            }
        }
    }
    make_scrollable();
    addEventListener('resize', make_scrollable);
    // What is folded has no width.
    document.addEventListener('toggle', make_scrollable, true);
    document.fonts?.ready.then(make_scrollable);
})();
