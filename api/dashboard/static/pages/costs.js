/* What trading costs beside what it loses: fees, funding and the models, by day and for each decision. */

import { bars } from '../bars.js';
import { h } from '../dom.js';
import { cost, count, gain, number, NOTHING, percent } from '../format.js';
import { Listing } from '../listing.js';
import { card, empty, fact, facts, table, told } from '../parts.js';
import { day } from '../time.js';

export function costs(tools) {
  const { house, resource } = tools;
  const account = house.account || undefined;
  const list = new Listing(tools, '/costs', { query: () => ({ account }), kinds: ['model_call', 'fill', 'income'], name: (row) => `${row.account} ${row.day}` });
  const performance = resource('/performance', { account }, { kinds: ['fill', 'income', 'equity'] });

  const view = () => {
    const rows = list.items;
    const of = (name) => rows.reduce((sum, row) => sum + (number(row[name]) ?? 0), 0);
    const all = (name) => performance.items.reduce((sum, row) => sum + (number(row[name]) ?? 0), 0);
    const [fees, funding, models] = [all('fees'), -all('funding'), of('cost')];
    const trips = all('round_trips');
    const profit = all('profit');
    return [
      card('All together', { note: 'since the accounts are known' }, told(performance, 'fees and funding', () => [
        facts(
          fact('Fees', cost(fees), { note: trips ? `${cost(fees / trips)} a round trip` : null }),
          fact('Funding paid', cost(funding), { note: funding < 0 ? 'received, that is' : null }),
          fact('Models', cost(models), { note: of('decisions') ? `${cost(models / of('decisions'))} a decision` : null }),
          fact('In all', cost(fees + funding + models)),
          fact('Profit after all of it', gain(profit - models), { note: 'fees and funding are in the equity already' })),
        bars('Costs by kind', [
          { name: 'Fees', value: fees, text: cost(fees) }, { name: 'Funding', value: funding, text: cost(funding) }, { name: 'Models', value: models, text: cost(models) },
        ]),
      ])),
      card('Models by day', { note: 'UTC days', aside: list.controls() }, list.view('the costs', (shown) => table('Costs by day', [
        { name: 'Day', kind: 'lead', cell: (each) => day(each.day) },
        { name: 'Account', cell: (each) => each.account },
        { name: 'Models', kind: 'num', cell: (each) => [cost(each.cost), each.estimated > 0 && h('small', null, `${count(each.estimated)} estimated`)] },
        { name: 'Budget used', kind: 'num', cell: (each) => used(house, each) },
        { name: 'Questions', kind: 'num', cell: (each) => count(each.calls) },
        { name: 'Decisions', kind: 'num', cell: (each) => [count(each.decisions), h('small', null, `${cost(each.cost_per_decision)} each`)] },
        { name: 'Entries', kind: 'num', cell: (each) => [count(each.entries), h('small', null, each.cost_per_entry === null ? '' : `${cost(each.cost_per_entry)} each`)] },
      ], shown, { key: list.name }), empty('Nothing was spent yet.', 'The first question to a model is the first cost.'))),
    ];
  };
  return { title: 'Costs', lead: 'Fees, funding and models: what is paid, whoever wins', view };
}

function used(house, row) {
  const budget = number(house.config(row.account).model_options?.daily_budget);
  return budget ? percent(number(row.cost) / budget, 1) : NOTHING;
}
