/* The accounts: how much of each limit is used, and what a person can do about them. */

import { send } from '../api.js';
import { h } from '../dom.js';
import { cost, count, exact, money, number, NOTHING, percent, words } from '../format.js';
import { accountStatus, card, empty, fact, facts, fold, meter, notice, table, told, trouble } from '../parts.js';
import { age, duration, time, until } from '../time.js';

export function accounts({ house, resource, update }) {
  const account = house.account || undefined;
  const changes = resource('/changes', { account }, { kinds: ['change', 'account'] });
  const state = { error: '', done: '' };

  /** Ask for *method* on *path* and say what came of it: *done* makes words of the answer, or throws. */
  const act = async (method, path, body, done) => {
    try {
      const answer = await send(method, path, body);
      Object.assign(state, { error: '', done: done(answer) });
    } catch (error) {
      Object.assign(state, { error: error.message, done: '' });
      throw error;
    } finally {
      house.refreshAll();
      update();
    }
  };

  const view = (ask) => [
    (state.error || state.done) && h('div', { 'aria-live': 'polite', key: 'said' }, state.error ? notice('bad', state.error) : notice('good', state.done)),
    pending(changes, house, act),
    told(house.list, 'the accounts', ({ items }) => {
      const shown = items.filter((each) => !house.account || each.account === house.account);
      return shown.length ? shown.map((each) => accountCard(each, house, ask, act)) : card('', {}, empty('No account is configured.', 'One appears here once the API has read its configuration.'));
    }),
  ];
  return { title: 'Accounts', lead: 'Limits in force and used, and the controls', view };
}

function accountCard(row, house, ask, act) {
  const standing = house.accounts.find((each) => each.account === row.account);
  const config = row.config ?? {};
  return card([row.account, accountStatus(row.status, row.status_reason)], { key: row.account, aside: controls(row, house, ask, act) },
    row.status !== 'active' && row.status_reason && notice(row.status === 'halted' ? 'bad' : 'warn', row.status_reason),
    row.stop && notice(row.stop.finished_at ? 'info' : 'bad', h('strong', null, row.stop.finished_at ? 'Stopped: nothing is left. ' : 'Being stopped. '), `${row.stop.asked_by} asked for it `, age(row.stop.asked_at), row.stop.left.length ? `; left: ${row.stop.left.join(', ')}` : ''),
    Object.entries(row.breakers ?? {}).map(([name, why]) => h('div', { key: name }, notice('bad', h('strong', null, `Breaker ${words(name)}: `), why))),
    facts(
      fact('Equity', money(row.equity), { note: row.equity_at ? age(row.equity_at) : 'none yet' }),
      fact('Deposited', money(row.deposited)),
      fact('Model', config.model ?? NOTHING, { note: config.fallback_models?.length ? `then ${config.fallback_models.join(', ')}` : 'no fallback' }),
      fact('Symbols', (config.symbols ?? []).join(' ')),
      fact('Decides every', duration(config.interval), { note: standing?.next_tick ? ['next in ', until(standing.next_tick)] : 'not scheduled' }),
      fact('Leverage', `${count(config.leverage)}×`, { note: `at most ${count(config.limits?.max_leverage)}×` }),
      row.authority_until && fact('May open until', time(row.authority_until, { seconds: false }), { note: ['for ', until(row.authority_until)] })),
    limitsUsed(row, house),
    fold('Every limit and setting in force', config));
}

const EFFECTS = {
  entries: ['Entries', 'cut down or refused beyond'],
  breaker: ['Breakers', 'nothing opens once reached'],
  model: ['Models', 'no model is asked once spent'],
  requests: ['Requests', 'what is not urgent waits'],
};

function limitsUsed(row, house) {
  const found = house.limits.data?.items.find((each) => each.account === row.account);
  const all = found?.limits ?? [];
  return [
    trouble(house.limits, { what: 'how much of each limit is used' }),
    found && all.length <= 1 && empty('Not known yet how much is used.', 'It is reckoned when the first cycle has been reconciled.'),
    all.length > 1 && h('div.limit-groups', null, Object.entries(EFFECTS).map(([effect, [title, what]]) => {
      const rows = all.filter((each) => each.effect === effect);
      return rows.length > 0 && h('div', { key: effect }, h('h3', null, title, h('small', null, ` ${what}`)), h('ul.limits', null, rows.map(limitRow)));
    })),
  ];
}

function limitRow(each) {
  return h('li', { key: each.limit }, h('span.name', null, words(each.limit).replace(/^max /, '')),
    h('span.value.num', null, amount(each, each.used), h('small', null, each.allowed === null ? ' no limit' : ` of ${amount(each, each.allowed)}`)),
    meter(each.share, { label: words(each.limit), tone: each.standing ? 'bad' : undefined }),
    each.standing && h('small.standing', null, each.standing));
}

function amount({ limit, unit }, value) {
  if (number(value) === null) return NOTHING;
  if (unit === 'usd') return cost(value);
  if (unit === 'fraction') return percent(value, 1);
  return exact(value) + (limit === 'max_leverage' ? '×' : '');
}

function controls(row, house, ask, act) {
  const button = (text, scope, onclick, kind = '') => {
    const may = house.may(scope);
    return h('button', { key: text, type: 'button', class: kind, disabled: !may, title: may ? undefined : `this takes the scope ${scope}; your token has ${house.session?.scope}`, onclick }, text);
  };
  const post = (verb, said) => () => act('POST', `/accounts/${row.account}/${verb}`, undefined, () => said).catch(() => {});
  const stopped = row.status === 'halted';
  return h('div.buttons-row', null,
    button('Change a limit …', 'admin', () => ask(changing(row, act))),
    row.status === 'active' && button('Pause', 'operate', post('pause', `${row.account} is paused: it opens nothing; what is open stays protected.`)),
    row.status === 'paused' && button('Resume', 'operate', post('resume', `${row.account} trades again.`), 'primary'),
    stopped && button('Arm again …', 'operate', () => ask(arming(row, act)), 'primary'),
    !stopped && button('Stop …', 'operate', () => ask(stopping(row, act)), 'danger'));
}

function stopping(row, act) {
  return {
    title: `Stop ${row.account}?`,
    lines: ['All its orders are cancelled, every position is closed at the market\'s price, and the account halts. It stays halted until a person arms it again.'],
    word: row.account, verb: 'Stop it', tone: 'danger',
    act: () => act('POST', `/accounts/${row.account}/stop`, undefined, ({ flat, left, trouble: why }) =>
      flat ? `${row.account} is stopped and holds nothing.` : `${row.account} is halted and being flattened; left: ${[...left, why].filter(Boolean).join(', ')}.`),
  };
}

function arming(row, act) {
  return {
    title: `Arm ${row.account} again?`,
    lines: [`It is halted: ${row.status_reason || 'no reason given'}.`, 'From the next candle on it trades again.'],
    word: row.account, verb: 'Arm it',
    act: () => act('POST', `/accounts/${row.account}/rearm`, { confirm: row.account }, () => `${row.account} trades again.`),
  };
}

function changing(row, act) {
  const limits = Object.entries(row.config?.limits ?? {}).filter(([, value]) => value === null || typeof value !== 'object');
  return {
    title: `Change a limit of ${row.account}`,
    lines: ['A limit that is lowered holds at once. One that is raised may have to wait for its time, or for a second person\'s word.'],
    fields: [
      { name: 'limit', label: 'Limit', options: limits.map(([name, value]) => [name, `${words(name)} (now ${value})`]), value: 'max_leverage' },
      { name: 'value', label: 'New value', required: true },
    ],
    verb: 'Change it',
    act: ({ limit, value }) => act('PATCH', `/accounts/${row.account}`, { version: row.version, risk: { [limit]: value.trim() } }, ({ account, warnings }) =>
      [account.change ? `It waits as change ${account.change} for its time or a second person.` : `${words(limit)} is ${value.trim()} now.`, ...warnings].join(' ')),
  };
}

/** Changes that wait for their time or for a second person. */
function pending(changes, house, act) {
  const waiting = changes.items.filter((each) => each.state === 'pending');
  if (!changes.error && !waiting.length) return null;
  const may = house.may('admin');
  const post = (each, verb, said) => () => act('POST', `/changes/${each.id}/${verb}`, undefined, () => said).catch(() => {});
  return card('Waiting', { note: 'what allows more takes effect later, or with a second person\'s word' }, trouble(changes, { what: 'what waits' }),
    waiting.length > 0 && table('Changes that wait', [
      { name: 'Change', kind: 'text lead', cell: (each) => [h('strong', null, each.kind === 'add' ? 'trade at all' : each.raises.map(words).join(', ')), h('small', null, `change ${each.id}`)] },
      { name: 'Account', cell: (each) => each.account },
      { name: 'Proposed', cell: (each) => [each.proposed_by, h('small', null, time(each.proposed_at))] },
      { name: 'For it', cell: (each) => each.words.join(', ') || 'nobody yet' },
      { name: 'In force', cell: (each) => [time(each.due_at), h('small', null, 'in ', until(each.due_at))] },
      { name: 'Say', cell: (each) => h('div.buttons-row', null,
        h('button', { type: 'button', disabled: !may, onclick: post(each, 'approve', 'You are for it.') }, 'Approve'),
        h('button', { type: 'button', disabled: !may, onclick: post(each, 'withdraw', 'It is withdrawn.') }, 'Withdraw')) },
    ], waiting, { key: (each) => each.id }));
}
