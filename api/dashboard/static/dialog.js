/*
 * A question before something is done. What cannot be taken back asks for a word to be typed.
 *
 * ask({title, lines, word, verb, tone, fields, act}): *act* is called with what was filled in, and its failure is told
 * in the dialog, which stays open.
 */

import { h } from './dom.js';
import { notice } from './parts.js';

export function dialog(state, update) {
  const asked = state.dialog;
  if (!asked) return null;
  const close = () => {
    state.dialog = null;
    update();
  };
  const submit = async (event) => {
    event.preventDefault();
    const form = event.target;
    asked.busy = true;
    asked.error = '';
    update();
    try {
      await asked.act(Object.fromEntries(new FormData(form)));
      if (state.dialog === asked) close();
    } catch (error) {
      asked.error = error.message;
      asked.busy = false;
      update();
    }
  };
  const typed = asked.word === undefined || asked.typed === asked.word;
  return h('dialog.ask', { key: 'ask', 'aria-labelledby': 'ask-title', created: modal, onclose: close },
    h('form', { method: 'dialog', onsubmit: submit },
      h('h2', { id: 'ask-title' }, asked.title),
      asked.lines?.map((line) => h('p', null, line)),
      asked.fields?.map((field) => fieldView(field)),
      asked.word !== undefined && h('label.field', null,
        h('span', null, 'Type ', h('code', null, asked.word), ' to confirm'),
        h('input', {
          type: 'text', name: 'confirmation', autocomplete: 'off', spellcheck: 'false', autofocus: true,
          oninput: ({ target }) => {
            asked.typed = target.value.trim();
            update();
          },
        })),
      asked.error && notice('bad', asked.error),
      h('div.buttons', null,
        h('button', { type: 'button', onclick: close }, 'Cancel'),
        h('button', { type: 'submit', class: asked.tone ?? 'primary', disabled: asked.busy || !typed }, asked.busy ? 'Working …' : asked.verb))));
}

/** Put a dialog before everything else; the browser keeps the focus inside, and Escape closes it. */
export function modal(element) {
  element.showModal();
}

function fieldView({ name, label, options, value, ...props }) {
  return h('label.field', { key: name }, h('span', null, label),
    options
      ? h('select', { name, value }, options.map(([each, text]) => h('option', { value: each, key: each, selected: each === value }, text)))
      : h('input', { type: 'text', name, value: value ?? '', autocomplete: 'off', spellcheck: 'false', ...props }));
}
