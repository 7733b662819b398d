/* The dashboard: which page is shown, and when it is drawn again. */

import { render } from './dom.js';
import { frame } from './frame.js';
import { House } from './house.js';
import { onKey } from './keys.js';
import { PAGES, NOT_FOUND } from './pages.js';
import { signIn } from './sign_in.js';

const TICK_MS = 1000;

const root = document.getElementById('app');
const house = new House(update);
const state = { menu: false, help: false, route: route(), page: null, dialog: null, begun: false };
let drawn = false;

/** The page that the address names: `#/decisions/main@…?asset=X` is the page `decisions` of one thing. */
function route() {
  const [path, query = ''] = decodeURI(location.hash.slice(1) || '/').split('?');
  const [name = '', ...rest] = path.split('/').filter(Boolean);
  return { name, of: rest.join('/') || null, query: new URLSearchParams(query) };
}

function update() {
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(draw);
}

function draw() {
  drawn = false;
  if (house.signedOut) {
    state.page?.close?.();
    state.page = null;
    render(root, signIn(house, begin));
    document.title = 'Sign in · Perpetua';
    return;
  }
  if (!state.page) return;
  render(root, frame(house, state, state.page, update));
  document.title = `${state.page.title} · Perpetua`;
}

/** Open the page that the address names; one that is only narrowed otherwise stays. */
function turn({ focus = true } = {}) {
  if (!state.begun) return;
  const wanted = route();
  const same = state.page && state.route.name === wanted.name && state.route.of === wanted.of;
  state.route = wanted;
  state.menu = false;
  if (same && state.page.turned) {
    state.page.turned(wanted);
    update();
    return;
  }
  state.page?.close?.();
  state.page = open(wanted);
  if (focus) {
    scrollTo(0, 0);
    requestAnimationFrame(() => document.getElementById('main')?.focus({ preventScroll: true }));
  }
  update();
}

function open(wanted) {
  const found = PAGES.find((page) => page.name === wanted.name);
  const held = [];
  const tools = {
    house,
    route: wanted,
    update,
    /** A resource that is let go with the page. */
    resource: (...rest) => {
      const resource = house.resource(...rest);
      held.push(() => house.letGo(resource));
      return resource;
    },
    listen: (listener) => held.push(house.listen(listener)),
    later: (undo) => held.push(undo),
  };
  const page = found ? found.open(tools) : NOT_FOUND.open(tools);
  return {
    ...page,
    close: () => {
      for (const undo of held) undo();
    },
  };
}

async function begin() {
  state.begun = false;
  const signedOut = await house.begin();
  state.begun = !signedOut;
  if (!signedOut) turn({ focus: false });
  update();
}

addEventListener('hashchange', () => turn());
addEventListener('online', () => house.trading?.retry());
addEventListener('keydown', (event) => onKey(event, state, update));
addEventListener('perpetua:account', () => {
  state.page?.close?.();
  state.page = null;
  turn({ focus: false });
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) update();
});
setInterval(update, TICK_MS);
begin();
