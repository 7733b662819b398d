/* What is asked before an account is added or changed: a field for everything that can be said of one. */

import { send } from '../api.js';
import { h } from '../dom.js';
import { words } from '../format.js';
import { clock, settingText, utc } from '../time.js';

const MONTH_MS = 30 * 86_400_000;

const list = { read: (text) => text.split(/[\s,]+/).filter(Boolean), shown: (value) => (value ?? []).join(', ') };
const plain = { read: (text) => text, shown: (value) => String(value ?? '') };
const figure = { read: (text) => (Number.isNaN(Number(text)) ? text : Number(text)), shown: (value) => (value === null || value === undefined ? '' : String(value)) };
const span = { read: (text) => text, shown: settingText };

/** What can be said beside limits: *name* is its path in what is said, *of* finds what is in force. */
const TRADES = [
  { name: 'symbols', label: 'Symbols', ...list, of: (row) => row.config.symbols, hint: 'As the exchange lists them, such as BTCUSDT, ETHUSDT' },
  { name: 'interval', label: 'Decides every', ...span, of: (row) => row.config.interval, hint: 'Such as 5m, 1h, 1d' },
  { name: 'timeframes', label: 'Candles', ...list, of: (row) => row.config.timeframes, hint: 'Such as 5m, 4h' },
  { name: 'leverage', label: 'Leverage', kind: 'number', ...figure, of: (row) => row.config.leverage, hint: 'Set at the exchange; the limit is max leverage' },
];

const MODEL = [
  { name: 'model', label: 'Model', ...plain, of: (row) => row.config.model, hint: 'As its service names it: author/model' },
  { name: 'fallback_models', label: 'Then these', ...list, of: (row) => row.config.fallback_models, hint: 'Asked in this order when the model does not answer' },
  { name: 'llm.daily_budget_usd', label: 'USD a day for models', kind: 'number', ...figure, of: (row) => row.config.model_options?.daily_budget, hint: 'Once spent, what is open is only managed' },
  { name: 'llm.temperature', label: 'Temperature', kind: 'number', ...figure, of: (row) => row.config.model_options?.temperature },
  { name: 'llm.max_tokens', label: 'Most tokens of an answer', kind: 'number', ...figure, of: (row) => row.config.model_options?.max_tokens },
  { name: 'shadows', label: 'Asked for comparison', read: (text) => list.read(text).map((model) => ({ model })), shown: (value) => (value ?? []).map((each) => each.model).join(', '), of: (row) => row.said.shadows, hint: 'Models that move nothing' },
];

const PROMPT = [
  { name: 'prompt', label: 'Prompt template', kind: 'area', ...plain, of: (row) => row.said.prompt, hint: 'Empty: the template that comes with Perpetua, or the one that the configuration names' },
];

const VARIABLE = 'Such as ${STEADY_KEY}';
const NAMED = 'named by a variable of the server, never told';

const KEYS = [
  { name: 'exchange.private_key', label: 'Signer wallet: private key', ...plain, of: (row) => row.said.exchange?.private_key, hint: VARIABLE },
  { name: 'exchange.user', label: 'Signer wallet: address it signs for', ...plain, of: (row) => row.said.exchange?.user, hint: '0x…, or the name of a variable' },
  { name: 'exchange.api_key', label: 'Or API key', ...plain, of: (row) => row.said.exchange?.api_key, hint: VARIABLE },
  { name: 'exchange.api_secret', label: 'API secret', ...plain, of: (row) => row.said.exchange?.api_secret, hint: VARIABLE },
  { name: 'llm.api_key', label: 'Key of the models\' service', ...plain, of: (row) => row.said.llm?.api_key, hint: VARIABLE },
];

const ID = { name: 'id', label: 'Name', ...plain, of: () => '', required: true, hint: 'Small letters, digits, - and _; it cannot be changed later' };
const UNTIL = { name: 'authority_until', label: 'May open positions until (UTC)', kind: 'moment', read: (text) => `${text}:00Z`, shown: (value) => (value ? new Date(Date.parse(value)).toISOString().slice(0, 16) : '') };

const KINDS_OF_LIMITS = [
  ['Entries', 'beyond them an entry is cut down or refused', (name) => !/^global_/.test(name) && !BREAKING.test(name)],
  ['Breakers', 'once reached, nothing opens', (name) => !/^global_/.test(name) && BREAKING.test(name)],
  ['All accounts together', 'the strictest account counts', (name) => /^global_/.test(name)],
];
const BREAKING = /daily_loss|drawdown|losses_in|failures|refusals|exposure_held|cool_off|lift_|flatten_/;

/** A field for each limit there is: which there are, one learns of any account. */
function limitFields(limits) {
  const all = Object.entries(limits ?? {}).sort(([a, one], [b, other]) => Array.isArray(one) - Array.isArray(other) || a.localeCompare(b));
  return all.map(([limit, known]) => {
    const way = Array.isArray(known) ? list : /^P/.test(known ?? '') ? span : plain;
    return { name: `risk.${limit}`, label: words(limit), ...way, of: (row) => row.config.limits[limit], limit };
  });
}

function limitGroups(fields, row, { folded = false } = {}) {
  return KINDS_OF_LIMITS.map(([title, note, belongs]) => ({
    title: folded ? `Limits: ${title.toLowerCase()}` : title, note, folded, fields: fields.filter(({ limit }) => belongs(limit)).map((field) => described(field, row)),
  })).filter(({ fields: some }) => some.length);
}

/** A field as the dialog wants it; of an account that is not there yet it is empty. */
function described({ read, shown, of, limit, ...field }, row) {
  return row ? { ...field, value: shown(of(row)) } : field;
}

/** What is said where *values* differ from what *row* shows; emptied is taken back. */
function said(fields, values, row) {
  const body = {};
  for (const { name, read, shown, of } of fields) {
    const text = (values[name] ?? '').trim();
    if (text === (row ? shown(of(row)).trim() : '')) continue;
    const path = name.split('.');
    const last = path.pop();
    let into = body;
    for (const part of path) into = into[part] ??= {};
    into[last] = text === '' ? null : read(text);
  }
  return body;
}

/** What came of an account that was added or changed. */
function configured({ account, warnings }, done) {
  const waits = account.change && `What allows it more waits as change ${account.change}, for its time or a second person's word.`;
  return [done, waits, ...warnings].filter(Boolean).join(' ');
}

/** Add an account; *like* is any that there is already. */
export function adding(like) {
  const limits = limitFields(like?.config.limits);
  const fields = [ID, ...TRADES, ...MODEL, ...KEYS, UNTIL, ...PROMPT, ...limits];
  return {
    title: 'Add an account',
    lines: ['What is left empty, the settings say. It trades from its next candle on; with real money only after its time, or a second person\'s word.'],
    groups: [
      { title: 'Account', fields: [described(ID), ...TRADES.map((each) => described(each)), described(UNTIL)] },
      { title: 'Model', fields: MODEL.map((each) => described(each)) },
      { title: 'Keys', note: `${NAMED}; on paper none is needed`, fields: KEYS.map((each) => described(each)) },
      { title: 'Prompt', folded: true, fields: PROMPT.map((each) => described(each)) },
      ...limitGroups(limits, null, { folded: true }),
    ],
    verb: 'Add it',
    act: async (values) => configured(await send('POST', '/accounts', said(fields, values)), `${values.id} is added.`),
  };
}

function changing(row, { title, lines, fields, groups }) {
  return {
    title, lines, groups, verb: 'Change it',
    act: async (values) => {
      const body = said(fields, values, row);
      if (!Object.keys(body).length) throw new Error('Nothing is different yet.');
      return configured(await send('PATCH', `/accounts/${row.account}`, { version: row.version, ...body }), `${row.account} is changed.`);
    },
  };
}

const TAKEN_BACK = 'A field that is emptied takes back what was said here: the configuration holds again.';

export function settings(row) {
  return changing(row, {
    title: `Settings of ${row.account}`, lines: [TAKEN_BACK],
    fields: [...TRADES, ...MODEL, ...KEYS, ...PROMPT],
    groups: [
      { title: 'Trades', fields: TRADES.map((each) => described(each, row)) },
      { title: 'Model', fields: MODEL.map((each) => described(each, row)) },
      { title: 'Keys', folded: true, note: NAMED, fields: KEYS.map((each) => described(each, row)) },
      { title: 'Prompt', folded: true, fields: PROMPT.map((each) => described(each, row)) },
    ],
  });
}

export function limits(row) {
  const fields = limitFields(row.config.limits);
  return changing(row, {
    title: `Limits of ${row.account}`,
    lines: ['A limit that is tightened holds at once. One that is loosened may have to wait for its time, or for a second person\'s word.', TAKEN_BACK],
    fields, groups: limitGroups(fields, row),
  });
}

export function extending(row) {
  const latest = Math.max(clock.now(), Date.parse(row.authority_until)) + MONTH_MS;
  return {
    title: `Extend the authority of ${row.account}`,
    lines: [`It may open positions until ${utc(row.authority_until)}; what is open then stays managed and protected. A later end may have to wait for its time, or for a second person's word.`],
    fields: [{ ...described(UNTIL), value: UNTIL.shown(new Date(latest).toISOString()), required: true }],
    word: row.account, verb: 'Extend it',
    act: async (values) => configured(await send('PATCH', `/accounts/${row.account}`, { version: row.version, authority_until: UNTIL.read(values.authority_until) }), `${row.account}: until ${utc(UNTIL.read(values.authority_until))} was asked for.`),
  };
}

export function removing(row) {
  const holds = row.open_positions > 0;
  return {
    title: `Remove ${row.account}?`,
    lines: ['It runs no more and is in no list; everything it did stays on record. It stays removed although the configuration names it, until it is added again.'],
    fields: [{ name: 'flatten', kind: 'check', value: holds, label: 'Close what it holds and cancel what rests first', hint: holds ? 'It holds something now.' : 'One that is not flat is not removed without.' }],
    word: row.account, verb: 'Remove it', tone: 'danger',
    act: async ({ flatten }) => {
      await send('DELETE', `/accounts/${row.account}${flatten ? '?flatten=true' : ''}`);
      return `${row.account} is removed.`;
    },
  };
}

const STAGES = [['cycle', 'the whole cycle: all four in order'], ['fetch', 'fetch: candles and prices'], ['decide', 'decide: ask the model'], ['execute', 'execute: send what was approved'], ['reconcile', 'reconcile: compare with the exchange'], ['compare', 'compare: ask and score shadow models']];

export function invoking(row) {
  return {
    title: `Run a stage of ${row.account} now`,
    lines: ['It runs for the candle that closed last. What it did for that candle already it does not do again; what it decides is traded as always.'],
    fields: [{ name: 'stage', label: 'Stage', options: STAGES, value: 'cycle' }],
    verb: 'Run it',
    act: async ({ stage }) => {
      const result = await send('POST', `/functions/${stage}/invocations`, { account: row.account });
      return { title: `${words(stage)} of ${row.account}: ${result.repeated ? 'it had run already' : 'done'}`, body: h('pre.answer', { tabindex: '0', 'aria-label': 'What the stage did' }, JSON.stringify(result, null, 2)) };
    },
  };
}
