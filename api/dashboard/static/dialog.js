/*
 * A question before something is done. What cannot be taken back asks for a word to be typed.
 *
 * ask({title, lines, word, verb, tone, fields, groups, act}): *act* is called with what was filled in. Its words are said
 * to who asked, and its failure is told in the dialog, which stays open: at the field that it is about, where there is
 * one. Where it returns {title, body} instead, that is shown in the dialog's place. *meanwhile* is said while it is done.
 */

import { h } from './dom.js';
import { notice } from './parts.js';

export function dialog(house, state, update) {
  const asked = state.dialog;
  if (!asked) return null;
  const close = () => {
    if (state.dialog !== asked) return;
    state.dialog = null;
    update();
    // Where one came from, if that is still there: a dialog that is taken away gives the focus to nobody.
    requestAnimationFrame(() => (asked.opener?.isConnected ? asked.opener : document.getElementById('main'))?.focus({ preventScroll: true }));
  };
  const shown = asked.shown ? outcome(asked.shown, close) : question(asked, (event) => submit(event, { house, state, asked, close, update }), close, update);
  return h('dialog.ask', { key: 'ask', class: asked.groups ? 'wide' : '', 'aria-labelledby': 'ask-title', created: modal, onclose: close }, shown);
}

async function submit(event, { house, state, asked, close, update }) {
  event.preventDefault();
  if (asked.busy) return;
  const form = event.target;
  Object.assign(asked, { busy: true, errors: [] });
  update();
  try {
    const came = await asked.act(Object.fromEntries(new FormData(form)));
    if (typeof came === 'object' && state.dialog === asked) asked.shown = came;
    else {
      if (came) house.say(came.words ?? came);
      close();
    }
  } catch (error) {
    asked.errors = error.lines ?? [{ field: null, text: error.message }];
    if (state.dialog !== asked) house.say(error.message, 'bad');
    else toFirstError(asked, form);
  }
  asked.busy = false;
  house.refreshAll();
  update();
}

function question(asked, onsubmit, close, update) {
  const typed = asked.word === undefined || asked.typed === asked.word;
  const fields = allFields(asked);
  const stray = (asked.errors ?? []).filter((error) => !fields.some((field) => isAbout(error, field)));
  return h('form', { key: 'question', method: 'dialog', novalidate: Boolean(asked.groups), onsubmit },
    h('h2', { id: 'ask-title' }, asked.title),
    asked.lines?.filter(Boolean).map((line) => h('p', null, line)),
    asked.fields?.map((field) => fieldView(field, asked)),
    asked.groups?.map((group) => groupView(group, asked)),
    asked.word !== undefined && h('label.field', null,
      h('span', null, 'Type ', h('code', null, asked.word), ' to confirm'),
      h('input', {
        type: 'text', name: 'confirmation', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', autofocus: true,
        oninput: ({ target }) => {
          asked.typed = target.value.trim();
          update();
        },
      })),
    (asked.errors ?? []).length > stray.length && notice('bad', 'It was not done: see what is marked above.'),
    stray.map((error) => h('div', { key: error.text }, notice('bad', error.text))),
    asked.busy && asked.meanwhile && h('p.hint', { role: 'status' }, asked.meanwhile),
    h('div.buttons', null,
      h('button', { type: 'button', onclick: close }, 'Cancel'),
      h('button', { type: 'submit', class: asked.tone ?? 'primary', disabled: !typed, 'aria-disabled': asked.busy ? 'true' : null }, asked.busy ? 'Working …' : asked.verb)));
}

/** What came of it, to be read before it goes away. */
function outcome({ title, body }, close) {
  return h('div.shown', { key: 'shown' },
    h('h2', { id: 'ask-title', tabindex: '-1', created: (element) => element.focus() }, title), body,
    h('div.buttons', null, h('button.primary', { type: 'button', onclick: close }, 'Done')));
}

/** Put a dialog before everything else; the browser keeps the focus inside, and Escape closes it. */
export function modal(element) {
  element.showModal();
}

function allFields(asked) {
  return [...(asked.fields ?? []), ...(asked.groups ?? []).flatMap((group) => group.fields)];
}

/** An error of `symbols.0` is one of the field `symbols`. */
function isAbout(error, { name }) {
  return error.field === name || Boolean(error.field?.startsWith(`${name}.`));
}

function toFirstError(asked, form) {
  const field = allFields(asked).find((each) => asked.errors.some((error) => isAbout(error, each)));
  const input = field && form.elements[field.name];
  if (!input) return;
  const fold = input.closest('details');
  if (fold) fold.open = true;
  input.focus();
}

function groupView({ title, note, fields, folded }, asked) {
  const inside = h('div.fields', null, fields.map((field) => fieldView(field, asked)));
  return folded
    ? h('details.fold', { key: title }, h('summary', null, title, note && h('small', null, note)), inside)
    : h('fieldset', { key: title }, h('legend', null, title, note && h('small', null, note)), inside);
}

/** A field: *kind* is text, number, check, area or moment; with *options* it is a choice. *hint* says what belongs in it. */
function fieldView({ name, label, hint, kind = 'text', options, value, ...props }, asked) {
  const errors = (asked.errors ?? []).filter((error) => isAbout(error, { name }));
  const about = `about-${name}`;
  const shared = { name, 'aria-describedby': hint || errors.length ? about : null, 'aria-invalid': errors.length ? 'true' : null, ...props };
  const told = (hint || errors.length > 0) && h('small', { id: about }, errors.map((error) => h('strong.wrong', { key: error.text }, error.text)), hint);
  if (kind === 'check') {
    return h('div', { key: name }, h('label.toggle', null, h('input', { type: 'checkbox', checked: Boolean(value), ...shared }), h('span', null, label)), told);
  }
  return h('div', { key: name, class: kind }, h('label.field', null, h('span', null, label), control(kind, options, value, shared)), told);
}

function control(kind, options, value, shared) {
  if (options) return h('select', { value, ...shared }, options.map(([each, text]) => h('option', { value: each, key: each, selected: each === value }, text)));
  const typed = { value: value ?? '', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', ...shared };
  if (kind === 'area') return h('textarea', { rows: '4', ...typed });
  if (kind === 'moment') return h('input', { type: 'datetime-local', ...typed });
  return h('input', { type: 'text', inputmode: kind === 'number' ? 'decimal' : null, ...typed });
}
