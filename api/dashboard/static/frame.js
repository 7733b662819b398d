/* What surrounds every page: the health strip above, the menu, the help, and the questions that are asked. */

import { send } from './api.js';
import { button, goesOn, STOPPING } from './controls.js';
import { dialog, modal } from './dialog.js';
import { h } from './dom.js';
import { count, plural } from './format.js';
import { icon } from './icons.js';
import { badge, notice } from './parts.js';
import { PAGES } from './pages.js';
import { outage } from './standing.js';
import { liveWords, strip } from './vitals.js';

export function frame(house, state, page, update) {
  const ask = (asked) => {
    state.dialog = { ...asked, opener: document.activeElement };
    update();
  };
  return [
    h('a.skip', { key: 'skip', href: '#main', onclick: skip }, 'Skip to the content'),
    h('header.strip', { key: 'strip' }, brand(house, state, update), strip(house, state, update), stopButton(house, ask)),
    h('nav.menu', { key: 'menu', class: state.menu ? 'open' : '', 'aria-label': 'Pages' }, menu(house, state)),
    h('main', { key: 'main', id: 'main', tabindex: '-1' },
      h('div.page-head', null, h('h1', null, page.title), page.lead && h('p', null, page.lead)),
      notLive(house),
      house.sessionError && notice('warn', `Who is looking is not known: ${house.sessionError.message}. The server decides what may be done.`),
      h('div.page', { key: page.title }, page.view(ask))),
    h('p.ears', { key: 'told', role: 'status' }, liveWords(house).spoken),
    said(house),
    help(state, update),
    dialog(house, state, update),
  ];
}

function skip(event) {
  event.preventDefault();
  document.getElementById('main').focus();
}

function brand(house, state, update) {
  return h('div.brand-box', null,
    h('button.menu-button', {
      type: 'button', 'aria-expanded': String(state.menu), 'aria-label': 'Menu',
      onclick: () => {
        state.menu = !state.menu;
        update();
      },
    }, icon(state.menu ? 'close' : 'menu')),
    h('a.brand', { href: '#/', 'aria-label': 'Perpetua: overview' }, h('img', { src: '/assets/icon.svg', alt: '', width: '24', height: '24' }), h('span', null, 'Perpetua')),
    house.status?.data && mode(house.status.data.mode));
}

/** What came of what one had done. It is always there: ears are told only of what appears in it. */
function said(house) {
  const { text, tone } = house.said ?? {};
  return h('div.spoken', { key: 'spoken', role: 'status', 'aria-label': 'What came of it' }, text && h('div.notice', { key: text, class: tone }, icon(tone === 'good' ? 'check' : 'cross'), h('div', null, text),
    h('button', { type: 'button', 'aria-label': 'Take this away', onclick: () => house.hush() }, icon('close'))));
}

const MODES = { paper: ['Paper', 'info', 'an emulated exchange: no real money'], testnet: ['Testnet', 'info', "the exchange's test network: no real money"], live: ['Live money', 'warn', 'real money'] };

function mode(name) {
  const [text, tone, title] = MODES[name] ?? [name, 'info', ''];
  return badge(text, tone, title);
}

function notLive(house) {
  const stream = house.trading;
  const gone = outage(house);
  if (!stream || (!gone && (stream.live || stream.state === 'connecting'))) return null;
  const asked = gone ? `${gone.why}. What is shown is as of then, and may be otherwise by now.` : `${stream.why || 'the stream is closed'}. It is asked for every 5 s meanwhile.`;
  return h('div.not-live', { key: 'not-live', class: gone ? 'bad' : '' }, icon('warn'),
    h('p', null, h('strong', null, 'This page is not live'), `: ${asked}`),
    stream.state === 'reconnecting' && h('button', { type: 'button', onclick: () => stream.retry() }, 'Try now'));
}

function menu(house, state) {
  const groups = [...new Set(PAGES.map((page) => page.group))];
  return [
    accountChoice(house),
    groups.map((group) => h('div.group', { key: group }, h('p', null, group),
      h('ul', null, PAGES.filter((page) => page.group === group && house.may(page.scope ?? 'read', page.whole ? undefined : house.session?.account)).map((page) => h('li', { key: page.name },
        h('a', { href: `#/${page.name}`, 'aria-current': page.name === state.route.name ? 'page' : null }, icon(page.icon), page.title, page.name === 'alerts' && standingAlerts(house))))))),
    h('div.foot', { key: 'foot' },
      house.session?.name && h('p', null, house.session.name, h('small', null, ` may ${house.session.scope}${house.session.account ? ` ${house.session.account}` : ''}`)),
      house.session?.expires && h('button', { type: 'button', onclick: () => leave(house) }, 'Sign out'),
      h('a', { href: '/docs' }, 'API'),
      h('p.hint', null, h('kbd', null, '?'), ' for keys')),
  ];
}

function standingAlerts(house) {
  const standing = house.alerts?.items.length;
  return standing ? h('span.count', { title: 'standing' }, count(standing)) : null;
}

async function leave(house) {
  await send('DELETE', '/session').catch(() => {});
  house.signOut('');
}

function accountChoice(house) {
  if (house.accounts.length < 2) return null;
  return h('label.account-choice', { key: 'account' }, h('span', null, 'Account'),
    h('select', {
      value: house.account,
      onchange: ({ target }) => {
        house.choose(target.value);
        dispatchEvent(new Event('perpetua:account'));
      },
    }, h('option', { value: '', selected: !house.account }, `All ${count(house.accounts.length)}`),
    house.accounts.map((each) => h('option', { key: each.account, value: each.account, selected: house.account === each.account }, each.account))));
}

function stopButton(house, ask) {
  return h('div.stop-box', null, button(house, [icon('stop'), h('span', null, 'Stop all')], { key: 'stop', kind: 'danger' }, () => ask(stopEverything(house))));
}

function stopEverything(house) {
  return {
    title: 'Stop everything?',
    lines: [
      `Every account (${house.accounts.map((each) => each.account).join(', ')}) cancels its orders, closes its positions at the market's price and halts.`,
      'Nothing trades again until a person arms each account anew.',
    ],
    word: 'stop all',
    verb: 'Stop everything',
    tone: 'danger',
    meanwhile: STOPPING,
    act: async () => {
      const stopped = await send('POST', '/stop');
      if (stopped.some((each) => !each.flat)) return goesOn(stopped);
      return `Everything is stopped: ${plural(stopped.length, 'account')} halted, nothing is held.`;
    },
  };
}

function help(state, update) {
  if (!state.help) return null;
  const close = () => {
    state.help = false;
    update();
  };
  const keys = [['?', 'this help'], ['↑ ↓', 'walk through a list'], ['Enter', 'open'], ['Esc', 'close'], ...PAGES.map((page) => [`g ${page.key}`, page.title])];
  return h('dialog.ask', { key: 'help', 'aria-labelledby': 'help-title', created: modal, onclose: close },
    h('form', { method: 'dialog' },
      h('h2', { id: 'help-title' }, 'Keys'),
      h('dl.keys', null, keys.map(([name, what]) => h('div', { key: name }, h('dt', null, h('kbd', null, name)), h('dd', null, what)))),
      h('div.buttons', null, h('button.primary', { type: 'submit' }, 'Close'))));
}
