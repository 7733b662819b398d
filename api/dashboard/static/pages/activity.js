/* What was sent, what was filled, what was written down: to filter, to follow, to take away. */

import { send } from '../api.js';
import { button, steered } from '../controls.js';
import { cycleLink } from '../cycles.js';
import { h } from '../dom.js';
import { cost, count, exact, gain, number, NOTHING, price, symbolName, words } from '../format.js';
import { Listing } from '../listing.js';
import { badge, card, direction, empty, fold, input, narrow, orderState, select, table, tabs, toggle } from '../parts.js';
import { TERMS } from '../terms.js';
import { time, timeText } from '../time.js';

const STATES = ['INTENDED', 'UNRESOLVED', 'NEW', 'PARTIALLY_FILLED', 'FILLED', 'CANCELED', 'EXPIRED', 'REJECTED', 'ABSENT'];
const LEVELS = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'];
const CHANNELS = ['app', 'trading', 'market_data', 'llm', 'errors'];

const SYMBOL = { name: 'symbol', label: 'Symbol', symbols: true };

const reason = (row) => row.cycle && h('a', { href: cycleLink(row, row.symbol) }, timeText(row.tick, { seconds: false }));

const LISTS = {
  orders: {
    title: 'Orders', path: '/orders', kinds: ['order'],
    filters: [SYMBOL, { name: 'state', label: 'State', options: STATES }],
    none: ['No order yet.', 'One is written down before it is sent, the moment risk lets a decision through.'],
    columns: [
      { name: 'Order', kind: 'lead', cell: (each) => [symbolName(each.symbol), ' ', words(each.leg)] },
      { name: 'Account', cell: (each) => each.account },
      { name: 'Side', cell: (each) => direction(each.side) },
      { name: 'Type', cell: (each) => words(each.type.toLowerCase()) },
      { name: 'Quantity', kind: 'num', cell: (each) => (each.quantity === null ? 'whole' : exact(each.quantity)) },
      { name: 'Trigger', kind: 'num', cell: (each) => exact(each.stop_price) },
      { name: 'Filled', kind: 'num', cell: (each) => (number(each.executed_quantity) > 0 ? [exact(each.executed_quantity), h('small', null, `at ${price(each.average_price)}`)] : NOTHING) },
      { name: 'State', cell: (each, tools, ask) => [orderState(each.state, each.reason), each.reason && h('small', null, each.reason), cancellable(each) && button(tools.house, 'Cancel …', { account: each.account, label: `Cancel ${each.client_order_id} …` }, () => ask(cancelling(each)))] },
      { name: 'Sent', cell: (each) => time(each.sent_at) },
      { name: 'Reason', cell: (each) => reason(each) ?? 'not ours' },
    ],
  },
  fills: {
    title: 'Fills', path: '/trades', kinds: ['fill'], key: (each) => `${each.account} ${each.symbol} ${each.trade_id}`,
    filters: [SYMBOL],
    none: ['No fill yet.', 'Each trade of the exchange is counted here once, as soon as it is reported.'],
    columns: [
      { name: 'Symbol', kind: 'lead', cell: (each) => symbolName(each.symbol) },
      { name: 'When', cell: (each) => time(each.at) },
      { name: 'Account', cell: (each) => each.account },
      { name: 'Side', cell: (each) => direction(each.side) },
      { name: 'Quantity', kind: 'num', cell: (each) => exact(each.quantity) },
      { name: 'Price', kind: 'num', cell: (each) => exact(each.price) },
      { name: 'Realized', kind: 'num', cell: (each) => (number(each.realized_pnl) ? gain(each.realized_pnl) : NOTHING) },
      { name: 'Fee', kind: 'num', cell: (each) => `${cost(each.commission)}` },
      { name: 'Made or took', cell: (each) => (each.maker ? 'made' : 'took') },
      { name: 'Trade', kind: 'num', cell: (each) => each.trade_id },
      { name: 'Reason', cell: (each) => reason(each) ?? 'not ours' },
    ],
  },
  diary: {
    title: 'Diary', path: '/diary', kinds: ['diary'],
    filters: [],
    none: ['The diary is empty.', 'A line is written whenever a decision moves something, or is refused.'],
    columns: [
      { name: 'What', kind: 'text wide lead', cell: (each) => [h('a', { href: cycleLink(each) }, each.text), each.body?.rationale && h('small', null, each.body.rationale)] },
      { name: 'When', cell: (each) => time(each.at) },
      { name: 'Account', cell: (each) => each.account },
      { name: 'Size', kind: 'num', cell: (each) => exact(each.body?.quantity) },
      { name: 'Stop', kind: 'num', cell: (each) => exact(each.body?.stop_loss) },
      { name: 'Target', kind: 'num', cell: (each) => exact(each.body?.take_profit) },
    ],
  },
  models: {
    title: 'Model calls', path: '/llm-interactions', kinds: ['model_call'],
    filters: [{ name: 'purpose', label: 'Purpose', options: ['decision', 'fallback', 'shadow', 'replay'] }, { name: 'model', label: 'Model' }],
    none: ['No model was asked yet.', 'Each question is written down with its tokens, its cost and what went wrong.'],
    columns: [
      { name: 'Model', kind: 'lead', cell: (each) => each.answered_model ?? each.asked_model },
      { name: 'When', cell: (each) => time(each.at) },
      { name: 'Account', cell: (each) => each.account },
      { name: 'Why', cell: (each) => words(each.purpose) },
      { name: 'Tokens in', kind: 'num', cell: (each) => [count(each.prompt_tokens), each.cached_tokens > 0 && h('small', null, `${count(each.cached_tokens)} cached`)] },
      { name: 'Tokens out', kind: 'num', cell: (each) => count(each.completion_tokens) },
      { name: 'Cost', kind: 'num', cell: (each) => [cost(each.cost), each.estimated && h('small', null, 'estimated')] },
      { name: 'Took', kind: 'num', cell: (each) => `${count(each.latency_ms)} ms` },
      { name: 'Result', cell: (each) => (each.error ? badge(each.error, 'bad') : badge('answered', 'good')) },
      { name: 'Decision', cell: (each) => reason({ ...each, symbol: undefined }) },
    ],
  },
  logs: {
    title: 'Logs', path: '/logs', kinds: ['stage', 'order', 'model_call'],
    filters: [{ name: 'channel', label: 'Channel', options: CHANNELS }, { name: 'level', label: 'Level', options: LEVELS }, { name: 'text', label: 'Text' }, { name: 'reads', toggle: 'With what pages ask for', off: 'false' }],
    none: ['No line is like that.', 'The log files of this machine are read, the newest line first.'],
    columns: [
      { name: 'Message', kind: 'text wide lead', cell: (each) => [h('span', null, each.message), details(each)] },
      { name: 'Level', cell: (each) => badge(String(each.level ?? '').toLowerCase(), { ERROR: 'bad', CRITICAL: 'bad', WARNING: 'warn' }[each.level] ?? 'quiet') },
      { name: 'Real time', title: TERMS.real_time, cell: (each) => time(each.time) },
      { name: 'Channel', cell: (each) => [words(each.channel), h('small', null, each.process)] },
      { name: 'Account', cell: (each) => [each.account ?? NOTHING, each.stage && h('small', null, each.stage)] },
    ],
  },
};

/** What protects a position goes with that alone. */
function cancellable(each) {
  return ['NEW', 'PARTIALLY_FILLED'].includes(each.state) && !['stop', 'target'].includes(each.leg);
}

function cancelling(each) {
  return {
    title: `Cancel ${each.client_order_id}?`,
    lines: [`${words(each.leg)} of ${each.account}: ${each.side.toLowerCase()} ${exact(each.quantity)} ${each.symbol}. What of it was filled stays.`],
    verb: 'Cancel it', tone: 'danger',
    act: async () => steered(await send('POST', `/accounts/${each.account}/orders/${encodeURIComponent(each.client_order_id)}/cancel`), `${each.client_order_id} is cancelled.`),
  };
}

function details({ details: more }) {
  const { exception, ...rest } = more ?? {};
  const shown = Object.entries(rest).filter(([, value]) => value !== null);
  return [
    shown.length > 0 && h('div.saw', null, shown.map(([name, value]) => h('span', { key: name }, `${words(name)} `, h('b', null, typeof value === 'object' ? JSON.stringify(value) : String(value))))),
    exception && fold('Exception', exception),
  ];
}

export function activity(tools) {
  const { house } = tools;
  const kind = LISTS[tools.route.of] ? tools.route.of : 'orders';
  const { title, path, kinds, key, filters, none, columns } = LISTS[kind];
  let wanted = tools.route;
  const chosen = () => Object.fromEntries(filters.map(({ name, off }) => [name, off ? (wanted.query.get(name) ? undefined : off) : (wanted.query.get(name) ?? undefined)]));
  const list = new Listing(tools, path, { query: () => ({ account: house.account || undefined, ...chosen() }), kinds, ...(key && { name: key }) });
  const symbols = () => [...new Set((house.list?.items ?? []).flatMap((each) => each.config?.symbols ?? []))].sort();

  const field = ({ name, label, options, symbols: ours, toggle: switched }) => {
    if (switched) return h('span', { key: name }, toggle(switched, Boolean(wanted.query.get(name)), (on) => narrow(wanted, { [name]: on ? 'yes' : '' })));
    const known = ours ? symbols() : options;
    const change = (value) => narrow(wanted, { [name]: value });
    return h('span', { key: name }, known
      ? select(label, wanted.query.get(name) ?? '', [['', 'all'], ...known.map((each) => [each, ours ? each : words(each.toLowerCase())])], change)
      : input(label, wanted.query.get(name) ?? '', change));
  };

  const view = (ask) => [
    h('div.buttons-row', null, tabs('Which list', Object.entries(LISTS).map(([name, each]) => [name, each.title]), kind, (name) => {
      location.hash = `#/activity/${name}`;
    })),
    card(title, { aside: h('div.filters', null, filters.map(field), list.controls()) },
      list.view(title.toLowerCase(), (rows) => table(title, columns.map((column) => ({ ...column, cell: (each) => column.cell(each, tools, ask) })), rows, { key: list.name, walk: false }), empty(...none))),
  ];
  return {
    title: 'Activity', lead: 'Everything that was done, as it was written down', view,
    turned: (next) => {
      wanted = next;
      list.turned();
    },
  };
}
