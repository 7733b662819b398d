/* What pages are made of. */

import { address } from './api.js';
import { h } from './dom.js';
import { number, NOTHING, percent, words } from './format.js';
import { icon } from './icons.js';
import { TERMS } from './terms.js';
import { span } from './time.js';

/** A titled box. *aside* stands at the right of the title. */
export function card(title, { aside, note, kind = '', key, level = 'h2' } = {}, ...children) {
  return h('section.card', { class: kind, key },
    title && h('header.card-head', null, h(level, null, title), note && h('span.note', null, note), aside && h('div.aside', null, aside)),
    ...children);
}

const TONES = {
  good: 'check', bad: 'cross', warn: 'warn', quiet: 'dash', info: 'info', long: 'up_arrow', short: 'down_arrow', clip: 'clip',
};

/** A word in a coloured lozenge, with a sign of its own. */
export function badge(text, tone = 'quiet', title) {
  return h('span.badge', { class: tone, title }, icon(TONES[tone]), text);
}

const VERDICTS = { approved: 'good', clipped: 'clip', refused: 'bad', held: 'quiet' };

export function verdict(name, reason) {
  return badge(words(name), VERDICTS[name] ?? 'info', reason || TERMS[name]);
}

export function direction(name) {
  return badge(name === 'LONG' || name === 'BUY' ? name.toLowerCase() : String(name ?? NOTHING).toLowerCase(),
    ['LONG', 'BUY', 'buy'].includes(name) ? 'long' : ['SHORT', 'SELL', 'sell'].includes(name) ? 'short' : 'quiet');
}

const STATUSES = { active: ['Trading', 'good'], paused: ['Paused', 'warn'], halted: ['Halted', 'bad'] };

/** What an account does, as /status tells of it: one that no model answers trades only in name. */
export function accountStatus({ status, status_reason: reason, models }) {
  if (status === 'active' && models?.manage_only_since) return badge('Manages only', 'warn', models.reason);
  const [text, tone] = STATUSES[status] ?? [words(status), 'info'];
  return badge(text, tone, reason || undefined);
}

const STATES = {
  NEW: ['resting', 'info'], PARTIALLY_FILLED: ['partly filled', 'warn'], FILLED: ['filled', 'good'], CANCELED: ['canceled', 'quiet'],
  EXPIRED: ['expired', 'quiet'], REJECTED: ['rejected', 'bad'], INTENDED: ['intended', 'warn'], UNRESOLVED: ['unresolved', 'warn'],
  ABSENT: ['never landed', 'quiet'],
};

export function orderState(name, reason) {
  const [text, tone] = STATES[name] ?? [words(name), 'info'];
  return badge(text, tone, reason || undefined);
}

/** How full something is. *share* of 0 to 1, or beyond. */
export function meter(share, { label, tone } = {}) {
  const read = number(share);
  const shown = read === null ? 0 : Math.min(1, Math.max(0, read));
  const way = tone ?? (read === null ? 'quiet' : read >= 0.9 ? 'bad' : read >= 0.7 ? 'warn' : 'good');
  return h('span.meter', {
    class: way, role: 'meter', 'aria-valuemin': '0', 'aria-valuemax': '100', 'aria-valuenow': String(Math.round(shown * 100)),
    'aria-label': label, 'aria-valuetext': read === null ? 'not known' : percent(read, 0),
  }, h('span', { style: { width: `${shown * 100}%` } }));
}

/** A number with its name. */
export function fact(name, value, { note, kind = '' } = {}) {
  return h('div.fact', { class: kind }, h('dt', null, name), h('dd', null, value, note && h('small', null, note)));
}

export function facts(...all) {
  return h('dl.facts', null, all);
}

/** What stands where nothing is yet: what will come, and when. */
export function empty(text, hint) {
  return h('div.empty', null, h('p', null, text), hint && h('p.hint', null, hint));
}

export function notice(tone, ...children) {
  return h('div.notice', { class: tone, role: tone === 'bad' ? 'alert' : 'note' }, icon(TONES[tone] ?? 'info'), h('div', null, ...children));
}

const REMEDIES = {
  400: 'Other filters may do.', 403: 'Sign in with a token that may.', 404: 'It may have been removed: go back to the list.', 422: 'Other filters may do.',
};

/** What came of asking for *resource*: nothing when all is well and there is something to show. */
export function trouble(resource, { what = 'this' } = {}) {
  if (resource.error?.status === 404 && resource.error.code === 'no_such_path') {
    return notice('warn', `This server does not answer ${resource.path}: ${what} cannot be shown.`);
  }
  if (resource.error) {
    const known = resource.answeredAt === null ? '' : ` What is shown is ${span(Date.now() - resource.answeredAt)} old.`;
    return notice('bad', `Could not ask for ${what}: ${resource.error.message}.${known} ${REMEDIES[resource.error.status] ?? 'It is asked for again by itself.'}`);
  }
  return null;
}

/** What stands where an answer is awaited. */
export function loading() {
  return h('div.loading', { 'aria-hidden': 'true' }, h('span'), h('span'), h('span'));
}

/** Draw *view* of what *resource* answered, or say why it cannot be. */
export function told(resource, what, view) {
  return [
    trouble(resource, { what }),
    resource.data ? view(resource.data) : !resource.error && loading(),
  ];
}

/**
 * A table. Each column is {name, cell(row), kind, hide}: kind `num` stands at the right; on a phone each row is a small
 * card with the columns' names, and what has kind `lead` is its heading.
 */
export function table(label, columns, rows, { key, href, tone, walk = false, none } = {}) {
  if (!rows.length && none) return none;
  const shown = columns.filter(Boolean);
  return h('div.table-box', { tabindex: '0', role: 'region', 'aria-label': label },
    h('table', null,
      h('thead', null, h('tr', null, shown.map(({ name, kind, title }) => h('th', { class: kind, scope: 'col', title }, name)))),
      h('tbody', { 'data-walk': walk },
        rows.map((row) => h('tr', { key: key?.(row), class: [tone?.(row), href && 'goes'].filter(Boolean).join(' '), onclick: href && go(href(row)) },
          shown.map(({ name, cell, kind }, place) => h('td', { class: kind, 'data-name': name },
            href && place === 0 ? h('a.row-link', { href: href(row), 'data-step': walk }, cell(row)) : cell(row))))))));
}

function go(href) {
  return (event) => {
    if (event.target.closest('a, button, input, select') || getSelection()?.toString()) return;
    location.hash = href.slice(1);
  };
}

/** One of several: links that narrow the page. */
export function tabs(label, all, current, onchoose) {
  return h('div.tabs', { role: 'group', 'aria-label': label },
    all.map(([value, text]) => h('button', {
      key: value, type: 'button', 'aria-pressed': String(value === current), onclick: () => onchoose(value),
    }, text)));
}

export function select(label, value, options, onchange, { hideLabel = false } = {}) {
  return h('label.field', null, h('span', { class: hideLabel ? 'ears' : '' }, label),
    h('select', { value: value ?? '', onchange: ({ target }) => onchange(target.value) },
      options.map(([each, text]) => h('option', { key: each, value: each, selected: (value ?? '') === each }, text))));
}

export function input(label, value, onchange, props = {}) {
  return h('label.field', null, h('span', null, label),
    h('input', { type: 'text', value: value ?? '', onchange: ({ target }) => onchange(target.value.trim()), autocomplete: 'off', spellcheck: 'false', ...props }));
}

export function toggle(label, checked, onchange) {
  return h('label.toggle', null, h('input', { type: 'checkbox', checked, onchange: ({ target }) => onchange(target.checked) }), h('span', null, label));
}

/** Downloads of a whole list as it is narrowed now. */
export function downloads(path, query) {
  const { limit, before, ...narrowed } = query;
  return h('span.downloads', null, icon('down'),
    ['csv', 'jsonl'].map((format) => h('a', { key: format, href: address(path, { ...narrowed, format }), download: '' }, format.toUpperCase())));
}

/** Raw JSON or text, folded away. */
export function fold(title, body, { open = false, note, key } = {}) {
  return h('details.fold', { key, open },
    h('summary', null, title, note && h('small', null, note)),
    h('pre', { tabindex: '0', 'aria-label': title }, typeof body === 'string' ? body : JSON.stringify(body, null, 2)));
}

export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Change the query of the address, and with it what the page shows. */
export function narrow(route, changes) {
  const query = new URLSearchParams(route.query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  const path = [route.name, route.of].filter(Boolean).join('/');
  history.replaceState(null, '', `#/${path}${text ? `?${text}` : ''}`);
  dispatchEvent(new HashChangeEvent('hashchange'));
}
