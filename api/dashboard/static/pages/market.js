/* Candles, and on them what was done: entries, exits, and the stops and targets of what is open. */

import { candleChart, ordered, seconds } from '../charts.js';
import { h } from '../dom.js';
import { changePercent, exact, gain, money, number, price, symbolName } from '../format.js';
import { held } from '../holdings.js';
import { bands, ema, rsi } from '../indicators.js';
import { Stream } from '../live.js';
import { badge, card, empty, fact, facts, narrow, select, tabs, toggle, told, trouble } from '../parts.js';
import { age, time, until } from '../time.js';

const CANDLES = 600;
const KINDS = ['position_opened', 'position_changed', 'position_closed', 'protection', 'order'];

export function market({ house, route, resource, update, later }) {
  let [wanted, candles, trades, stream, forming, chosen] = [route, null, null, null, null, ''];
  const account = () => wanted.query.get('account') || house.account || undefined;
  const positions = resource('/positions', { account: account() }, { kinds: KINDS });
  const orders = resource('/orders', { account: account(), state: 'NEW', limit: 500 }, { kinds: KINDS });

  const choices = () => {
    const configs = house.list?.items.filter((each) => !account() || each.account === account()).map((each) => each.config) ?? [];
    return {
      symbols: [...new Set(configs.flatMap((each) => each.symbols ?? []))].sort(),
      timeframes: [...new Set(configs.flatMap((each) => each.timeframes ?? []))],
    };
  };

  /** Ask for another series when another is looked at. */
  const follow = (symbol, timeframe) => {
    const name = `${symbol} ${timeframe} ${account()}`;
    if (name === chosen) return;
    chosen = name;
    forming = null;
    stream?.close();
    if (candles) {
      candles.narrow({ symbol, timeframe, limit: CANDLES });
      trades.narrow({ symbol, account: account(), limit: 300 });
    } else {
      candles = resource('/market-data', { symbol, timeframe, limit: CANDLES }, { kinds: ['stage'] });
      trades = resource('/trades', { symbol, account: account(), limit: 300 }, { kinds: ['fill'] });
    }
    stream = new Stream('/ws/market-data', { symbol, timeframe }, {
      heard: (message) => {
        if (message.type === 'candle') {
          if (message.closed) candles.refresh();
          else forming = message;
        }
        update();
      },
      changed: update,
    });
  };
  later(() => stream?.close());

  const view = () => {
    const { symbols, timeframes } = choices();
    if (!symbols.length) return card('Market', {}, house.list?.data ? empty('No symbol is configured.', 'Symbols come from the accounts.') : trouble(house.list ?? {}, { what: 'the accounts' }));
    const symbol = symbols.includes(wanted.query.get('symbol')) ? wanted.query.get('symbol') : symbols[0];
    const timeframe = timeframes.includes(wanted.query.get('timeframe')) ? wanted.query.get('timeframe') : timeframes[0];
    follow(symbol, timeframe);
    const shown = new Set((wanted.query.get('show') ?? 'ema,trades,levels').split(','));
    const show = (name, on) => {
      if (on) shown.add(name);
      else shown.delete(name);
      narrow(wanted, { show: [...shown].join(',') || 'none' });
    };
    const rows = [...candles.items].reverse();
    const open = positions.items.filter((each) => each.symbol === symbol).map((each) => held(each, orders.items, house.mark(each.symbol)));
    const now = number(house.mark(symbol)) ?? number(forming?.close) ?? number(rows.at(-1)?.close);
    return [
      h('section.card', { 'aria-label': 'Which series' }, h('div.filters', null,
        select('Symbol', symbol, symbols.map((each) => [each, each]), (value) => narrow(wanted, { symbol: value })),
        h('div.field', null, h('span', null, 'Candles'), tabs('Candles', timeframes.map((each) => [each, each]), timeframe, (value) => narrow(wanted, { timeframe: value }))),
        [['ema', 'EMA 20 and 50'], ['bands', 'Bollinger bands'], ['rsi', 'RSI 14'], ['trades', 'Entries and exits'], ['levels', 'Stops and targets']].map(([name, text]) =>
          h('span', { key: name }, toggle(text, shown.has(name), (on) => show(name, on)))))),
      card([symbolName(symbol), ' ', h('span.price-now', { 'data-figure': 'price' }, price(now))], {
        note: timeframe, aside: liveWord(stream, rows),
      },
      h('div', null, quote(house, symbol, rows)),
      told(candles, 'the candles', () => rows.length
        ? candleChart({
          label: `Candles of ${symbol}, ${timeframe}, the last at ${exact(rows.at(-1).close)}`, kind: 'tall', candles: rows, forming: forming?.symbol === symbol && forming.timeframe === timeframe ? forming : null,
          lines: lines(rows, shown), levels: shown.has('levels') ? levels(open) : [], marks: shown.has('trades') ? marks(trades.items, rows, timeframe) : [],
        })
        : empty('No candle is stored of this series.', 'They are fetched by the first cycle that needs them.')),
      trouble(trades, { what: 'the trades' })),
    ];
  };
  return { title: 'Market', lead: 'Candles with what was done on them', view, turned: (next) => { wanted = next; } };
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

let memory = { name: '', lines: [] };

function lines(rows, shown) {
  const wanted = ['ema', 'bands', 'rsi'].filter((name) => shown.has(name));
  const name = [wanted, rows.length, rows[0].opened, rows.at(-1).opened, rows[0].symbol, rows[0].timeframe].join(' ');
  if (memory.name !== name) memory = { name, lines: computed(rows, wanted) };
  return memory.lines;
}

function computed(rows, wanted) {
  const closes = rows.map((each) => Number(each.close));
  const points = (values) => ordered(values.flatMap((value, place) => (value === null ? [] : [{ time: seconds(rows[place].opened), value }])));
  const found = [];
  if (wanted.includes('ema')) {
    found.push({ name: 'EMA 20', colour: '--accent', thin: true, points: points(ema(closes, 20)) }, { name: 'EMA 50', colour: '--warn', thin: true, points: points(ema(closes, 50)) });
  }
  if (wanted.includes('bands')) {
    const { upper, lower } = bands(closes, 20, 2);
    found.push({ name: 'upper band', colour: '--ink-3', thin: true, dashed: true, points: points(upper) }, { name: 'lower band', colour: '--ink-3', thin: true, dashed: true, points: points(lower) });
  }
  if (wanted.includes('rsi')) found.push({ name: 'RSI 14', colour: '--accent', pane: 1, text: (value) => value.toFixed(0), points: points(rsi(closes, 14)) });
  return found;
}

function levels(open) {
  return open.flatMap((each) => [
    { price: each.entry_price, name: `entry ${each.account}`, kind: 'entry' },
    each.stop && { price: each.stop.price, name: `stop ${each.account}`, kind: 'stop' },
    each.target && { price: each.target.price, name: `target ${each.account}`, kind: 'target' },
  ].filter(Boolean));
}

const SECONDS = { m: 60, h: 3600, d: 86400, w: 604800, M: 2592000 };

/** Fills as arrows at their candles; those of one order on one candle are one arrow. */
function marks(trades, rows, timeframe) {
  const length = Number.parseInt(timeframe, 10) * SECONDS[timeframe.at(-1)];
  const first = seconds(rows[0].opened);
  const found = new Map();
  for (const fill of trades) {
    const at = seconds(fill.at);
    if (at < first) continue;
    const time_ = at - ((at - first) % length);
    const name = `${time_} ${fill.venue_order_id} ${fill.account}`;
    const known = found.get(name) ?? { time: time_, way: fill.side === 'BUY' ? 'buy' : 'sell', quantity: 0, profit: 0, account: fill.account };
    known.quantity += Number(fill.quantity);
    known.profit += Number(fill.realized_pnl);
    found.set(name, known);
  }
  return [...found.values()].sort((a, b) => a.time - b.time).map(({ time: time_, way, profit }) => ({ time: time_, way, text: profit ? `exit ${money(profit)}` : 'entry' }));
}
