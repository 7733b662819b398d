/* Where the profit comes from: by side, symbol, hour, holding time, model, and how it ended. */

import { bars } from '../bars.js';
import { h } from '../dom.js';
import { change, changePercent, cost, count, gain, percent, plural, words } from '../format.js';
import { multiple } from '../holdings.js';
import { card, empty, fact, facts, notice, told } from '../parts.js';
import { TERMS, term } from '../terms.js';

const TITLES = {
  holding_time: 'By holding time', direction: 'By side', symbol: 'By symbol', hour: 'By hour of entry (UTC)', weekday: 'By weekday of entry (UTC)', model: 'By model', exit: 'By how it ended',
};

export function edge({ house, resource }) {
  const profile = resource('/edge', { account: house.account || undefined }, { kinds: ['round_trip'] });
  const view = () => told(profile, 'the edge profile', ({ total, groups, whole, caution }) => {
    if (!total.round_trips) return card('Edge', {}, empty('No position has ended yet.', 'Every closed position is counted here by side, symbol, hour, model and holding time.'));
    return [
      caution && notice('warn', caution),
      !whole && notice('info', `There are more: these are the last ${count(total.round_trips)}.`),
      h('section.card', { 'aria-label': 'All closed positions' }, facts(
        fact('Closed positions', count(total.round_trips)), fact('Won', percent(total.win_rate, 0)), fact('Profit', gain(total.profit), { note: 'after fees, with funding' }),
        fact('Gained', gain(total.gained)), fact('Lost', gain(-total.lost)), fact('Mean return', gain(total.mean_return, changePercent(total.mean_return))), fact(term('r', 'Mean in risk taken'), multiple(total.mean_r)), fact('Fees', cost(total.fees)))),
      h('div.columns', null, Object.entries(TITLES).filter(([name]) => groups[name]?.length).map(([name, title]) =>
        card(title, { key: name, note: 'profit in USD' }, bars(title, inOrder(name, groups[name]).map((row) => bar(name, row)))))),
    ];
  });
  return { title: 'Edge', lead: 'Where the profit comes from, over every closed position', view };
}

const WEEKDAYS = ['', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

/** Hours and weekdays by the clock; the rest as it came. */
function inOrder(name, rows) {
  return name === 'hour' || name === 'weekday' ? [...rows].sort((a, b) => Number(a.value) - Number(b.value)) : rows;
}

function nameOf(dimension, value) {
  if (value === null || value === '') return 'not known';
  if (dimension === 'hour') return `${String(value).padStart(2, '0')}:00`;
  return dimension === 'weekday' ? WEEKDAYS[Number(value)] : words(value).toLowerCase().replace(/^([a-z0-9]+usd[tcf]?)$/, (symbol) => symbol.toUpperCase());
}

function bar(dimension, row) {
  return {
    name: dimension === 'exit' && TERMS[row.value] ? term(row.value, nameOf(dimension, row.value)) : nameOf(dimension, row.value), key: row.value, value: row.profit, text: gain(row.profit, change(row.profit)),
    note: `${plural(row.round_trips, 'position')}, ${percent(row.win_rate, 0)} won`,
  };
}
