/* The accounts: how much of each limit is used, and what a person can do about them. */

import { get, send } from '../api.js';
import { button, goesOn, steered, STOPPING, whoMay } from '../controls.js';
import { h } from '../dom.js';
import { cost, count, exact, money, number, NOTHING, percent, plural, words } from '../format.js';
import { accountStatus, card, empty, fact, facts, loading, meter, notice, told, trouble } from '../parts.js';
import { outage, outdated } from '../standing.js';
import { age, duration, time, until } from '../time.js';
import { adding, extending, invoking, limits, removing, settings } from './account_forms.js';
import { Changes } from './changes.js';

const MANY = 3;

export function accounts(tools) {
  const { house } = tools;
  const changes = new Changes(tools);

  const view = (ask) => [
    changes.view(ask),
    whoMay(house, 'operate') ?? whoMay(house, 'admin'),
    told(house.list, 'the accounts', ({ items }) => {
      const shown = items.filter((each) => !house.account || each.account === house.account);
      const add = button(house, 'Add an account …', { scope: 'admin', kind: items.length ? '' : 'primary' }, () => ask(adding(items[0])));
      return [
        shown.map((each) => accountCard(each, house, ask, shown.length > MANY)),
        !shown.length && card('', {}, empty('There is no account.', 'One is named in accounts.yaml or in the variables of the server, or added here.')),
        add && h('div.buttons-row', { key: 'add' }, add),
      ];
    }),
  ];
  return { title: 'Accounts', lead: 'Limits in force and used, and the controls', view };
}

function accountCard(row, house, ask, many) {
  const standing = house.accounts.find((each) => each.account === row.account);
  const config = row.config ?? {};
  return card([row.account, accountStatus({ models: standing?.models, ...row })], { key: row.account, aside: controls(row, house, ask) },
    row.status !== 'active' && row.status_reason && notice(row.status === 'halted' ? 'bad' : 'warn', row.status_reason),
    row.stop && notice(row.stop.finished_at ? 'info' : 'bad', h('strong', null, row.stop.finished_at ? 'Stopped: nothing is left. ' : 'Being stopped. '), `${row.stop.asked_by} asked for it `, age(row.stop.asked_at), row.stop.left.length ? `; left: ${row.stop.left.join(', ')}` : ''),
    Object.entries(row.breakers ?? {}).map(([name, why]) => h('div', { key: name }, notice('bad', h('strong', null, `Breaker ${words(name)}: `), why))),
    facts(
      fact('Equity', money(row.equity), { note: equityNote(row, house) }),
      fact('Deposited', money(row.deposited)),
      fact('Model', config.model ?? NOTHING, { note: config.fallback_models?.length ? `then ${config.fallback_models.join(', ')}` : 'no fallback' }),
      fact('Symbols', (config.symbols ?? []).join(' ')),
      fact('Decides every', duration(config.interval), { note: standing?.next_tick ? ['next in ', until(standing.next_tick)] : 'not scheduled' }),
      fact('Leverage', `${count(config.leverage)}×`, { note: `at most ${count(config.limits?.max_leverage)}×` }),
      row.authority_until && fact('May open until', time(row.authority_until, { seconds: false }), { note: ['for ', until(row.authority_until)] })),
    limitsUsed(row, house, many),
    others(row, house, ask),
    h('details.fold', { key: 'settings' }, h('summary', null, 'Every limit and setting in force'), h('dl.settings', null, settled(config).map(([name, value]) => h('div', { key: name }, h('dt', null, name), h('dd', null, value))))));
}

/** Of when the equity is; what is older than the cycles let it be, is said to be. */
function equityNote({ account, equity_at: at }, house) {
  if (!at) return 'none yet';
  return outage(house) || outdated(house, account, at) ? h('span.as-of.old', null, 'as of ', time(at, { seconds: false }), ', ', age(at)) : ['as of ', time(at), ', ', age(at)];
}

/** Every setting of *config* in words, what belongs together under one name. */
function settled(config, under = '') {
  return Object.entries(config).flatMap(([name, value]) => {
    const whole = under + words(name);
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return settled(value, `${whole}: `);
    if (Array.isArray(value)) return [[whole, value.map((each) => (typeof each === 'object' ? JSON.stringify(each) : duration(String(each)))).join(', ') || 'none']];
    return [[whole, value === null ? 'none' : typeof value === 'boolean' ? (value ? 'yes' : 'no') : duration(String(value))]];
  });
}

const EFFECTS = {
  entries: ['Entries', 'cut down or refused beyond'],
  breaker: ['Breakers', 'nothing opens once reached'],
  model: ['Models', 'no model is asked once spent'],
  requests: ['Requests', 'what is not urgent waits'],
};

/** How much of each limit is used; where there are *many* accounts, folded away behind the one that is nearest. */
function limitsUsed(row, house, many) {
  const found = house.limits.data?.items.find((each) => each.account === row.account);
  const all = found?.limits ?? [];
  const nearest = all.reduce((most, each) => ((number(each.share) ?? 0) > (number(most?.share) ?? -1) ? each : most), null);
  const groups = all.length > 1 && h('div.limit-groups', null, Object.entries(EFFECTS).map(([effect, [title, what]]) => {
    const rows = all.filter((each) => each.effect === effect);
    return rows.length > 0 && h('div', { key: effect }, h('h3', null, title, h('small', null, ` ${what}`)), h('ul.limits', null, rows.map(limitRow)));
  }));
  return [
    trouble(house.limits, { what: 'how much of each limit is used' }),
    !house.limits.data && !house.limits.error && loading(),
    found && all.length <= 1 && empty('Not known yet how much is used.', 'It is reckoned when the first cycle has been reconciled.'),
    groups && many ? h('details.fold', { key: 'limits' }, h('summary', null, 'Limits used', h('small', null, `nearest: ${words(nearest.limit).replace(/^max /, '')}, ${percent(nearest.share, 0)}`)), groups) : groups,
  ];
}

function limitRow(each) {
  return h('li', { key: each.limit }, h('span.name', null, words(each.limit).replace(/^max /, '')),
    h('span.value.num', null, amount(each, each.used), h('small', null, each.allowed === null ? ' no limit' : ` of ${amount(each, each.allowed)}`)),
    meter(each.share, { label: words(each.limit), tone: each.standing ? 'bad' : each.effect === 'entries' && number(each.share) >= 0.9 ? 'warn' : undefined }),
    each.standing && h('small.standing', null, each.standing),
    each.effect === 'entries' && number(each.share) > 1 && h('small.above', null, 'moved there by prices: nothing is added, nothing has to be closed'));
}

function amount({ limit, unit }, value) {
  if (number(value) === null) return NOTHING;
  if (unit === 'usd') return cost(value);
  if (unit === 'fraction') return percent(value, 1);
  return exact(value) + (limit === 'max_leverage' ? '×' : '');
}

function controls(row, house, ask) {
  const post = (verb, said) => () => house.perform(`${verb} ${row.account}`, async () => {
    await send('POST', `/accounts/${row.account}/${verb}`);
    return said;
  });
  const of = { account: row.account };
  const admin = { account: row.account, scope: 'admin' };
  /** Ask about the account as it is now: a form that was opened on what is old is refused. */
  const fresh = (form) => async () => {
    try {
      ask(form(await get(`/accounts/${row.account}`)));
    } catch (error) {
      house.say(error.message, 'bad');
    }
  };
  const stopped = row.status === 'halted';
  return h('div.buttons-row', null,
    button(house, 'Settings …', admin, fresh(settings)),
    button(house, 'Limits …', admin, fresh(limits)),
    // One place for both, so that the focus stays when one becomes the other.
    row.status === 'active' && button(house, 'Pause', { ...of, key: 'run', name: `pause ${row.account}` }, post('pause', `${row.account} is paused: it opens nothing; what is open stays protected.`)),
    row.status === 'paused' && button(house, 'Resume', { ...of, key: 'run', kind: 'primary', name: `resume ${row.account}` }, post('resume', `${row.account} trades again.`)),
    stopped && button(house, 'Arm again …', { ...of, kind: 'primary' }, () => ask(arming(row))),
    !stopped && button(house, 'Stop …', { ...of, kind: 'danger' }, () => ask(stopping(row))));
}

/** What is needed less often. */
function others(row, house, ask) {
  const of = { account: row.account };
  const admin = { account: row.account, scope: 'admin' };
  const all = [
    button(house, 'Run a stage …', of, () => ask(invoking(row))),
    button(house, 'Cancel orders …', of, () => ask(cancelling(row))),
    row.authority_until && button(house, 'Extend authority …', admin, () => ask(extending(row))),
    button(house, 'Remove …', admin, () => ask(removing(row))),
  ].filter(Boolean);
  return all.length > 0 && h('div.buttons-row.others', { key: 'others' }, all);
}

function stopping(row) {
  return {
    title: `Stop ${row.account}?`,
    lines: ['All its orders are cancelled, every position is closed at the market\'s price, and the account halts. It stays halted until a person arms it again.'],
    word: row.account, verb: 'Stop it', tone: 'danger', meanwhile: STOPPING,
    act: async () => {
      const stopped = await send('POST', `/accounts/${row.account}/stop`);
      return stopped.flat ? `${row.account} is stopped and holds nothing.` : goesOn([stopped]);
    },
  };
}

function arming(row) {
  return {
    title: `Arm ${row.account} again?`,
    lines: [`It is halted: ${row.status_reason || 'no reason given'}.`, 'From the next candle on it trades again.'],
    word: row.account, verb: 'Arm it',
    act: async () => {
      await send('POST', `/accounts/${row.account}/rearm`, { confirm: row.account });
      return `${row.account} trades again.`;
    },
  };
}

function cancelling(row) {
  return {
    title: `Cancel orders of ${row.account}?`,
    lines: ['Everything that rests and protects nothing is cancelled, whoever placed it.'],
    fields: [
      { name: 'symbol', label: 'Symbol', options: [['', 'all'], ...(row.config.symbols ?? []).map((each) => [each, each])], value: '' },
      { name: 'protection', kind: 'check', label: 'Stops and targets too', hint: 'Then their positions are closed at the market\'s price first.' },
    ],
    word: row.account, verb: 'Cancel them', tone: 'danger',
    act: async ({ symbol, protection }) => {
      const came = await send('POST', `/accounts/${row.account}/orders/cancel`, { ...(symbol && { symbol }), ...(protection && { protection: true }) });
      return steered(came, `${row.account}: ${came.orders.length ? `${plural(came.orders.length, 'order')} done with.` : 'nothing rested that could be cancelled.'}`);
    },
  };
}
