/* Candles, and on them what was done: entries, exits, and the stops and targets of what is open. */

import { candleChart, ordered, seconds } from '../charts.js';
import { h } from '../dom.js';
import { change, changePercent, exact, gain, number, price, symbolName } from '../format.js';
import { held } from '../holdings.js';
import { Stream } from '../live.js';
import { badge, card, empty, fact, facts, narrow, select, tabs, toggle, told, trouble } from '../parts.js';
import { age, time, until } from '../time.js';

const CANDLES = 600;
const KINDS = ['position_opened', 'position_changed', 'position_closed', 'protection', 'stage'];
const MOST_TRIPS = 40;

/** What can be drawn over the candles: by TA-Lib at the server, the very numbers a model is shown. */
const OVERLAYS = {
  ema: { text: 'EMA 20 and 50', of: [
    { function: 'EMA', parameters: 'timeperiod:20', lines: [{ name: 'EMA 20', colour: '--accent', thin: true }] },
    { function: 'EMA', parameters: 'timeperiod:50', lines: [{ name: 'EMA 50', colour: '--warn', thin: true }] },
  ] },
  bands: { text: 'Bollinger bands', of: [
    { function: 'BBANDS', parameters: 'timeperiod:20', lines: [
      { name: 'upper band', output: 'upperband', colour: '--ink-3', thin: true, dashed: true },
      { name: 'lower band', output: 'lowerband', colour: '--ink-3', thin: true, dashed: true },
    ] },
  ] },
  rsi: { text: 'RSI 14', of: [{ function: 'RSI', parameters: 'timeperiod:14', lines: [{ name: 'RSI 14', colour: '--accent', pane: 1, text: (value) => value.toFixed(0) }] }] },
};

const MARKS = { trades: 'Entries and exits', levels: 'Stops and targets' };

export function market({ house, route, resource, update, later }) {
  let wanted = route;
  let series = null;
  const account = () => wanted.query.get('account') || house.account || undefined;
  const positions = resource('/positions', { account: account() }, { kinds: KINDS });
  later(() => series?.close());

  const shown = () => new Set((wanted.query.get('show') ?? 'ema,trades,levels').split(','));
  const show = (name, on) => {
    const all = shown();
    if (on) all.add(name);
    else all.delete(name);
    narrow(wanted, { show: [...all].join(',') || 'none' });
  };

  const view = () => {
    const configs = house.list?.items.filter((each) => !account() || each.account === account()).map((each) => each.config) ?? [];
    const symbols = [...new Set(configs.flatMap((each) => each.symbols ?? []))].sort();
    const timeframes = [...new Set(configs.flatMap((each) => each.timeframes ?? []))];
    if (!symbols.length) return card('Market', {}, house.list?.data ? empty('No symbol is configured.', 'Symbols come from the accounts.') : trouble(house.list ?? {}, { what: 'the accounts' }));
    const symbol = symbols.includes(wanted.query.get('symbol')) ? wanted.query.get('symbol') : symbols[0];
    const timeframe = timeframes.includes(wanted.query.get('timeframe')) ? wanted.query.get('timeframe') : timeframes[0];
    if (!series?.is(symbol, timeframe, account())) {
      series?.close();
      series = new Series(symbol, timeframe, account(), { house, resource, update });
    }
    series.draw(shown());
    const rows = series.rows;
    const open = positions.items.filter((each) => each.symbol === symbol).map((each) => held(each, house.mark(each.symbol)));
    const now = number(house.mark(symbol)) ?? number(series.forming?.close) ?? number(rows.at(-1)?.close);
    const drawn = series.lines;
    const lines = shown().has('levels') ? [...drawn, ...series.trips] : drawn;
    return [
      h('section.card', { 'aria-label': 'What is drawn' }, h('div.filters', null,
        select('Symbol', symbol, symbols.map((each) => [each, each]), (value) => narrow(wanted, { symbol: value })),
        h('div.field', null, h('span', null, 'Candles'), tabs('Candles', timeframes.map((each) => [each, each]), timeframe, (value) => narrow(wanted, { timeframe: value }))),
        [...Object.entries(OVERLAYS).map(([name, { text }]) => [name, text]), ...Object.entries(MARKS)].map(([name, text]) =>
          h('span', { key: name }, toggle(text, shown().has(name), (on) => show(name, on)))))),
      card([symbolName(symbol), ' ', h('span.price-now', { 'data-figure': 'price' }, price(now))], { note: timeframe, aside: liveWord(series.stream, rows) },
        quote(house, symbol, rows),
        h('div.chart-legend', null, drawn.map((line) => h('span', { key: line.name }, h('i.swatch', { class: line.dashed ? 'dashed' : '', style: { '--swatch': `var(${line.colour})` } }), line.name)),
          shown().has('trades') && h('span.quiet-text', { key: 'arrows' }, 'arrows: fills, each leads to its decision; exits with the profit after fees and funding')),
        told(series.candles, 'the candles', () => rows.length
          ? candleChart({
            label: `Candles of ${symbol}, ${timeframe}, the last at ${exact(rows.at(-1).close)}`, kind: 'tall', candles: rows, forming: series.forming, lines,
            levels: shown().has('levels') ? levels(open) : [], marks: shown().has('trades') ? marks(series, rows, timeframe) : [],
          })
          : empty('No candle is stored of this series.', 'They are fetched by the first cycle that needs them.')),
        trouble(series.trades, { what: 'the trades' }), trouble(series.ended, { what: 'past positions' }), series.troubles),
    ];
  };
  return { title: 'Market', lead: 'Candles with what was done on them', view, turned: (next) => { wanted = next; } };
}

/** One series of candles with all that is drawn on it, kept up to date until it is closed. */
class Series {
  #tools;
  #overlays = new Map();
  forming = null;

  constructor(symbol, timeframe, account, tools) {
    Object.assign(this, { symbol, timeframe, account });
    this.#tools = tools;
    this.candles = tools.resource('/market-data', { symbol, timeframe, limit: CANDLES }, { kinds: ['stage'] });
    this.trades = tools.resource('/trades', { symbol, account, limit: 300 }, { kinds: ['fill'] });
    this.ended = tools.resource('/positions/closed', { symbol, account, limit: MOST_TRIPS }, { kinds: ['round_trip'] });
    this.orders = tools.resource('/orders', { symbol, account, limit: 500 }, { kinds: ['order'] });
    this.stream = new Stream('/ws/market-data', { symbol, timeframe }, { heard: (message) => this.#hear(message), changed: tools.update });
  }

  is(symbol, timeframe, account) {
    return this.symbol === symbol && this.timeframe === timeframe && this.account === account;
  }

  get rows() {
    return [...this.candles.items].reverse();
  }

  /** Ask for what *shown* names and nobody has asked for yet. */
  draw(shown) {
    this.shown = shown;
    for (const [name, { of }] of Object.entries(OVERLAYS)) {
      if (!shown.has(name) || this.#overlays.has(name)) continue;
      this.#overlays.set(name, of.map(({ lines, ...asked }) => ({
        lines, answer: this.#tools.resource('/market-data/indicators', { symbol: this.symbol, timeframe: this.timeframe, limit: CANDLES, ...asked }, { kinds: ['stage'] }),
      })));
    }
  }

  get #drawn() {
    return [...this.#overlays].filter(([name]) => this.shown.has(name)).flatMap(([, all]) => all);
  }

  get lines() {
    return this.#drawn.flatMap(({ lines, answer }) => lines.map((line) => ({ ...line, points: pointsOf(answer, line.output) })));
  }

  /** Where the stop and the target of each past position lay, for as long as it was held. */
  get trips() {
    const rows = this.candles.items;
    if (!rows.length) return [];
    const first = seconds(rows.at(-1).opened);
    return this.ended.items.filter((each) => seconds(each.closed_at) > first).flatMap((each) => {
      const [from, to] = [Math.max(first, this.#at(each.opened_at)), this.#at(each.closed_at)];
      const level = (leg) => this.orders.items.find((order) => order.leg === leg && order.account === each.account && order.tick === each.tick)?.stop_price;
      return [['stop', each.first_stop ?? level('stop'), '--bad'], ['target', level('target'), '--good']].flatMap(([leg, price_, colour]) =>
        number(price_) === null || to <= from ? [] : [{ name: `${leg} ${each.account} ${each.first_trade_id}`, colour, thin: true, quiet: true, points: [{ time: from, value: Number(price_) }, { time: to, value: Number(price_) }] }]);
    });
  }

  /** The opening of the candle that a moment lies in: a time of its own would widen the chart's axis there. */
  #at(iso) {
    const length = lengthOf(this.timeframe);
    const first = seconds(this.candles.items.at(-1).opened);
    const at = seconds(iso);
    return at - ((((at - first) % length) + length) % length);
  }

  get troubles() {
    return this.#drawn.map(({ answer }) => trouble(answer, { what: 'an indicator' }));
  }

  close() {
    this.stream.close();
    for (const each of [this.candles, this.trades, this.ended, this.orders, ...[...this.#overlays.values()].flat().map(({ answer }) => answer)]) this.#tools.house.letGo(each);
  }

  #hear(message) {
    if (message.type === 'candle') {
      if (message.closed) {
        this.forming = null;
        for (const each of [this.candles, ...this.#drawn.map(({ answer }) => answer)]) each.refresh();
      } else this.forming = message;
    }
    this.#tools.update();
  }
}

const memory = new WeakMap();

/** One output of an indicator as points, made once for each answer. */
function pointsOf({ data }, output) {
  if (!data) return [];
  if (!memory.has(data)) memory.set(data, new Map());
  const made = memory.get(data);
  if (!made.has(output)) {
    made.set(output, ordered(data.items.flatMap(({ opened, values }) => {
      const value = number(output ? values[output] : Object.values(values)[0]);
      return value === null ? [] : [{ time: seconds(opened), value }];
    })));
  }
  return made.get(output);
}

function liveWord(stream, rows) {
  const last = rows.at(-1);
  const closed = last && h('span.quiet-text', null, 'last candle opened ', time(last.opened, { seconds: false }));
  return [closed, stream.live ? badge('live', 'good') : badge('as of the last cycle', 'quiet', stream.why)];
}

function quote(house, symbol, rows) {
  const told_ = house.prices.get(symbol);
  if (!told_) return null;
  const closes = rows.slice(-2).map((each) => Number(each.close));
  return facts(
    fact('Mark', exact(told_.mark), { note: age(told_.at) }),
    fact('Index', exact(told_.index)),
    fact('Funding', changePercent(told_.funding_rate, 4), { note: ['in ', until(told_.next_funding_at)] }),
    closes.length > 1 && fact('Since the last close', gain(Number(told_.mark) / closes[1] - 1, changePercent(Number(told_.mark) / closes[1] - 1))));
}

function levels(open) {
  return open.flatMap((each) => [
    { price: each.entry_price, name: `entry ${each.account}`, kind: 'entry' },
    each.stop !== null && { price: each.stop, name: `stop ${each.account}`, kind: 'stop' },
    each.target !== null && { price: each.target, name: `target ${each.account}`, kind: 'target' },
  ].filter(Boolean));
}

const SECONDS = { m: 60, h: 3600, d: 86400, w: 604800, M: 2592000 };

function lengthOf(timeframe) {
  return Number.parseInt(timeframe, 10) * SECONDS[timeframe.at(-1)];
}

/**
 * Fills as arrows at their candles; those of one order on one candle are one arrow. What ended a position tells what that
 * brought, after fees and funding as everywhere else; what only made it smaller, what that realized. Each leads to the
 * decision that it came of.
 */
function marks({ trades, ended, orders }, rows, timeframe) {
  const length = lengthOf(timeframe);
  const first = seconds(rows[0].opened);
  const profits = new Map(ended.items.map((each) => [`${each.account} ${each.last_trade_id}`, each.profit]));
  const cycles = new Map(orders.items.filter((each) => each.venue_order_id).map((each) => [`${each.account} ${each.venue_order_id}`, each.cycle]));
  const found = new Map();
  for (const fill of trades.items) {
    const at = seconds(fill.at);
    if (at < first) continue;
    const time_ = at - ((at - first) % length);
    const order = `${fill.account} ${fill.venue_order_id}`;
    const known = found.get(`${time_} ${order}`) ?? { time: time_, way: fill.side === 'BUY' ? 'buy' : 'sell', realized: 0, profit: null, cycle: cycles.get(order) };
    known.realized += Number(fill.realized_pnl);
    known.profit ??= profits.get(`${fill.account} ${fill.trade_id}`) ?? null;
    found.set(`${time_} ${order}`, known);
  }
  return [...found.values()].sort((a, b) => a.time - b.time).map(({ time: time_, way, realized, profit, cycle }) => ({
    time: time_, way, text: profit !== null ? `exit ${change(profit)}` : realized ? `part ${change(realized)} before fees` : 'entry', href: cycle && `#/decisions/${cycle}`,
  }));
}
