/* What trading costs, whoever wins: fees, funding and models, by day, by trade and by decision. */

import { bars } from '../bars.js';
import { h } from '../dom.js';
import { cost, count, gain, money, number, NOTHING, percent, plural } from '../format.js';
import { Listing } from '../listing.js';
import { card, empty, fact, facts, table } from '../parts.js';
import { TERMS } from '../terms.js';
import { day } from '../time.js';

export function costs(tools) {
  const { house } = tools;
  const list = new Listing(tools, '/costs', { query: () => ({ account: house.account || undefined }), kinds: ['model_call', 'fill', 'income'], name: (row) => `${row.account} ${row.day}`, limit: 200 });
  const view = () => [
    list.items.length > 0 && together(list),
    card('By day', { note: 'UTC days, USD', aside: list.controls() }, list.view('the costs', (rows) => table('Costs by day', [
      { name: 'Day', kind: 'lead', cell: (each) => day(each.day) },
      { name: 'Account', cell: (each) => each.account },
      { name: 'Fees', kind: 'num', cell: (each) => [cost(each.fees), each.fees_per_trade !== null && h('small', null, `${cost(each.fees_per_trade)} a fill`)] },
      { name: 'Funding', kind: 'num', cell: (each) => gain(each.funding) },
      { name: 'Models', kind: 'num', cell: (each) => [about(each.cost, each.cost_estimated), each.cost_per_decision !== null && h('small', null, `${about(each.cost_per_decision, each.cost_estimated)} a decision`)] },
      { name: 'In all', kind: 'num', cell: (each) => [about(each.total, each.cost_estimated), each.total_per_round_trip !== null && h('small', null, `${about(each.total_per_round_trip, each.cost_estimated)} a closed position`)] },
      { name: 'Model budget', kind: 'num', cell: (each) => used(house, each) },
      { name: 'Fills', kind: 'num', title: TERMS.fill, cell: (each) => [count(each.trades), h('small', null, `${money(each.turnover)} turned over`)] },
      { name: 'Decisions', kind: 'num', cell: (each) => [count(each.decisions), h('small', null, `${plural(each.entries, 'entry', 'entries')}${each.cost_per_entry === null ? '' : `, ${cost(each.cost_per_entry)} each`}`)] },
      { name: 'Questions', kind: 'num', cell: (each) => [count(each.calls), each.estimated > 0 && h('small', null, `${count(each.estimated)} estimated`)] },
    ], rows, { key: list.name }), empty('Nothing was spent yet.', 'The first question to a model is the first cost.'))),
  ];
  return { title: 'Costs', lead: 'Fees, funding and models: what is paid, whoever wins', view };
}

/** A sum that is an estimate as soon as a part of it is: the service did not tell what some questions cost. */
function about(sum, estimated) {
  return number(estimated) > 0 ? `about ${cost(sum)}` : cost(sum);
}

function together(list) {
  const of = (name) => list.items.reduce((sum, row) => sum + (number(row[name]) ?? 0), 0);
  const [fees, funding, models, guessed, trips, decisions] = [of('fees'), -of('funding'), of('cost'), of('cost_estimated'), of('round_trips'), of('decisions')];
  return card('All together', { note: `of the ${list.items.length > 1 ? `${count(list.items.length)} account days` : 'day'} below` },
    facts(
      fact('Fees', cost(fees), { note: of('trades') ? `${cost(fees / of('trades'))} a fill` : null }),
      fact('Funding', cost(funding), { note: funding < 0 ? 'received, that is' : 'paid' }),
      fact('Models', about(models, guessed), { note: [decisions ? `${about(models / decisions, guessed)} a decision` : '', guessed > 0 ? h('small.estimated', null, `${percent(guessed / models, 0)} of it estimated`) : ''] }),
      fact('In all', about(of('total'), guessed), { note: trips ? `${about(of('total') / trips, guessed)} a closed position` : null }),
      fact('Of the turnover', of('turnover') ? `${guessed > 0 ? 'about ' : ''}${percent(of('total') / of('turnover'), 3)}` : NOTHING, { note: `${money(of('turnover'))} USD` })),
    bars('Costs by kind', [{ name: 'Fees', value: fees, text: cost(fees) }, { name: 'Funding', value: funding, text: cost(funding) }, { name: 'Models', value: models, text: about(models, guessed) }]));
}

function used(house, row) {
  const budget = number(house.config(row.account).model_options?.daily_budget);
  return budget ? percent(number(row.cost) / budget, 1) : NOTHING;
}
