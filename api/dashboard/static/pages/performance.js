/* How the accounts have done: the curve, what doing nothing clever would have made, the ratios, and the models compared. */

import { lineChart, ordered, seconds } from '../charts.js';
import { h } from '../dom.js';
import { change, changePercent, cost, count, gain, money, NOTHING, percent, ratio, words } from '../format.js';
import { badge, card, empty, fact, facts, narrow, notice, table, tabs, told } from '../parts.js';
import { day, time } from '../time.js';
import { byAccount, LINE_COLOURS } from './overview.js';

export function performance({ house, route, resource }) {
  let wanted = route;
  const account = house.account || undefined;
  const year = () => wanted.query.get('year') ?? '365';
  const equity = resource('/equity', { account, limit: 1000 }, { kinds: ['equity'] });
  const numbers = resource('/performance', { account, annualisation: year() }, { kinds: ['equity'] });
  const models = resource('/models', { account }, { kinds: ['model_call', 'decision'] });

  const view = () => [
    told(equity, 'the equity curves', () => curves(equity.items)),
    card('In numbers', {
      note: 'deposits taken out',
      aside: h('div.field.inline', null, h('span', null, 'A year has'), tabs('Days of a year', [['365', '365 days'], ['252', '252 days']], year(), (value) => narrow(wanted, { year: value === '365' ? '' : value }))),
    }, told(numbers, 'the performance', ({ items }) => (items.length ? items.map(assessed) : empty('No account yet.')))),
    card('Models compared', { note: 'each by what it proposed, whether or not it traded' }, told(models, 'the models', ({ items }) => comparison(items))),
  ];
  return {
    title: 'Performance', lead: 'How the money has done, and against what', view,
    turned: (next) => {
      wanted = next;
      numbers.narrow({ account, annualisation: year() });
    },
  };
}

/** Falls from the highest profit so far, as fractions of what the account was worth there. */
function fallen(points) {
  let peak = -Infinity;
  let base = 0;
  return points.map((point) => {
    const gained = Number(point.equity) - Number(point.deposited);
    if (gained >= peak) [peak, base] = [gained, Number(point.equity)];
    return { time: seconds(point.at), value: base > 0 ? (gained - peak) / base : 0 };
  });
}

function curves(rows) {
  const all = byAccount(rows).filter(([, points]) => points.length > 1);
  if (!all.length) return card('Equity', {}, empty('No curve yet.', 'A point is written at the end of every cycle; from the second on there is a line.'));
  return all.map(([account, points], place) => {
    const lines = [
      { name: 'profit and loss', colour: LINE_COLOURS[place % LINE_COLOURS.length], area: 'above', text: change, points: ordered(points.map((point) => ({ time: seconds(point.at), value: Number(point.equity) - Number(point.deposited) }))) },
      { name: 'drawdown', colour: '--bad', area: 'below', pane: 1, thin: true, text: (value) => percent(value), points: ordered(fallen(points)) },
    ];
    const last = points.at(-1);
    return card(account, { key: account, note: 'profit and loss, and below it the fall from the peak', aside: h('span.num', null, money(last.equity), ' USD ', gain(Number(last.equity) - Number(last.deposited))) },
      lineChart({ label: `Profit and loss of ${account}: now ${change(Number(last.equity) - Number(last.deposited))} USD`, lines, text: change }));
  });
}

function assessed(each) {
  return h('article.assessed', { key: each.account },
    h('h3', null, each.account, h('small', null, each.since ? [' from ', day(each.since), ' to ', time(each.until, { seconds: false })] : ' nothing yet')),
    each.caution && notice('warn', each.caution),
    facts(
      fact('Total return', gain(each.total_return, changePercent(each.total_return)), { note: `${change(each.profit)} USD` }),
      fact('Deepest fall', percent(each.max_drawdown)),
      fact('Sharpe', ratio(each.sharpe), { note: each.sharpe === null ? 'needs more days' : 'annualised' }),
      fact('Sortino', ratio(each.sortino), { note: each.sortino === null ? 'needs more days' : 'annualised' }),
      fact('Round trips', count(each.round_trips)),
      fact('Win rate', percent(each.win_rate, 1), { note: each.win_rate === null ? 'none has ended yet' : null }),
      fact('Profit factor', ratio(each.profit_factor), { note: each.profit_factor === null ? 'no loss yet' : null }),
      fact('Fees', cost(each.fees)),
      fact('Funding', gain(each.funding))));
}

function comparison(items) {
  return [table('Models compared', [
    { name: 'Model', kind: 'lead', cell: (each) => [each.model, h('small', null, each.prompt_version)] },
    { name: 'Account', cell: (each) => each.account },
    { name: 'Asked as', cell: (each) => badge(words(each.purpose), each.purpose === 'shadow' ? 'quiet' : 'info') },
    { name: 'Asked', kind: 'num', cell: (each) => [count(each.asked), h('small', null, `${count(each.answered)} answered`)] },
    { name: 'Entries', kind: 'num', cell: (each) => [count(each.entries), h('small', null, `${count(each.approved)} approved`)] },
    { name: 'Scored', kind: 'num', cell: (each) => [count(each.scored), h('small', null, `${count(each.targets)} targets, ${count(each.stops)} stops`)] },
    { name: 'Hit rate', kind: 'num', cell: (each) => percent(each.hit_rate, 0) },
    { name: 'Mean result', kind: 'num', cell: (each) => gain(each.mean_result, changePercent(each.mean_result)) },
    { name: 'Cost', kind: 'num', cell: (each) => [cost(each.cost), h('small', null, `${cost(each.cost_per_decision)} a decision`)] },
    { name: 'Latency', kind: 'num', cell: (each) => `${count(each.latency_ms)} ms` },
    { name: 'Caution', kind: 'text', cell: (each) => each.caution ?? NOTHING },
  ], items, { key: (each) => `${each.account} ${each.model} ${each.prompt_version} ${each.purpose}`, none: empty('No model was asked yet.', 'Each is scored once it is known how its entries would have ended.') })];
}
