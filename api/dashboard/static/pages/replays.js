/* A decision made again: as it was, by another model, or under other limits. Nothing here moves anything. */

import { send } from '../api.js';
import { button as control, whoMay } from '../controls.js';
import { h } from '../dom.js';
import { cost, exact, money, NOTHING, percent, words } from '../format.js';
import { action } from '../cycles.js';
import { badge, card, notice, table, verdict } from '../parts.js';

const KINDS = {
  rerun: { title: 'Run again', why: 'The recorded reply is read and reviewed again, offline: nothing is asked and nothing costs.' },
  reask: { title: 'Ask another model', why: 'Another model is asked the recorded question. This costs what that model costs.' },
  rereview: { title: 'Review under other limits', why: 'The recorded decision is reviewed with one limit changed.' },
};

export function replays({ house, name, update }) {
  const state = { kind: '', busy: false, error: '', result: null };
  const account = name.split('@')[0];

  const run = async (body) => {
    Object.assign(state, { kind: body.kind, busy: true, error: '', result: null });
    update();
    try {
      state.result = await send('POST', `/decisions/${name}/replay`, body);
    } catch (error) {
      state.error = error.message;
    }
    state.busy = false;
    update();
  };

  const reask = (ask) => {
    const config = house.config(account);
    const known = [...new Set((house.list?.items ?? []).flatMap((each) => [each.config.model, ...(each.config.fallback_models ?? []), ...(each.config.shadows ?? []).map((shadow) => shadow.model)]))].filter(Boolean);
    ask({
      title: KINDS.reask.title, lines: [KINDS.reask.why], verb: 'Ask it',
      fields: [{ name: 'model', label: 'Model', value: known.find((each) => each !== config.model) ?? config.model, required: true }],
      act: ({ model }) => run({ kind: 'reask', model: model.trim() }),
    });
  };

  const rereview = (ask) => {
    const limits = Object.entries(house.config(account).limits ?? {}).filter(([, value]) => typeof value !== 'object');
    ask({
      title: KINDS.rereview.title, lines: [KINDS.rereview.why], verb: 'Review',
      fields: [
        { name: 'limit', label: 'Limit', options: limits.map(([limit, value]) => [limit, `${words(limit)} (now ${value})`]), value: 'max_leverage' },
        { name: 'value', label: 'Value', value: '', required: true },
      ],
      act: ({ limit, value }) => run({ kind: 'rereview', limits: { [limit]: value.trim() } }),
    });
  };

  const view = (ask) => {
    const button = (kind, onclick) => control(house, KINDS[kind].title, { account, key: kind, name: `replay ${name}` }, () => state.busy || onclick());
    return card('Make it again', { note: 'a replay moves nothing', aside: h('div.buttons-row', null,
      button('rerun', () => run({ kind: 'rerun' })), button('reask', () => reask(ask)), button('rereview', () => rereview(ask))) },
    whoMay(house, 'operate'),
    h('div', { 'aria-live': 'polite' },
      state.busy && h('p.hint', null, 'Working …'),
      state.error && notice('bad', state.error),
      state.result && outcome(state.kind, state.result)));
  };
  return { view };
}

function outcome(kind, result) {
  if (kind === 'rerun') {
    return [
      result.same
        ? notice('good', h('strong', null, 'The same, to the last byte. '), result.code_changed?.length ? `Though the code has changed since: ${result.code_changed.join(', ')}.` : 'The code that read and judged it has not changed.')
        : notice('bad', h('strong', null, 'Not the same. '), (result.differences ?? []).map((each) => (typeof each === 'string' ? each : JSON.stringify(each))).join('; ')),
      outcomes('Made again', [['again', result.decisions]]),
    ];
  }
  return [
    h('p', null, 'Before: ', side(result.before), '. After: ', side(result.after), '.'),
    outcomes('Before and after', [['before', result.before.decisions], ['after', result.after.decisions]]),
  ];
}

function side(of) {
  return [h('strong', null, of.model ?? of.limits ?? NOTHING), of.cost_usd !== null && of.cost_usd !== undefined ? ` (${cost(of.cost_usd)})` : '', of.no_answer ? ` no answer: ${of.no_answer}` : ''];
}

function outcomes(label, sides) {
  const rows = sides.flatMap(([name, decisions]) => (decisions ?? []).map((each) => ({ ...each, side: name })));
  rows.sort((a, b) => a.asset.localeCompare(b.asset));
  return table(label, [
    { name: 'Asset', kind: 'lead', cell: (each) => each.asset },
    sides.length > 1 && { name: 'Which', cell: (each) => badge(each.side, each.side === 'after' ? 'info' : 'quiet') },
    { name: 'Action', cell: (each) => action(each.action) },
    { name: 'Verdict', cell: (each) => verdict(each.verdict, each.reason) },
    { name: 'Asked', kind: 'num', cell: (each) => `${money(each.allocation_usd)} at ${each.leverage}×` },
    { name: 'Allowed', kind: 'num', cell: (each) => exact(each.quantity) },
    { name: 'Stop', kind: 'num', cell: (each) => exact(each.stop_loss) },
    { name: 'Target', kind: 'num', cell: (each) => exact(each.take_profit) },
    { name: 'Confidence', kind: 'num', cell: (each) => percent(each.confidence, 0) },
    { name: 'Why', kind: 'text', cell: (each) => each.reason || each.rationale },
  ], rows, { key: (each) => `${each.asset} ${each.side}` });
}
