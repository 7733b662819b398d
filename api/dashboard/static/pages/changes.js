/* What is to be allowed to accounts and waits for its time, or for a second person's word. */

import { send } from '../api.js';
import { button } from '../controls.js';
import { h } from '../dom.js';
import { words } from '../format.js';
import { badge, card, table, trouble } from '../parts.js';
import { time, until } from '../time.js';

const KINDS = ['change_proposed', 'change_approved', 'change_in_force', 'change_withdrawn', 'account_added', 'account_removed', 'account'];
const STATES = { applied: ['in force', 'good'], withdrawn: ['withdrawn', 'quiet'], replaced: ['replaced', 'quiet'] };
const SHOWN_BEFORE = 20;

export class Changes {
  #house;
  #waiting;
  #decided;

  constructor({ house, resource }) {
    const account = house.account || undefined;
    this.#house = house;
    this.#waiting = resource('/changes', { account, state: 'pending' }, { kinds: KINDS });
    this.#decided = resource('/changes', { account, limit: SHOWN_BEFORE }, { kinds: KINDS });
  }

  /** Nothing where nothing waits or waited. */
  view(ask) {
    const waiting = this.#waiting.items;
    const decided = this.#decided.items.filter((each) => each.state !== 'pending');
    if (!this.#waiting.error && !waiting.length && !decided.length) return null;
    return card(waiting.length ? 'Waiting' : 'Changes', { key: 'changes', note: waiting.length ? 'what allows more takes effect later, or with a second person\'s word' : 'nothing waits' },
      trouble(this.#waiting, { what: 'what waits' }),
      waiting.length > 0 && table('Changes that wait', [
        { name: 'Change', kind: 'text wide lead', cell: what },
        { name: 'Account', cell: (each) => each.account },
        { name: 'Asked for by', cell: (each) => [each.proposed_by, h('small', null, time(each.proposed_at))] },
        { name: 'For it', cell: (each) => each.words.join(', ') || 'nobody yet' },
        { name: 'Takes effect', cell: (each) => [time(each.due_at), h('small', null, 'in ', until(each.due_at), ', or with a second word')] },
        { name: 'Your word', cell: (each) => this.#controls(each, ask) },
      ], waiting, { key: (each) => each.id }),
      decided.length > 0 && h('details.fold', { key: 'decided' }, h('summary', null, 'Decided before'), table('Changes decided before', [
        { name: 'Change', kind: 'text wide lead', cell: what },
        { name: 'Account', cell: (each) => each.account },
        { name: 'Asked for by', cell: (each) => [each.proposed_by, h('small', null, time(each.proposed_at))] },
        { name: 'Became', cell: (each) => badge(...(STATES[each.state] ?? [words(each.state), 'info'])) },
        { name: 'By', cell: (each) => [each.decided_by, h('small', null, time(each.decided_at))] },
      ], decided, { key: (each) => each.id })));
  }

  #controls(each, ask) {
    const house = this.#house;
    const admin = { account: each.account, scope: 'admin' };
    const mine = each.words.includes(house.session?.name);
    const own = each.proposed_by === house.session?.name;
    const withdraw = () => house.perform(`withdraw ${each.id}`, async () => {
      await send('POST', `/changes/${each.id}/withdraw`);
      return `Change ${each.id} never comes into force.`;
    });
    return h('div.buttons-row', null,
      mine ? h('span.hint', { key: 'mine' }, 'you are for it') : button(house, 'Approve …', admin, () => ask(approving(each))),
      button(house, own ? 'Withdraw' : 'Reject', { ...admin, key: 'withdraw', name: `withdraw ${each.id}` }, withdraw));
  }
}

function what(each) {
  return [raises(each).map((line) => h('div', { key: line }, line)), h('small', null, `change ${each.id}`)];
}

/** What it would allow, line by line. */
function raises(each) {
  return each.raises.length ? each.raises.map(words) : ['trade at all'];
}

function approving(each) {
  return {
    title: `Allow ${each.account} more?`,
    lines: [...raises(each).map((line) => `${line}.`), `${each.proposed_by} asked for it. Two people's word put it in force at once.`],
    word: each.account, verb: 'I am for it',
    act: async () => {
      const { state, words: spoken } = await send('POST', `/changes/${each.id}/approve`);
      return state === 'applied' ? `Change ${each.id} is in force.` : `You are for change ${each.id}: ${spoken.join(', ')}. It takes one more person, or its time.`;
    },
  };
}
