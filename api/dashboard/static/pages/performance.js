/* How the accounts have done: the curve beside buying and holding, the ratios, what they prove, and the models compared. */

import { lineChart } from '../charts.js';
import { bought, Curves, fallen, grown, line, LINE_COLOURS } from '../curves.js';
import { h } from '../dom.js';
import { change, changePercent, cost, count, gain, money, NOTHING, number, percent, plural, ratio, words } from '../format.js';
import { Listing } from '../listing.js';
import { badge, card, empty, fact, facts, loading, narrow, notice, table, tabs, told, trouble } from '../parts.js';
import { term } from '../terms.js';
import { day, time } from '../time.js';

const BENCHMARKS = { buy_and_hold: 'Buy and hold', random_entry: 'Random entries', no_model: 'No model' };

export function performance(tools) {
  const { house, route, resource } = tools;
  let wanted = route;
  const account = house.account || undefined;
  const year = () => wanted.query.get('year') ?? '365';
  const period = () => wanted.query.get('period') ?? 'day';
  const curves = new Curves(tools, 500);
  const numbers = resource('/performance', { account, annualisation: year() }, { kinds: ['equity'] });
  const models = resource('/models', { account }, { kinds: ['model_call', 'decision', 'proposal'] });
  const returns = new Listing(tools, '/performance/returns', { query: () => ({ account, period: period() }), kinds: ['equity'], name: (each) => `${each.account} ${each.start}`, limit: 30 });

  const view = () => [
    curves.all.map((each, place) => curveCard(each, place, numbers.items.find((record) => record.account === each.account))),
    card('In numbers', {
      note: 'deposits taken out',
      aside: h('div.field.inline', null, h('span', null, 'A year has'), tabs('Days of a year', [['365', '365 days'], ['252', '252 days']], year(), (value) => narrow(wanted, { year: value === '365' ? '' : value }))),
    }, told(numbers, 'the performance', ({ items }) => (items.length ? items.map(assessed) : empty('No account yet.')))),
    card('Returns', {
      note: 'UTC',
      aside: [tabs('Period', [['day', 'daily'], ['week', 'weekly'], ['month', 'monthly']], period(), (value) => narrow(wanted, { period: value === 'day' ? '' : value })), returns.controls()],
    }, returns.view('the returns', returnsTable, empty('No period yet.', 'The first begins with the first cycle.'))),
    card('Models compared', { note: 'each by what it proposed, whether or not it traded' }, told(models, 'the models', ({ items }) => comparison(items))),
  ];
  return {
    title: 'Performance', lead: 'How the money has done, and against what', view,
    turned: (next) => {
      wanted = next;
      numbers.narrow({ account, annualisation: year() });
      returns.turned();
    },
  };
}

function curveCard({ account, answer, awaited, points }, place, record) {
  if (awaited) return card(account, { key: account }, loading());
  if (points.length < 2) {
    return card(account, { key: account }, trouble(answer, { what: 'its curve' }), empty('No curve yet.', 'A point is written at the end of every cycle; from the second on there is a line.'));
  }
  const lines = [
    { name: account, colour: LINE_COLOURS[place % LINE_COLOURS.length], area: 'above', text: (value) => changePercent(value), points: line(points, grown) },
    { name: 'buy and hold', colour: '--ink-3', dashed: true, text: (value) => changePercent(value), points: line(points, bought) },
    { name: 'drawdown', colour: '--bad', area: 'below', pane: 1, thin: true, text: (value) => percent(value), points: line(points, fallen) },
  ].filter((each) => each.points.length > 0);
  const [last, held] = [points.at(-1), points.findLast((point) => point.buy_and_hold !== null)];
  const symbols = answer.data.symbols;
  return card(account, { key: account, aside: record && h('span.num', null, money(record.equity), ' USD ', gain(record.profit)) },
    trouble(answer, { what: 'its curve' }),
    h('div.chart-legend', null,
      legend(lines[0].colour, account, last.growth - 1), held && legend('--ink-3', `buying and holding ${symbols.join(', ')}`, held.buy_and_hold - 1, 'dashed'),
      h('span', null, h('i.swatch', { style: { '--swatch': 'var(--bad)' } }), 'drawdown ', h('span.num', null, percent(-last.drawdown)))),
    lineChart({ label: `Growth of ${account}: ${changePercent(last.growth - 1)}${held ? `, buying and holding ${changePercent(held.buy_and_hold - 1)}` : ''}`, lines }));
}

function legend(colour, name, value, kind = '') {
  return h('span', { key: name }, h('i.swatch', { class: kind, style: { '--swatch': `var(${colour})` } }), name, ' ', gain(value, changePercent(value)));
}

function assessed(each) {
  const { sample } = each;
  return h('article.assessed', { key: each.account },
    h('h3', null, each.account, h('small', null, each.since ? [' from ', day(each.since), ' to ', time(each.until, { seconds: false })] : ' nothing yet')),
    sample && notice(sample.enough ? 'info' : 'warn', h('strong', null, sample.enough ? 'What its trades prove: ' : 'Too few trades to tell: '), sample.word),
    facts(
      fact('Total return', gain(each.total_return, changePercent(each.total_return)), { note: `${change(each.profit)} USD` }),
      fact(term('drawdown', 'Deepest fall'), percent(each.max_drawdown)),
      fact(term('sharpe', 'Sharpe'), ratio(each.sharpe), { note: each.sharpe === null ? 'needs more days' : `± ${ratio(each.sharpe_error)}, annualised` }),
      fact(term('sortino', 'Sortino'), ratio(each.sortino), { note: each.sortino === null ? 'needs more days' : 'annualised' }),
      fact('Closed positions', count(each.round_trips), { note: term('fill', plural(each.trades, 'fill')) }),
      fact('Win rate', percent(each.win_rate, 1), { note: each.win_rate === null ? 'none has ended yet' : null }),
      fact(term('profit_factor', 'Profit factor'), ratio(each.profit_factor), { note: each.profit_factor === null ? 'no loss yet' : null }),
      fact('Fees', cost(each.fees)), fact('Funding', gain(each.funding)), fact('Models', cost(each.model_cost), { note: ['not taken off; ', h('a', { href: '#/costs' }, 'what of it is estimated')] })),
    each.benchmarks?.length > 0 && table(`What ${each.account} is held against`, [
      { name: 'Held against', kind: 'lead', cell: (row) => BENCHMARKS[row.name] ?? words(row.name) },
      { name: 'Return', kind: 'num', cell: (row) => gain(row.total_return, changePercent(row.total_return)) },
      { name: 'Deepest fall', kind: 'num', cell: (row) => percent(row.max_drawdown) },
      { name: 'The account', kind: 'num', cell: (row) => ahead(row, each) },
      { name: 'What it is', kind: 'text wide', cell: (row) => row.word },
    ], each.benchmarks, { key: (row) => row.name }));
}

/** How much better or worse the account did: dice are held against its same trades. */
function ahead(row, record) {
  const own = number(row.own ?? record.total_return);
  const other = number(row.total_return);
  return own === null || other === null ? NOTHING : gain(own - other, changePercent(own - other));
}

function returnsTable(rows) {
  return table('Returns', [
    { name: 'From', kind: 'lead', cell: (each) => day(each.start) },
    { name: 'Account', cell: (each) => each.account },
    { name: 'Return', kind: 'num', cell: (each) => gain(each.total_return, changePercent(each.total_return)) },
    { name: 'Profit', kind: 'num', cell: (each) => gain(each.profit) },
    { name: 'Deepest fall', kind: 'num', cell: (each) => percent(each.drawdown) },
    { name: 'Equity at its end', kind: 'num', cell: (each) => money(each.equity) },
  ], rows, { key: (each) => `${each.account} ${each.start}` });
}

function comparison(items) {
  return table('Models compared', [
    { name: 'Model', kind: 'lead', cell: (each) => [each.model, h('small', null, `${each.account}, prompt ${each.prompt_version}`), each.caution && h('small.caution', null, each.caution)] },
    { name: 'Asked as', cell: (each) => badge(words(each.purpose), each.purpose === 'shadow' ? 'quiet' : 'info') },
    { name: 'Asked', kind: 'num', cell: (each) => [count(each.asked), h('small', null, `${count(each.answered)} answered`)] },
    { name: 'Entries', kind: 'num', cell: (each) => [count(each.entries), h('small', null, `${count(each.approved)} approved`)] },
    { name: 'Scored', kind: 'num', cell: (each) => [count(each.scored), h('small', null, `${count(each.targets)} targets, ${count(each.stops)} stops`)] },
    { name: 'Hit rate', kind: 'num', cell: (each) => percent(each.hit_rate, 0) },
    { name: 'Mean result', kind: 'num', cell: (each) => gain(each.mean_result, changePercent(each.mean_result)) },
    { name: 'Cost', kind: 'num', cell: (each) => [cost(each.cost), h('small', null, `${cost(each.cost_per_decision)} a decision`)] },
    { name: 'Latency', kind: 'num', cell: (each) => `${count(each.latency_ms)} ms` },
  ], items, { key: (each) => `${each.account} ${each.model} ${each.prompt_version} ${each.purpose}`, none: empty('No model was asked yet.', 'Each is scored once it is known how its entries would have ended.') });
}
