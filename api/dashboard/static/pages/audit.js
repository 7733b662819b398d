/* Who did what: every action of a person or program on this house, also the refused ones. */

import { h } from '../dom.js';
import { NOTHING, words } from '../format.js';
import { Listing } from '../listing.js';
import { badge, card, empty, fold, input, narrow, notice, table } from '../parts.js';
import { TERMS } from '../terms.js';
import { time } from '../time.js';

export function audit(tools) {
  const { house } = tools;
  let wanted = tools.route;
  const chosen = (name) => wanted.query.get(name) ?? undefined;
  if (!house.may('admin', house.session?.account)) {
    return { title: 'Audit', lead: 'Who did what', view: () => notice('info', `The audit trail takes an admin's token; ${house.session.name} may ${house.session.scope}.`) };
  }
  const list = new Listing(tools, '/audit', {
    query: () => ({ account: house.account || undefined, caller: chosen('caller'), action: chosen('action') }), kinds: ['audit'],
  });
  const change = (name) => (value) => narrow(wanted, { [name]: value });
  const view = () => card('Audit trail', { note: 'nothing here can be changed', aside: h('div.filters', null, input('Who', chosen('caller'), change('caller')), input('Action', chosen('action'), change('action')), list.controls()) },
    list.view('the audit trail', (rows) => table('Audit trail', [
      { name: 'Action', kind: 'text lead', cell: (each) => [h('strong', null, words(each.action)), each.path && h('small', null, each.path), each.body && fold('Body', each.body)] },
      { name: 'Real time', title: TERMS.real_time, cell: (each) => time(each.at) },
      { name: 'Who', cell: (each) => [each.caller ?? 'nobody we know', each.scope && h('small', null, `may ${each.scope}`)] },
      { name: 'From', cell: (each) => each.client ?? NOTHING },
      { name: 'Account', cell: (each) => each.account ?? NOTHING },
      { name: 'Outcome', cell: outcome },
      { name: 'Request', kind: 'text', cell: (each) => h('code', null, each.request_id ?? NOTHING) },
    ], rows, { key: list.name }), empty('Nobody has done anything yet.', 'Every change that is asked for is written down here, with who asked and what came of it.')));
  return {
    title: 'Audit', lead: 'Who did what, when, from where, and what came of it', view,
    turned: (next) => {
      wanted = next;
      list.turned();
    },
  };
}

function outcome(each) {
  if (each.status === null || each.status === undefined) return badge('cut short', 'warn');
  return each.status < 400 ? badge(String(each.status), 'good') : badge([each.status, each.code && words(each.code)].filter(Boolean).join(' '), 'bad');
}
