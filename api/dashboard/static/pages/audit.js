import { h } from '../dom.js';
export function audit() { return { title: 'audit', view: () => h('p', null, 'to come') }; }
