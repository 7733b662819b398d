/* The state of one's money in five seconds: what it is worth, whether it is safe, what happened last. */

import { lineChart, ordered, seconds } from '../charts.js';
import { byCycle, cycleRow } from '../cycles.js';
import { h } from '../dom.js';
import { change, changePercent, cost, exact, gain, money, number, percent, plural, symbolName, words } from '../format.js';
import { held, level, profit, protectionBadge, spanLine, total } from '../holdings.js';
import { icon } from '../icons.js';
import { accountStatus, badge, card, direction, empty, fact, facts, meter, table, told, trouble } from '../parts.js';
import { age, clock } from '../time.js';
import { killState, stageMarks } from '../vitals.js';

const POSITION_KINDS = ['position_opened', 'position_changed', 'position_closed', 'protection', 'order', 'stage'];

export function overview({ house, resource }) {
  const account = house.account || undefined;
  const positions = resource('/positions', { account }, { kinds: POSITION_KINDS });
  const orders = resource('/orders', { account, state: 'NEW', limit: 500 }, { kinds: POSITION_KINDS });
  const equity = resource('/equity', { account, limit: 1000 }, { kinds: ['equity'] });
  const decisions = resource('/decisions', { account, limit: 60 }, { kinds: ['decision', 'stage'] });
  const performance = resource('/performance', { account }, { kinds: ['equity'] });

  const view = () => {
    const open = positions.items.map((each) => held(each, orders.items, house.mark(each.symbol)));
    return [
      hero(house, open, equity, performance, positions),
      attention(house),
      h('div.columns.wide-left', null,
        card('Equity', { note: 'profit and loss only: deposits are taken out', aside: h('a', { href: '#/performance' }, 'Performance') },
          told(equity, 'the equity curve', () => equityChart(equity.items))),
        card('Accounts', { aside: h('a', { href: '#/accounts' }, 'Limits and controls') }, accountsView(house, performance))),
      card('Open positions', { note: open.length ? plural(open.length, 'position') : '', aside: h('a', { href: '#/positions' }, 'All about them') },
        trouble(orders, { what: 'the resting orders' }), told(positions, 'the positions', () => positionsView(open))),
      card('Latest decisions', { aside: h('a', { href: '#/decisions' }, 'All decisions') },
        told(decisions, 'the decisions', () => latest(decisions.items, house))),
    ];
  };
  return { title: 'Overview', view };
}

/** The points of *rows* by account, oldest first. */
export function byAccount(rows) {
  const curves = new Map();
  for (const row of [...rows].reverse()) {
    if (!curves.has(row.account)) curves.set(row.account, []);
    curves.get(row.account).push(row);
  }
  return [...curves].sort(([a], [b]) => a.localeCompare(b));
}

const gained = (point) => Number(point.equity) - Number(point.deposited);

function hero(house, open, equity, performance, positions) {
  const accounts = house.chosen;
  const worth = accounts.some((each) => number(each.equity) !== null) ? accounts.reduce((sum, each) => sum + (number(each.equity) ?? 0), 0) : null;
  const today = sinceMidnight(equity.items);
  const items = performance.items;
  const profitNow = worth === null ? null : accounts.reduce((sum, each) => sum + (number(each.equity) ?? 0) - (number(each.deposited) ?? 0), 0);
  const deposited = accounts.reduce((sum, each) => sum + (number(each.deposited) ?? 0), 0);
  const deepest = Math.max(...items.map((each) => number(each.max_drawdown) ?? 0), 0);
  return h('section.card.hero', { 'aria-label': 'The state of your money' },
    h('div', null,
      h('p.label', null, accounts.length > 1 ? `Equity of ${plural(accounts.length, 'account')}` : 'Equity'),
      h('p.worth', { 'data-figure': 'equity' }, money(worth), h('small', null, 'USD')),
      h('p.today', null, today === null ? h('span.quiet-text', null, 'today: not known yet') : [gain(today.change), ' ', gain(today.share, changePercent(today.share)), h('span.quiet-text', null, ' today (UTC)')])),
    facts(
      fact('Profit since start', gain(profitNow), { note: deposited > 0 ? changePercent(profitNow === null ? null : profitNow / deposited) : null }),
      fact('In open positions', gain(positions.data ? total(open, 'unrealized') : null), { note: positions.data ? `${money(total(open, 'notional'))} held` : null }),
      fact('If every stop is hit', open.length ? gain(total(open, 'atStop')) : positions.data ? 'nothing open' : null, { note: open.length ? 'from now, before costs' : null }),
      fact('Deepest fall', items.length ? percent(deepest) : '–', { note: 'from a peak' })),
    sentence(house, open, positions));
}

/** What was gained since UTC midnight, from the newest point before it. */
function sinceMidnight(rows) {
  const midnight = new Date(clock.now()).setUTCHours(0, 0, 0, 0);
  let [before, after] = [0, 0];
  let base = 0;
  for (const [, points] of byAccount(rows)) {
    const start = points.findLast((point) => Date.parse(point.at) < midnight) ?? points[0];
    before += gained(start);
    after += gained(points.at(-1));
    base += Number(start.equity);
  }
  return base > 0 ? { change: after - before, share: (after - before) / base } : null;
}

/** Everything in one sentence, the gravest first. */
function sentence(house, open, positions) {
  if (!house.status?.data || !positions.data) return null;
  const naked = open.filter((each) => each.naked);
  const kill = killState(house.chosen);
  const newest = house.chosen.map((each) => each.last_tick).filter(Boolean).sort().at(-1);
  const cycles = newest ? ['last cycle ', age(newest), '.'] : ['the first cycle begins at the next candle.'];
  const what = open.length ? plural(open.length, 'open position') : 'nothing open';
  if (naked.length) {
    return says('bad', h('strong', null, `${plural(naked.length, 'position')} without a stop at the exchange. `), 'It is placed or the position closed within seconds; if this stays, look at Positions.');
  }
  const safe = open.length === 0 ? '' : open.length === 1 ? ', protected by a stop at the exchange' : ', every one protected by a stop at the exchange';
  const tone = kill.tone === 'quiet' ? 'warn' : kill.tone;
  return says(tone, h('strong', null, `${kill.text}. `), `${what[0].toUpperCase()}${what.slice(1)}${safe}; `, cycles);
}

function says(tone, ...words_) {
  return h('p.sentence', { class: tone }, icon(tone === 'good' ? 'check' : tone === 'bad' ? 'cross' : 'warn'), h('span', null, words_));
}

/** What a person should look at; nothing when there is nothing. */
function attention(house) {
  const lines = [];
  for (const each of house.chosen) {
    const row = house.list?.items.find(({ account }) => account === each.account);
    if (each.status !== 'active') lines.push([each.account, accountStatus(each.status), each.status_reason || 'no reason given']);
    for (const [name, why] of Object.entries(row?.breakers ?? {})) lines.push([each.account, badge(`breaker: ${words(name)}`, 'bad'), why]);
    if (each.models?.manage_only_since) lines.push([each.account, badge('manages only', 'warn'), each.models.reason]);
    if (each.unsettled_orders) lines.push([each.account, badge(plural(each.unsettled_orders, 'unsettled order'), 'warn'), 'what became of them is being found out; their symbols open nothing meanwhile']);
  }
  if (!lines.length) return null;
  return card('Needs your eye', {}, h('ul.attention', null, lines.map(([account, mark, why], place) => h('li', { key: `${account} ${place}` }, h('strong', null, account), mark, h('span', null, why)))));
}

export const LINE_COLOURS = ['--accent', '--warn', '--good', '--bad', '--ink-2'];

function equityChart(rows) {
  const curves = byAccount(rows);
  if (!curves.some(([, points]) => points.length > 1)) return empty('No curve yet.', 'A point is written at the end of every cycle; from the second on there is a line.');
  const lines = curves.map(([account, points], place) => ({
    name: account, colour: LINE_COLOURS[place % LINE_COLOURS.length], area: curves.length === 1,
    points: ordered(points.map((point) => ({ time: seconds(point.at), value: gained(point) }))),
  }));
  return [
    h('div.chart-legend', null, lines.map((line) => h('span', { key: line.name }, h('i.swatch', { style: { '--swatch': `var(${line.colour})` } }), line.name, ' ', gain(line.points.at(-1).value)))),
    lineChart({ label: `Profit and loss over time: ${lines.map((line) => `${line.name} ${change(line.points.at(-1).value)}`).join(', ')}`, lines, text: change, kind: 'overview' }),
  ];
}

function accountsView(house, performance) {
  if (!house.chosen.length) return empty('No account is configured.', 'An account appears here once the API has read its configuration.');
  return h('div.account-list', null, house.chosen.map((each) => {
    const numbers = performance.items.find(({ account }) => account === each.account);
    const budget = number(house.config(each.account).model_options?.daily_budget);
    const profitNow = number(each.equity) === null ? null : Number(each.equity) - Number(each.deposited);
    return h('article.account-line', { key: each.account },
      h('header', null, h('h3', null, each.account), accountStatus(each.status, each.status_reason), h('span.worth.num', null, money(each.equity))),
      h('p', null, gain(profitNow), ' ', gain(numbers?.total_return, changePercent(numbers?.total_return)), ` · ${plural(each.open_positions, 'position')} · `, house.config(each.account).model ?? ''),
      h('p.row', null, stageMarks(each), h('span.quiet-text', null, each.last_tick ? age(each.last_tick) : 'no cycle yet'),
        budget !== null && h('span.budget', null, meter(number(each.models?.spent) / budget, { label: `Model budget of ${each.account} used` }), h('small', null, `${cost(each.models?.spent ?? 0)} of ${cost(budget)}`))));
  }));
}

function positionsView(open) {
  return table('Open positions', [
    { name: 'Symbol', cell: (each) => symbolName(each.symbol), kind: 'lead' },
    { name: 'Account', cell: (each) => each.account },
    { name: 'Side', cell: (each) => direction(each.direction) },
    { name: 'Size', kind: 'num', cell: (each) => [exact(each.quantity), h('small', null, `${money(each.notional)} USD`)] },
    { name: 'Profit now', kind: 'num', cell: profit },
    { name: 'Stop, entry, now, target', kind: 'whole', cell: spanLine },
    { name: 'Stop', kind: 'num', cell: (each) => level(each.stop?.price, each.stopAway) },
    { name: 'Protection', cell: protectionBadge },
  ], open, {
    key: (each) => `${each.account} ${each.symbol} ${each.direction}`, tone: (each) => (each.naked ? 'alarm' : ''),
    none: empty('Nothing is open.', 'A position appears here the moment an entry fills, with its stop and its target.'),
  });
}

function latest(rows, house) {
  const cycles = byCycle(rows);
  if (!cycles.length) return empty('No decision yet.', 'The first is made when the next candle closes.');
  const moves = cycles.filter((cycle) => cycle.rows.some((row) => row.action !== 'hold'));
  const shown = [...new Set([...cycles.slice(0, 3), ...moves])].sort((a, b) => cycles.indexOf(a) - cycles.indexOf(b)).slice(0, 8);
  return h('div.timeline', { 'data-walk': true }, shown.map((cycle) => cycleRow(cycle, { accounts: house.accounts.length > 1 })));
}
