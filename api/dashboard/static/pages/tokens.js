/* Who may come in: tokens are made, shown once, and revoked. */

import { send } from '../api.js';
import { button } from '../controls.js';
import { h } from '../dom.js';
import { NOTHING } from '../format.js';
import { Listing } from '../listing.js';
import { badge, card, empty, notice, table } from '../parts.js';
import { time } from '../time.js';

const SCOPES = [['read', 'read: see everything'], ['operate', 'operate: pause, stop, close, run stages as well'], ['admin', 'admin: accounts, limits and tokens as well']];

export function tokens(tools) {
  const { house } = tools;
  if (!house.may('admin')) {
    return { title: 'Tokens', lead: 'Who may come in', view: () => notice('info', `Tokens take an admin's token for all accounts; ${house.session.name} may ${house.session.scope}${house.session.account ? ` ${house.session.account}` : ''}.`) };
  }
  const list = new Listing(tools, '/tokens', { query: () => ({}), kinds: [] });

  const view = (ask) => card('Tokens', { note: 'what lets somebody in is kept by nobody but its holder', aside: button(house, 'Make a token …', { scope: 'admin', kind: 'primary' }, () => ask(making(house))) },
    list.view('the tokens', (rows) => table('Tokens', [
      { name: 'Name', kind: 'lead', cell: (each) => [h('strong', null, each.name), h('small', null, h('code', null, `${each.prefix}…`))] },
      { name: 'May', cell: (each) => badge(each.scope, each.scope === 'admin' ? 'warn' : 'info') },
      { name: 'On', cell: (each) => each.account ?? 'all accounts' },
      { name: 'Made', cell: (each) => [time(each.created_at), h('small', null, `by ${each.created_by}`)] },
      { name: 'Used', cell: (each) => (each.last_used_at ? time(each.last_used_at) : 'never') },
      { name: 'Ends', cell: (each) => (each.expires_at ? time(each.expires_at) : NOTHING) },
      { name: 'State', cell: state },
      { name: 'Revoke', cell: (each) => (standing(each) ? button(house, 'Revoke …', { scope: 'admin', label: `Revoke ${each.name} …` }, () => ask(revoking(each))) : NOTHING) },
    ], rows, { key: list.name, tone: (each) => (standing(each) ? '' : 'dim') }),
    empty('There is no token.', 'Without one, only this machine is served. Make one for each person and program that is to come in.')));
  return { title: 'Tokens', lead: 'Who may come in, and what they may do', view };
}

function standing(each) {
  return !each.revoked_at && !(each.expires_at && Date.parse(each.expires_at) <= Date.now());
}

function state(each) {
  if (each.revoked_at) return [badge('revoked', 'quiet'), h('small', null, time(each.revoked_at))];
  return standing(each) ? badge('lets in', 'good') : badge('ended', 'quiet');
}

function making(house) {
  return {
    title: 'Make a token',
    lines: ['Whoever holds it may do what it says. It is shown once; a new one can always be made.'],
    fields: [
      { name: 'name', label: 'Name', required: true, hint: 'Whose it is: small letters, digits, - and _; a name is used once' },
      { name: 'scope', label: 'May', options: SCOPES, value: 'read' },
      { name: 'account', label: 'On', options: [['', 'all accounts'], ...house.accounts.map((each) => [each.account, `${each.account} alone`])], value: '' },
      { name: 'expires_in', label: 'For how long', value: '90d', hint: 'Such as 12h or 90d; empty: until it is revoked' },
    ],
    verb: 'Make it',
    act: async ({ name, scope, account, expires_in }) => {
      const body = { name: name.trim(), scope, ...(account && { account }), ...(expires_in.trim() && { expires_in: expires_in.trim() }) };
      const made = await send('POST', '/tokens', body);
      return { title: `The token of ${made.name}`, body: shownOnce(made.token) };
    },
  };
}

/** The one time that it is on a screen. */
function shownOnce(token) {
  const copy = async ({ target }) => {
    await navigator.clipboard.writeText(token);
    target.textContent = 'Copied';
  };
  return [
    notice('warn', 'Keep it now: it is shown this once, and nobody can show it again.'),
    h('code.token', { tabindex: '0', 'data-figure': 'token' }, token),
    navigator.clipboard && h('button', { type: 'button', onclick: copy }, 'Copy'),
  ];
}

function revoking(each) {
  return {
    title: `Revoke the token of ${each.name}?`,
    lines: ['It lets nobody in from now on, and cannot be given back. Sessions that were opened with it end.'],
    word: each.name, verb: 'Revoke it', tone: 'danger',
    act: async () => {
      await send('DELETE', `/tokens/${each.id}`);
      return `The token of ${each.name} lets nobody in any more.`;
    },
  };
}
