/* Where one says which token one has. It goes to the server once and comes back as a cookie that no script can read. */

import { send } from './api.js';
import { h } from './dom.js';
import { icon } from './icons.js';
import { notice } from './parts.js';

const state = { error: '', busy: false };

export function signIn(house, begin) {
  const submit = async (event) => {
    event.preventDefault();
    const field = event.target.elements.token;
    state.busy = true;
    house.update();
    try {
      await send('POST', '/session', { token: field.value.trim() });
      state.error = '';
      field.value = '';
      await begin();
    } catch (error) {
      state.error = error.message;
    }
    state.busy = false;
    house.update();
  };
  return h('main.sign-in', { id: 'main', key: 'sign-in' },
    h('form.card', { onsubmit: submit },
      h('p.brand', null, h('img', { src: '/assets/icon.svg', alt: '', width: '28', height: '28' }), 'Perpetua'),
      h('h1', null, 'Sign in'),
      house.signedOut.why && notice('warn', house.signedOut.why),
      state.error && notice('bad', state.error),
      h('label.field', null, h('span', null, 'Token'),
        h('input', { name: 'token', type: 'password', required: true, autocomplete: 'current-password', spellcheck: 'false' })),
      h('button.primary', { type: 'submit', disabled: state.busy }, state.busy ? 'Asking …' : 'Sign in'),
      h('p.hint', null, icon('info'), 'The server showed an admin token once, when it first started. Whoever holds one can make more.')));
}
