import { h } from '../dom.js';
export function discrepancies() { return { title: 'discrepancies', view: () => h('p', null, 'to come') }; }
