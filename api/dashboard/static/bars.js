/* Amounts beside one another: each a bar from the middle or the left, with its number in words. */

import { h } from './dom.js';
import { number } from './format.js';

/** *rows* are {name, value, text, note}, and a key where the name is no text; a value below nothing goes to the left. */
export function bars(label, rows) {
  const most = Math.max(...rows.map((row) => Math.abs(number(row.value) ?? 0)), 0) || 1;
  const signed = rows.some((row) => (number(row.value) ?? 0) < 0);
  return h('ul.bars', { 'aria-label': label, class: signed ? 'signed' : '' }, rows.map((row) => {
    const value = number(row.value) ?? 0;
    return h('li', { key: row.key ?? row.name }, h('span.name', null, row.name),
      h('span.track', { 'aria-hidden': 'true' }, h('span.bar', { class: value < 0 ? 'loss' : signed ? 'profit' : '', style: { width: `${(Math.abs(value) / most) * (signed ? 50 : 100)}%` } })),
      h('span.value.num', null, row.text, row.note && h('small', null, row.note)));
  }));
}
