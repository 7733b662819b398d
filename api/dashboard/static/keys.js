/* The keyboard: `g` and a letter go to a page, `?` tells which, arrows walk through lists. */

import { PAGES } from './pages.js';

let going = false;

export function onKey(event, state, update) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest?.('input, select, textarea, dialog');
  if (typing) return;
  if (going) {
    going = false;
    const page = PAGES.find((each) => each.key === event.key);
    if (page) location.hash = `#/${page.name}`;
  } else if (event.key === 'g') {
    going = true;
  } else if (event.key === '?') {
    state.help = true;
    update();
  } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    walk(event);
  }
}

/** From row to row of the list that has the focus, or into the first list of the page. */
function walk(event) {
  const here = event.target.closest?.('[data-walk] [data-step]');
  const list = here?.closest('[data-walk]') ?? (event.target.id === 'main' && event.target.querySelector('[data-walk]'));
  if (!list) return;
  const steps = [...list.querySelectorAll('[data-step]')];
  const place = here ? steps.indexOf(here) + (event.key === 'ArrowDown' ? 1 : -1) : 0;
  const next = steps[place];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.scrollIntoView({ block: 'nearest' });
}
