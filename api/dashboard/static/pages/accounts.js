/* The accounts: how much of each limit is used, and what a person can do about them. */

import { send } from '../api.js';
import { h } from '../dom.js';
import { cost, count, exact, money, number, NOTHING, percent, words } from '../format.js';
import { accountStatus, card, empty, fact, facts, fold, meter, notice, table, told, trouble } from '../parts.js';
import { age, duration, time, until } from '../time.js';

export function accounts({ house, resource, update }) {
  const account = house.account || undefined;
  const limits = resource('/limits', { account }, { kinds: ['stage', 'equity', 'breaker'] });
  const changes = resource('/changes', { account }, { kinds: ['change', 'account'] });
  const state = { error: '', done: '' };

  const act = async (path, body, done) => {
    try {
      await send('POST', path, body);
      Object.assign(state, { error: '', done });
    } catch (error) {
      Object.assign(state, { error: error.message, done: '' });
      throw error;
    } finally {
      house.refreshAll();
      update();
    }
  };

  const view = (ask) => [
    h('div', { 'aria-live': 'polite', key: 'said' }, state.error && notice('bad', state.error), state.done && notice('good', state.done)),
    pending(changes, house, act),
    told(house.list, 'the accounts', ({ items }) => {
      const shown = items.filter((each) => !house.account || each.account === house.account);
      return shown.length ? shown.map((each) => accountCard(each, house, limits, ask, act)) : card('', {}, empty('No account is configured.'));
    }),
    trouble(limits, { what: 'how much of each limit is used' }),
  ];
  return { title: 'Accounts', lead: 'Limits in force and used, and the controls', view };
}

function accountCard(row, house, limits, ask, act) {
  const standing = house.accounts.find((each) => each.account === row.account);
  const config = row.config ?? {};
  return card([row.account, ' ', accountStatus(row.status, row.status_reason)], { key: row.account, aside: controls(row, house, ask, act) },
    row.status_reason && notice(row.status === 'halted' ? 'bad' : 'warn', row.status_reason),
    Object.entries(row.breakers ?? {}).map(([name, why]) => h('div', { key: name }, notice('bad', h('strong', null, `Breaker ${words(name)}: `), why))),
    facts(
      fact('Equity', money(row.equity), { note: row.equity_at ? age(row.equity_at) : 'none yet' }),
      fact('Deposited', money(row.deposited)),
      fact('Model', config.model ?? NOTHING, { note: config.fallback_models?.length ? `then ${config.fallback_models.join(', ')}` : 'no fallback' }),
      fact('Symbols', (config.symbols ?? []).join(' ')),
      fact('Decides every', duration(config.interval), { note: standing?.next_tick ? ['next in ', until(standing.next_tick)] : 'not scheduled' }),
      fact('Leverage', `${count(config.leverage)}×`, { note: `at most ${count(config.limits?.max_leverage)}×` }),
      fact('Model budget', cost(config.model_options?.daily_budget), { note: `${cost(standing?.models?.spent ?? 0)} spent on ${standing?.models?.day ?? 'no day yet'}` })),
    h('h3', null, 'Limits used'),
    used(row, limits),
    fold('Configuration in force', config));
}

/** *limits* answers items of {account, limit, used, allowed, share …}; without them the configured ones are shown. */
function used(row, limits) {
  const found = limits.items.find((each) => each.account === row.account);
  const rows = found?.limits ?? limits.items.filter((each) => each.account === row.account && each.limit);
  if (rows?.length) {
    return h('ul.limits', null, rows.map((each) => {
      const share = number(each.share ?? (number(each.allowed) ? number(each.used) / number(each.allowed) : null));
      return h('li', { key: each.limit ?? each.name }, h('span.name', null, words(each.limit ?? each.name)), meter(share, { label: words(each.limit ?? each.name) }),
        h('span.value.num', null, amount(each.used, each.unit), h('small', null, ` of ${amount(each.allowed, each.unit)}`)));
    }));
  }
  const configured = Object.entries(row.config?.limits ?? {}).filter(([, value]) => typeof value !== 'object');
  return h('ul.limits.plain', null, configured.map(([name, value]) => h('li', { key: name }, h('span.name', null, words(name)), h('span.value.num', null, limitText(name, value)))));
}

function amount(value, unit) {
  if (number(value) === null) return NOTHING;
  if (unit === 'usd' || unit === 'USD') return `${money(value)} USD`;
  if (unit === 'fraction') return percent(value, 1);
  return exact(value) + (unit && unit !== 'count' ? ` ${unit}` : '');
}

const FRACTIONS = /fraction|loss$|drawdown|risk_per_trade|margin_left|stop_distance|funding_rate|spread|price_move|exposure_held|confidence/;

function limitText(name, value) {
  if (typeof value === 'string' && /^P/.test(value)) return duration(value);
  return number(value) !== null && FRACTIONS.test(name) ? percent(value, 1) : words(value);
}

function controls(row, house, ask, act) {
  const may = house.may('operate');
  const why = may ? undefined : 'your token may only read';
  const button = (text, onclick, kind = '') => h('button', { key: text, type: 'button', class: kind, disabled: !may, title: why, onclick }, text);
  const path = (verb) => `/accounts/${row.account}/${verb}`;
  const quietly = (...rest) => act(...rest).catch(() => {});
  return h('div.buttons-row', null,
    row.status === 'active' && button('Pause', () => quietly(path('pause'), undefined, `${row.account} is paused: it opens nothing; what is open stays protected.`)),
    row.status === 'paused' && button('Resume', () => quietly(path('resume'), undefined, `${row.account} trades again.`), 'primary'),
    row.status === 'halted' && button('Arm again …', () => ask(arming(row, act)), 'primary'),
    row.status !== 'halted' && button('Stop …', () => ask(stopping(row, act)), 'danger'));
}

function stopping(row, act) {
  return {
    title: `Stop ${row.account}?`,
    lines: ['All its orders are cancelled, every position is closed at the market\'s price, and the account halts. It stays halted until a person arms it again.'],
    word: row.account, verb: 'Stop it', tone: 'danger',
    act: () => act(`/accounts/${row.account}/stop`, { confirmation: row.account }, `${row.account} is being stopped.`),
  };
}

function arming(row, act) {
  return {
    title: `Arm ${row.account} again?`,
    lines: [`It was halted: ${row.status_reason || 'no reason given'}. From the next candle on it trades again.`],
    word: row.account, verb: 'Arm it',
    act: () => act(`/accounts/${row.account}/rearm`, { confirmation: row.account }, `${row.account} trades again.`),
  };
}

/** Changes that wait for their time or for a second person. */
function pending(changes, house, act) {
  if (changes.error?.status === 404) return null;
  const waiting = changes.items.filter((each) => !each.settled_at && (each.status ?? 'pending') === 'pending');
  if (!changes.error && !waiting.length) return null;
  const may = house.may('admin');
  const quietly = (...rest) => act(...rest).catch(() => {});
  return card('Waiting for their time', { note: 'raised limits and longer authority take effect later, or with a second person\'s word' }, trouble(changes, { what: 'pending changes' }),
    table('Pending changes', [
      { name: 'Change', kind: 'text wide lead', cell: (each) => [h('strong', null, words(each.what ?? each.kind)), each.reason && h('small', null, each.reason)] },
      { name: 'Account', cell: (each) => each.account ?? 'all' },
      { name: 'Proposed', cell: (each) => [each.proposed_by, h('small', null, time(each.proposed_at))] },
      { name: 'Takes effect', cell: (each) => [time(each.due_at ?? each.effective_at), h('small', null, 'in ', until(each.due_at ?? each.effective_at))] },
      { name: '', cell: (each) => h('div.buttons-row', null,
        h('button', { type: 'button', disabled: !may, onclick: () => quietly(`/changes/${each.id}/approve`, undefined, 'Approved.') }, 'Approve'),
        h('button', { type: 'button', disabled: !may, onclick: () => quietly(`/changes/${each.id}/withdraw`, undefined, 'Withdrawn.') }, 'Withdraw')) },
    ], waiting, { key: (each) => each.id }));
}
