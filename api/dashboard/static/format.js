/*
 * Numbers as people read them. Money and quantities arrive as decimal strings; what is missing or no number is shown as
 * a dash, never as NaN.
 */

import { h } from './dom.js';

export const NOTHING = '–';
const MINUS = '−';

/** The number that *value* says, or null. */
export function number(value) {
  if (value === null || value === undefined || value === '') return null;
  const read = Number(value);
  return Number.isFinite(read) ? read : null;
}

const formats = new Map();

function format(read, least, most) {
  const name = `${least}/${most}`;
  if (!formats.has(name)) {
    formats.set(name, new Intl.NumberFormat('en-US', { minimumFractionDigits: least, maximumFractionDigits: most }));
  }
  const text = formats.get(name).format(Math.abs(read));
  return read < 0 && /[1-9]/.test(text) ? MINUS + text : text;
}

function signed(read, text) {
  return read > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

/** USD to the cent: 12,345.60 */
export function money(value) {
  const read = number(value);
  return read === null ? NOTHING : format(read, 2, 2);
}

/** Small sums keep the digits that tell them apart: $0.0027, $12.30 */
export function cost(value) {
  const read = number(value);
  if (read === null) return NOTHING;
  const digits = read !== 0 && Math.abs(read) < 0.1 ? 4 : 2;
  const text = format(read, digits, digits);
  return text.startsWith(MINUS) ? `${MINUS}$${text.slice(1)}` : `$${text}`;
}

/** With its sign: +12.00, −3.20 */
export function change(value) {
  const read = number(value);
  return read === null ? NOTHING : signed(read, money(read));
}

/** A fraction in per cent, with its sign: +1.24 % */
export function changePercent(value, digits = 2) {
  const read = number(value);
  return read === null ? NOTHING : signed(read, percent(read, digits));
}

/** A fraction in per cent: 12.5 % */
export function percent(value, digits = 2) {
  const read = number(value);
  return read === null ? NOTHING : `${format(read * 100, digits, digits)} %`;
}

/** A ratio such as Sharpe's. */
export function ratio(value) {
  const read = number(value);
  return read === null ? NOTHING : format(read, 2, 2);
}

export function count(value) {
  const read = number(value);
  return read === null ? NOTHING : format(read, 0, 0);
}

/** A price or quantity with the digits it came with, but for zeros that say nothing: 106,357.6 */
export function exact(value) {
  if (number(value) === null) return NOTHING;
  const text = String(value);
  if (!/^[-+]?\d+(\.\d+)?$/.test(text)) return format(number(value), 0, 8);
  const [whole, fraction = ''] = text.replace(/^[-+]/, '').split('.');
  const digits = fraction.replace(/0+$/, '');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return (text.startsWith('-') ? MINUS : '') + grouped + (digits ? `.${digits}` : '');
}

/** A price that somebody computed: as many digits as a price of its size deserves. */
export function price(value) {
  const read = number(value);
  if (read === null) return NOTHING;
  const size = Math.abs(read);
  const digits = size >= 10000 ? 1 : size >= 100 ? 2 : size >= 1 ? 4 : 6;
  return format(read, Math.min(2, digits), digits);
}

/** An element that says gain or loss by sign, arrow and colour. */
export function gain(value, text = change(value), kind = 'span') {
  const read = number(value);
  const way = read === null || !/[1-9]/.test(text) ? 'even' : read > 0 ? 'up' : 'down';
  return h(`${kind}.num.${way}`, null, text);
}

/** "1 decision", "12 decisions" */
export function plural(amount, word, many = `${word}s`) {
  return `${count(amount)} ${amount === 1 ? word : many}`;
}

/** daily_loss → daily loss */
export function words(name) {
  return String(name ?? NOTHING).replaceAll('_', ' ');
}

/** BTCUSDT → BTC / USDT with the quote set back. */
export function symbolName(symbol) {
  if (!symbol) return NOTHING;
  const quote = ['USDT', 'USDC', 'USDF', 'USD'].find((each) => symbol.endsWith(each) && symbol !== each);
  if (!quote) return h('span.symbol', null, symbol);
  return h('span.symbol', { title: symbol }, symbol.slice(0, -quote.length), h('small', null, quote));
}
