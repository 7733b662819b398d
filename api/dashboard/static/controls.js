/* What a person can have done: buttons for who may press them, and what came of it in words. */

import { h } from './dom.js';

/**
 * A button for what takes *scope* on *account*, or on the whole house; nothing for who may not press it. *name* tells
 * one deed from another: while it is under way its button does nothing more.
 */
export function button(house, text, { scope = 'operate', account, kind = '', key = text, name, label }, onclick) {
  if (!house.may(scope, account)) return null;
  const busy = house.busy.has(name);
  return h('button', { key, type: 'button', class: kind, 'aria-label': label, 'aria-disabled': busy ? 'true' : null, onclick }, text);
}

/** What became of an errand (`Steered`), in words. Throws where it is not done yet. */
export function steered({ done, left, repeated, trouble, orders }, words) {
  if (!done) throw new Error(`It is not done yet: ${[...left, trouble].filter(Boolean).join('; ') || 'the exchange has not confirmed it'}.`);
  const came = orders.map((each) => `${each.symbol} ${each.leg} ${each.state.toLowerCase().replaceAll('_', ' ')}`);
  return [words, came.length ? `${came.join(', ')}.` : '', repeated ? 'It was done before; nothing was sent again.' : '', trouble ? `${trouble}.` : ''].filter(Boolean).join(' ');
}

/** What is said while a stop is under way. */
export const STOPPING = 'The accounts are halted first; closing what they hold takes up to 20 s, and longer where the exchange does not answer. State, above, says how it stands.';

/** A stop whose accounts are not all flat yet: they are halted, and the rest is gone on with, whoever looks. */
export function goesOn(stopped) {
  const left = stopped.filter((each) => !each.flat).map(({ account, left: what, trouble }) => `${account}: ${[what.join(', ') || 'not known what is left', trouble].filter(Boolean).join('; ')}`);
  const title = 'Halted; closing goes on';
  return {
    title, words: `${title}. Left: ${left.join('. ')}.`,
    body: [
      h('p', null, 'Nothing opens any more. What is left is closed as soon as the exchange lets it, without this page; its stops rest meanwhile.'),
      h('ul.left', { 'aria-label': 'What is left' }, left.map((each) => h('li', { key: each }, each))),
    ],
  };
}

/** One line for whom some controls are missing. */
export function whoMay(house, scope) {
  const { name, scope: has, account } = house.session ?? {};
  if (!name || house.may(scope, account ?? undefined)) return null;
  return h('p.hint', { key: 'who-may' }, `${name} may ${has}${account ? ` ${account}` : ''}: the controls here take a token that may ${scope}.`);
}
